"""A cluster's SQL in the real engine, as far as one server without a Keeper can run it.

The server is a cluster of one shard that is itself: Distributed tables, and all that goes through
them, are real. Replicated tables need a Keeper and can't be made here: their statements are parsed,
and the tests run on the same engines without copies (`_alone`). More than one shard, replicas and
failover are proven by nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog.cluster import CATCH_UP, clustered
from catalog.loading import Loading
from catalog.model import Column
from catalog.objects import KafkaSettings, SqlObject, platform_objects, table_objects
from catalog.reference import reference_objects
from catalog.types import mapping
from components.analytics import REFERENCE
from ops.backfill.copying import SETTINGS
from ops.backfill.target import Load, Target
from ops.verify.snapshot import Snapshot
from ops.verify.sql import AsOf, Chunk, Compared, target_rows, target_total
from providers.base import Props
from providers.clickhouse import ObjectsProvider, as_inputs
from tests.embedded.captured import ORDERS, SLOT, Captured, event, every_operation, order
from tests.embedded.daemon import ADMIN, Daemon

ITSELF = """
<remote_servers><cdc><shard><internal_replication>true</internal_replication>
<replica><host>127.0.0.1</host><port>9000</port></replica></shard></cdc></remote_servers>
"""
# Of configs/clickhouse/cluster-users.xml what bears on a query; this server has no other to prefer.
PROFILE = "distributed_product_mode = 'global', load_balancing = 'in_order'"
_REPLICATED = re.compile(r"Replicated(\w+)\('[^']*', '[^']*'(?:, )?")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("cluster"), ITSELF)
    daemon.start()
    yield daemon
    daemon.stop_if_running()


def _alone(objects: Sequence[SqlObject]) -> list[SqlObject]:
    """The cluster's objects with tables that have no replicas."""
    return [
        replace(
            each,
            create=_REPLICATED.sub(r"\1(", each.create),
            body=_REPLICATED.sub(r"\1(", each.body),
        )
        for each in clustered(objects)
    ]


@pytest.fixture
def orders(daemon: Daemon) -> Captured:
    return Captured(daemon, shaped=_alone)


def test_what_the_views_write_goes_through_the_shards_and_is_read_from_them(
    orders: Captured,
) -> None:
    orders.arrive(*every_operation(), event("c", {"id": 4}, 2_400))
    assert orders.current() == [[1, 3, "31.50", "n"], [2, 4, "42.00", "n"]]
    assert len(orders.history()) == 5
    assert orders.reasons() == ["missing field: quantity, price, note"]
    engines = orders.rows(
        "SELECT name, engine FROM system.tables WHERE database = splitByChar('.', '{t}')[1] "
        "AND name IN ('orders_final', 'orders_final_local', 'orders_history') ORDER BY name"
    )
    assert engines == [
        ["orders_final", "Distributed"],
        ["orders_final_local", "ReplacingMergeTree"],
        ["orders_history", "Distributed"],
    ]
    assert orders.rows("SELECT count() FROM {t}_history_local FINAL") == [[5]]


def test_redelivery_and_truncate_are_what_they_are_on_one_server(orders: Captured) -> None:
    events = [
        event("c", order(1), 2_000),
        event("t", None, 2_200),
        event("c", order(2, quantity=5), 2_300),
    ]
    for _ in range(3):
        orders.arrive(*events)
    assert [row[:2] for row in orders.current()] == [[2, 5]]
    assert orders.history() == [[1, 2_000, "c"], [2, 2_300, "c"]]


def test_a_table_without_a_key_counts_its_rows(daemon: Daemon) -> None:
    columns = (Column(name="id", pg_type="integer", nullable=False),)
    rows = Captured(daemon, columns=columns, key=(), shaped=_alone)
    same = event("c", {"id": 7}, 2_000)
    rows.arrive(same, event("c", {"id": 7}, 2_001), event("c", {"id": 8}, 2_002))
    rows.arrive(event("d", {"id": 8}, 2_100))
    assert rows.current(["id"]) == [[7], [7]]


def test_a_new_column_reaches_the_shards_and_what_was_set_aside_is_completed(
    orders: Captured,
) -> None:
    orders.arrive(event("c", order(1), 2_000), event("c", order(2, colour="red"), 2_100))
    assert orders.reasons() == ["unknown field: colour"]
    orders.describe([*ORDERS, Column(name="colour", pg_type="text", nullable=True)])
    orders.apply()
    orders.replay()
    assert orders.current(["id", "colour"]) == [[1, None], [2, "red"]]
    assert orders.reasons() == []


def test_a_load_takes_the_way_of_the_views_and_swaps_what_was_there(orders: Captured) -> None:
    orders.arrive(event("c", order(1), 2_000), event("c", order(9), 2_100))
    login = {"user": ADMIN[0], "password": ADMIN[1]}
    connection = {"host": "127.0.0.1", "port": orders.daemon.port, **login}
    target = Target(connection, orders.table, "1")
    statement = Loading(orders.table, orders.options).insert(3_000, 1_790_000_000_000, 0)
    target.insert(statement, iter([b"1\t3\t10.50\tn\n2\t1\t1.00\t\\N\n"]), SETTINGS)
    target.finish(Load(3_000, 1_790_000_000_000, "", ()), 2)
    assert orders.current(["id", "note"]) == [[1, "n"], [2, None]]
    assert target.highest() == 3_000


def test_verify_asks_a_cluster_the_same_and_is_told_the_same(daemon: Daemon) -> None:
    """With writers that went on: the rows that a later transaction touched are rebuilt."""
    now = datetime.now(UTC)
    as_of = AsOf(Snapshot(2_750, frozenset(), 2_050, now), 0, 0)
    told = []
    for shaped in (tuple, _alone):
        orders = Captured(daemon, shaped=shaped)
        orders.arrive(
            event("c", order(1), 2_000),
            event("c", order(2), 2_010),
            event("u", order(2, quantity=9), 2_100),
            event("d", order(1), 2_110),
            event("c", order(3), 2_120),
        )
        columns = [(c, mapping(c.pg_type)) for c in orders.table.source.columns]
        compared = Compared(orders.table, tuple((c, m) for c, m in columns if m))
        rows = target_rows(compared, as_of, Chunk())
        told.append(orders.rows(f"{target_total(rows)} SETTINGS {PROFILE}"))
    assert told[0] == told[1]
    assert told[0][0][0] == 2


def test_the_provider_adds_a_column_to_the_shards_and_to_what_stands_for_them(
    orders: Captured,
) -> None:
    login = {"user": ADMIN[0], "password": ADMIN[1]}
    connection = {"host": "127.0.0.1", "port": orders.daemon.port, **login}

    def wanted() -> dict[str, Any]:
        made = table_objects(orders.table, orders.options, KafkaSettings("nowhere:1"), SLOT)
        objects = as_inputs([each for each in _alone(made) if not _flows(each)])
        return {
            "connection": connection,
            "objects": objects,
            "afterwards": [],
            "allow_destructive": False,
        }

    provider, before = ObjectsProvider(), wanted()
    made = provider.create(before)
    assert made.outs is not None
    orders.arrive(event("c", order(1), 2_000))
    orders.describe([*ORDERS, Column(name="colour", pg_type="text", nullable=True)])
    after = wanted()
    assert provider.diff(made.id, made.outs, after).changes
    changed = provider.update(made.id, made.outs, after)
    assert changed.outs is not None
    for table in ("final", "final_local", "history", "history_local"):
        assert orders.rows(f"SELECT id, colour FROM {{t}}_{table}") == [[1, None]]
    assert not _drifted(provider, changed.outs, after)
    orders.daemon.ask(f"DROP TABLE {orders.schema}.orders_final SYNC")
    assert _drifted(provider, changed.outs, after)


def _drifted(provider: ObjectsProvider, known: Props, wanted: Props) -> bool:
    found = provider.read("id", known)
    assert found.outs is not None
    return bool(provider.diff("id", found.outs, wanted).changes)


def _flows(each: SqlObject) -> bool:
    """The queue, which the test has a stand-in for, and its view."""
    return each.kind == "queue" or each.name.endswith("orders_mv")


@pytest.mark.parametrize("table", ["s.orders", "s.a/b 'c' \"d\" \\ ö"])
def test_every_statement_of_a_cluster_is_one_to_the_real_parser(daemon: Daemon, table: str) -> None:
    made = Captured(daemon, shaped=_alone)
    source = made.table.source.model_copy(update={"schema_": "s", "name": table.split(".", 1)[1]})
    captured = made.table.model_copy(update={"source": source, "table": source.name})
    keyless = captured.model_copy(update={"source": source.model_copy(update={"key": ()})})
    kafka = KafkaSettings("nowhere:1")
    objects = [
        *platform_objects(),
        *table_objects(captured, made.options, kafka, 1),
        *table_objects(keyless, made.options, kafka, 1),
        *reference_objects(Path(REFERENCE)),
    ]
    for statement in CATCH_UP:
        assert daemon.ask(f"EXPLAIN AST {statement}").startswith("SYSTEM")
    replicated = 0
    for each in clustered(objects):
        told = daemon.ask(f"EXPLAIN AST {each.create}")
        assert told.startswith("Create"), each.name
        replicated += "Function ReplicatedReplacingMergeTree" in told
    assert replicated == 4 + 2 + 2 + 1
