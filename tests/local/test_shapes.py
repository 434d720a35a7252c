"""Tables of every shape through the real pipeline: all rows and values compared; in order."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from catalog.model import CapturedTable, SourceTable
from catalog.names import ch_ident, ch_qualified, pg_ident
from tests.checkout import Checkout, checkout

SCHEMA = Path(__file__).with_name("shapes.sql")
ODD = 'My "Shop" \\ [1].Größe, x;y:z 😀 $1 {a} [red]'
WIDE_TYPES = (
    "integer",
    "text",
    "numeric(12,4)",
    "boolean",
    "timestamptz",
    "uuid",
    "float8",
    "date",
)
TABLES: list[Any] = [
    "shop.Orders",
    "shop.orders",
    "shop.order",
    ODD.replace("[", "[[]"),
    "shop." + "a" * 63,
    "shop.ours",
    {
        "table": "shop.composite",
        "order_by": ["at", "code", "amount"],
        "partition_by": "cityHash64(code) % 4",
    },
    "shop.by_uuid",
    "shop.by_bytes",
    "shop.by_day",
    "shop.by_time",
    {"table": "shop.by_unique", "key": ["a", "b, c"]},
    "shop.bag",
    "shop.parts",
    "shop.events",
    "shop.parent",
    "shop.child",
    "shop.wide",
    "shop.toasted",
    "shop.huge",
    *(f"public.pgbench_{name}" for name in ("branches", "tellers", "accounts", "history")),
]
_MADE = {
    "integer": "n + {n}",
    "text": "'text ' || n || ' {n}'",
    "numeric(12,4)": "n + {n}::numeric / 8",
    "boolean": "(n + {n}) % 2 = 0",
    "timestamptz": "timestamptz '2024-01-01' + (n * 1000 + {n}) * interval '1 s'",
    "uuid": "md5(n || ' {n}')::uuid",
    "float8": "(n + {n}) / 3.0",
    "date": "date '2024-01-01' + n + {n}",
}
_WIDE_VALUES = ", ".join(_MADE[WIDE_TYPES[n % len(WIDE_TYPES)]].format(n=n) for n in range(499))


class Shapes:
    """The stack, and both sides of it."""

    def __init__(self, project: Checkout) -> None:
        self.project = project
        self.deployed = project.deployed()

    def execute(self, *statements: str) -> None:
        with self.deployed.postgres.connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def table(self, name: str) -> CapturedTable:
        [found] = self.deployed.chosen([name])
        return found

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self.deployed.clickhouse.client() as client:
            return [tuple(row) for row in client.query(sql).result_rows]

    def verify(self, *names: str) -> dict[str, dict[str, Any]]:
        done = self.project.cdc("verify", *names, "--json", "--wait", "120")
        assert done.returncode in (0, 1), done.stderr
        return {report["table"]: report for report in json.loads(done.stdout)}

    def assert_equal(self, *names: str) -> None:
        """`./cdc verify` says so, and an independent comparison of all rows as texts as well."""
        for name, report in self.verify(*names).items():
            assert report["equal"], (name, report)
            ours, theirs = self.source_rows(name), self.target_rows(name)
            assert ours == theirs, (name, ours - theirs, theirs - ours)
            assert report["source_rows"] == ours.total()

    def source_rows(self, name: str) -> Counter[tuple[str | None, ...]]:
        table = self.table(name).source
        columns = ", ".join(_pg_text(c.name, c.pg_type) for c in table.columns)
        with self.deployed.postgres.connect() as connection:
            connection.execute("SET timezone = 'UTC'; SET extra_float_digits = 1")
            rows = connection.execute(f"SELECT {columns} FROM {table.rows}".encode())
            return Counter(_comparable(row, table) for row in rows)

    def target_rows(self, name: str) -> Counter[tuple[str | None, ...]]:
        table = self.table(name)
        columns = ", ".join(_ch_text(c.name, c.pg_type) for c in table.source.columns)
        rows = self.ask(f"SELECT {columns} FROM {ch_qualified(table.target)}")
        return Counter(_comparable(row, table.source) for row in rows)

    def letters(self, name: str) -> list[str]:
        source = name.replace("\\", "\\\\").replace("'", "\\'")
        return [
            reason
            for (reason,) in self.ask(
                f"SELECT reason FROM cdc.dead_letters FINAL WHERE source = '{source}' "
                "ORDER BY offset"
            )
        ]


def _comparable(row: Sequence[str | None], table: SourceTable) -> tuple[str | None, ...]:
    """Floats as Python writes them: both databases write enough digits, each in its own way."""
    return tuple(
        repr(float(text)) if text is not None and column.pg_type == "double precision" else text
        for text, column in zip(row, table.columns, strict=True)
    )


def _pg_text(name: str, pg_type: str) -> str:
    column = pg_ident(name)
    if pg_type.startswith(("timestamp", "time ")):
        return f"extract(epoch FROM {column})::numeric(30, 6)::text"
    if pg_type == "bytea":
        return f"encode({column}, 'hex')"
    return f"{column}::text"


def _ch_text(name: str, pg_type: str) -> str:
    column = ch_ident(name)
    if pg_type.startswith(("timestamp", "time ")):
        return f"toDecimalString(CAST({column}, 'Nullable(Decimal(38, 6))'), 6)"
    if pg_type == "bytea":
        return f"lower(hex({column}))"
    if pg_type.startswith("numeric"):
        return f"toDecimalString({column}, {pg_type.rstrip(')').split(',')[1]})"
    if pg_type.startswith("character("):
        return f"trimRight({column})"
    return f"toString({column})"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with checkout(tmp_path_factory.mktemp("clone")) as copy:
        yield copy


@pytest.fixture(scope="module")
def shapes(project: Checkout) -> Shapes:
    """A stack with the sample, in whose place all the shapes are captured."""
    _up(project)
    first = Shapes(project)
    columns = ", ".join(
        f'"column {n}" {WIDE_TYPES[n % len(WIDE_TYPES)]}{" NOT NULL" if n % 3 else ""}'
        for n in range(499)
    )
    first.execute(
        SCHEMA.read_text(encoding="utf-8"),
        f"CREATE TABLE shop.wide (id int PRIMARY KEY, {columns})",
        f"INSERT INTO shop.wide SELECT n, {_WIDE_VALUES} FROM generate_series(-1, -1) n",
    )
    project.write(sample=False, tables=TABLES)
    _up(project)
    return Shapes(project)


def _up(project: Checkout) -> str:
    done = project.cdc("up", "--no-seed", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rows_that_were_there_before_are_loaded(shapes: Shapes) -> None:
    reports = shapes.verify()
    assert {name for name, report in reports.items() if not report["source_rows"]} == {
        "public.pgbench_tellers"
    }
    shapes.assert_equal()


def test_names_of_all_kinds_reach_the_same_names(shapes: Shapes) -> None:
    odd = '"My ""Shop"" \\ [1]"."Größe, x;y:z 😀 $1 {a} [red]"'
    shapes.execute(
        """INSERT INTO shop."Orders" VALUES (1, 'Orders'), (2, NULL)""",
        "INSERT INTO shop.orders VALUES (1, 'orders')",
        """INSERT INTO shop."ORDERS" VALUES (1, 'nobody asked for these')""",
        """INSERT INTO shop."order" VALUES (1, 'it''s', 2, true), (2, NULL, NULL, NULL)""",
        f"INSERT INTO shop.{'a' * 63} VALUES (1, 'x')",
        f"INSERT INTO {odd} SELECT n, 'a' || n, n, 'c', 'd', 'e\\', 'f`', 'g', 'h', n, '[i]', '😀' "
        "FROM generate_series(1, 5) n",
        f'UPDATE {odd} SET "a.b" = NULL, "it\'s" = E\'new\\nline\\t\\\\\' WHERE "Id" = 3',
        f'DELETE FROM {odd} WHERE "Id" = 5',
        """UPDATE shop."Orders" SET id = 3 WHERE id = 2""",
    )
    shapes.assert_equal("shop.Orders", "shop.orders", "shop.order", "shop." + "a" * 63, ODD)
    assert shapes.source_rows(ODD).total() == 6


def test_every_command_copes_with_every_name(shapes: Shapes) -> None:
    status = shapes.project.cdc("status", "--json")
    assert status.returncode == 0, status.stdout + status.stderr
    listed = {each["table"]: each for each in json.loads(status.stdout)["tables"]}
    assert len(listed) == len(TABLES)
    assert listed[ODD]["rows"] == 6
    assert all(each["lag_seconds"] is not None for each in listed.values())
    for command in ("status", "verify"):
        shown = shapes.project.cdc(command)
        assert shown.returncode == 0, shown.stdout + shown.stderr


def test_columns_called_like_ours_are_shown_under_their_own_name(shapes: Shapes) -> None:
    names = [column.name for column in shapes.table("shop.ours").source.columns]
    columns = shapes.ask(
        "SELECT name FROM system.columns WHERE database = 'shop' AND table = 'ours' "
        "ORDER BY position"
    )
    assert [name for (name,) in columns] == names
    shapes.execute(
        "INSERT INTO shop.ours (_version, operation, operation_, _deleted, _lsn, processing_ts_ms)"
        " SELECT n, 'op ' || n, 'other ' || n, 1, n, now() FROM generate_series(1, 20) n",
        "UPDATE shop.ours SET _deleted = _version, before = 'b', after = 'a', op = 'x'"
        " WHERE _version < 10",
        "UPDATE shop.ours SET operation = 'moved' WHERE _version = 3",
        "DELETE FROM shop.ours WHERE _version > 15",
    )
    shapes.assert_equal("shop.ours")
    assert shapes.ask(
        "SELECT operation_, operation__ FROM shop.ours_history FINAL "
        "WHERE _version_ = 3 AND operation = 'c' ORDER BY _lsn"
    ) == [
        ("op 3", "other 3"),
        ("moved", "other 3"),
    ]


def test_keys_of_any_type_and_order_are_exact(shapes: Shapes) -> None:
    shapes.execute(
        "INSERT INTO shop.composite SELECT timestamptz '2024-01-01' + n * interval '1 us', "
        "'c' || n % 3, n, n / 8.0 FROM generate_series(1, 50) n",
        "UPDATE shop.composite SET n = -n WHERE n % 2 = 0",
        "UPDATE shop.composite SET code = 'moved' WHERE n = 7",
        "DELETE FROM shop.composite WHERE n > 45",
        "INSERT INTO shop.by_uuid SELECT md5(n::text)::uuid, n FROM generate_series(1, 20) n",
        "DELETE FROM shop.by_uuid WHERE n % 3 = 0",
        "INSERT INTO shop.by_bytes SELECT decode(md5(n::text), 'hex'), n "
        "FROM generate_series(1, 20) n",
        "INSERT INTO shop.by_bytes VALUES ('', 0), ('\\x00', 1), ('\\x0000ff', 2)",
        "UPDATE shop.by_bytes SET n = n + 1 WHERE id <= '\\x00'",
        "INSERT INTO shop.by_day SELECT date '1969-12-30' + n / 2, n % 2 = 0, n "
        "FROM generate_series(1, 20) n",
        "DELETE FROM shop.by_day WHERE yes AND n > 10",
        "INSERT INTO shop.by_time SELECT time '23:59:59.999999', timestamp '2024-01-01' + n * "
        "interval '1 day', n / 3.0, n FROM generate_series(-5, 20) n",
        "UPDATE shop.by_time SET f = f * 1e10 WHERE n > 15",
        "INSERT INTO shop.by_unique SELECT n, 'k' || n, n, 'd' FROM generate_series(1, 20) n",
        "UPDATE shop.by_unique SET n = 100 WHERE a = 3",
        # The key itself changes: the old row must go.
        "UPDATE shop.by_unique SET a = a + 1000 WHERE a > 10",
        "DELETE FROM shop.by_unique WHERE a = 4",
    )
    keyed = ("composite", "by_uuid", "by_bytes", "by_day", "by_time", "by_unique")
    shapes.assert_equal(*(f"shop.{name}" for name in keyed))


def test_a_table_without_a_key_is_the_same_multiset(shapes: Shapes) -> None:
    row = "1, 'same', 0.5, '{\"a\": [1]}', '2024-01-01 00:00:00.000001+00'"
    shapes.execute(
        f"INSERT INTO shop.bag VALUES ({row}), ({row}), ({row}), (NULL, NULL, NULL, NULL, NULL), "
        "(NULL, '', 'NaN', '{}', NULL), (NULL, '', 'NaN', '{}', NULL), (2, '', '-0', 'null', NULL)",
        "INSERT INTO shop.bag SELECT n % 7, 'r' || n % 5, n % 3 FROM generate_series(1, 500) n",
        "DELETE FROM shop.bag WHERE ctid = (SELECT min(ctid) FROM shop.bag WHERE b = 'same')",
        "UPDATE shop.bag SET b = 'changed' "
        "WHERE ctid = (SELECT min(ctid) FROM shop.bag WHERE b = 'same')",
        "UPDATE shop.bag SET a = a + 1 WHERE a < 3",
        "DELETE FROM shop.bag WHERE a = 6",
        "UPDATE shop.bag SET f = f WHERE a = 5",
        "BEGIN; DELETE FROM shop.bag; ROLLBACK",
        "BEGIN; SAVEPOINT s; DELETE FROM shop.bag; ROLLBACK TO s; "
        "UPDATE shop.bag SET b = 'in savepoint' WHERE a = 4; COMMIT",
    )
    # Rows of one COPY share their position in the log.
    with (
        shapes.deployed.postgres.connect() as connection,
        connection.cursor().copy("COPY shop.bag (a, b) FROM STDIN") as copy,
    ):
        for number in range(1_000):
            copy.write_row((number % 3, "copied"))
    shapes.assert_equal("shop.bag")
    assert shapes.source_rows("shop.bag").most_common(1)[0][1] > 300

    with shapes.deployed.clickhouse.client() as client:
        client.command(
            "INSERT INTO shop.bag_final SELECT * REPLACE(_offset + 1000000000 AS _offset) "
            "FROM shop.bag_final WHERE b = 'copied' AND a = 2 LIMIT 2"
        )
        client.command(
            "INSERT INTO shop.bag_final SELECT * REPLACE(_offset + 1000000000 AS _offset, "
            "toInt8(-1) AS _sign) FROM "
            "(SELECT * FROM shop.bag_final WHERE b = 'changed' AND _sign = 1)"
        )
    report = shapes.verify("shop.bag")["shop.bag"]
    assert (report["extra_rows"], report["missing_rows"], report["different_rows"]) == (2, 1, 0)
    assert [key["b"] for key in report["extra"]] == ["copied"]
    assert [key["b"] for key in report["missing"]] == ["changed"]
    with shapes.deployed.clickhouse.client() as client:
        client.command(
            "DELETE FROM shop.bag_final WHERE _offset >= 1000000000",
            settings={"mutations_sync": 2},
        )
    shapes.assert_equal("shop.bag")
    shapes.execute("TRUNCATE shop.bag", "INSERT INTO shop.bag (a) VALUES (1), (1)")
    shapes.assert_equal("shop.bag")


def test_verify_is_right_about_a_table_without_a_key_while_a_writer_runs(shapes: Shapes) -> None:
    with shapes.deployed.postgres.connect(autocommit=False) as open_transaction:
        open_transaction.execute("INSERT INTO shop.bag SELECT n % 3 FROM generate_series(1, 50) n")
        writer = shapes.project.start(sys.executable, "-c", _WRITER, shapes.deployed.postgres.dsn)
        try:
            for _ in range(3):
                report = shapes.verify("shop.bag")["shop.bag"]
                assert report["equal"], report
        finally:
            writer.terminate()
            writer.wait()
    shapes.assert_equal("shop.bag")


_WRITER = """
import sys, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    while True:
        connection.execute("INSERT INTO shop.bag SELECT n % 4, 'w' FROM generate_series(1, 20) n")
        connection.execute("UPDATE shop.bag SET a = a + 1 WHERE a < 2 AND b = 'w'")
        connection.execute("DELETE FROM shop.bag WHERE a = 3")
"""


def test_partitions_are_one_table(shapes: Shapes) -> None:
    shapes.execute(
        "INSERT INTO shop.parts SELECT n, CASE n % 2 WHEN 0 THEN 'eu' ELSE 'us' END, n "
        "FROM generate_series(1, 100) n",
        "UPDATE shop.parts SET n = -n WHERE id % 3 = 0",
        # From one partition to another: a delete and an insert.
        "UPDATE shop.parts SET region = 'eu' WHERE id = 7",
        "DELETE FROM shop.parts WHERE id > 90",
        "INSERT INTO shop.parts_us VALUES (1000, 'us', 1)",
        "INSERT INTO shop.events SELECT '2024-03-01', 'e' || n % 3 FROM generate_series(1, 30) n",
        "UPDATE shop.events SET what = 'changed' WHERE what = 'e1'",
        "DELETE FROM shop.events WHERE what = 'e2'",
    )
    shapes.assert_equal("shop.parts", "shop.events")
    # A partition made later needs no deployment for its inserts.
    shapes.execute(
        "CREATE TABLE shop.parts_asia PARTITION OF shop.parts FOR VALUES IN ('asia')",
        "INSERT INTO shop.parts SELECT n, 'asia', n FROM generate_series(1, 10) n",
        "CREATE TABLE shop.events_2 PARTITION OF shop.events "
        "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
        "INSERT INTO shop.events VALUES ('2025-05-05', 'new'), ('2025-05-05', 'new')",
    )
    shapes.assert_equal("shop.parts", "shop.events")
    # It has not the full identity: a delete does not carry the row. Status says so, up heals it.
    shapes.execute(
        "DELETE FROM shop.parts WHERE region = 'asia' AND id = 1",
        "UPDATE shop.parts SET n = 0 WHERE region = 'asia' AND id = 2",
    )
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="replica identity"):
        shapes.execute("DELETE FROM shop.events WHERE what = 'new'")
    status = shapes.project.cdc("status")
    assert status.returncode == 1
    told = " ".join(status.stdout.split())
    assert '"shop"."parts_asia" without REPLICA IDENTITY FULL' in told
    assert '"shop"."events_2" without REPLICA IDENTITY FULL' in told
    shapes.project.cdc("up", "--no-seed", timeout=600)
    assert shapes.project.cdc("status").returncode == 0
    shapes.execute(
        "DELETE FROM shop.parts WHERE region = 'asia' AND id > 5",
        "DELETE FROM shop.events WHERE ctid = (SELECT min(ctid) FROM shop.events_2)",
    )
    shapes.assert_equal("shop.parts", "shop.events")


def test_a_partition_that_is_detached_or_dropped_is_named_by_verify(shapes: Shapes) -> None:
    shapes.execute("ALTER TABLE shop.parts DETACH PARTITION shop.parts_asia")
    report = shapes.verify("shop.parts")["shop.parts"]
    assert report["extra_rows"] == 4
    assert {key["region"] for key in report["extra"]} == {"asia"}
    # Its changes are no longer the table's.
    shapes.execute(
        "UPDATE shop.parts_asia SET n = 7", "INSERT INTO shop.parts_asia VALUES (50, 'asia', 1)"
    )
    assert shapes.verify("shop.parts")["shop.parts"]["extra_rows"] == 4
    # Attached again, the rows are what they were but for the changes nobody told of.
    shapes.execute("ALTER TABLE shop.parts ATTACH PARTITION shop.parts_asia FOR VALUES IN ('asia')")
    report = shapes.verify("shop.parts")["shop.parts"]
    assert (report["missing_rows"], report["different_rows"]) == (1, 4)
    shapes.execute("UPDATE shop.parts SET n = n WHERE region = 'asia'")
    shapes.assert_equal("shop.parts")
    shapes.execute("DELETE FROM shop.parts WHERE region = 'asia'", "DROP TABLE shop.parts_asia")
    shapes.assert_equal("shop.parts")


def test_inheriting_tables_are_captured_each_as_itself(shapes: Shapes) -> None:
    shapes.execute(
        "INSERT INTO shop.parent SELECT n, n FROM generate_series(1, 10) n",
        "INSERT INTO shop.child SELECT n, n, 'more' FROM generate_series(1, 10) n",
        "UPDATE shop.parent SET n = n + 100 WHERE id > 5",
        "DELETE FROM shop.parent WHERE id = 1",
        "DELETE FROM ONLY shop.parent WHERE id = 2",
    )
    shapes.assert_equal("shop.parent", "shop.child")
    assert shapes.source_rows("shop.parent").total() == 9
    assert shapes.source_rows("shop.child").total() == 10


def test_five_hundred_columns_arrive(shapes: Shapes) -> None:
    shapes.execute(
        f"INSERT INTO shop.wide SELECT n, {_WIDE_VALUES} FROM generate_series(1, 200) n",
        'UPDATE shop.wide SET "column 0" = NULL, "column 498" = 1 WHERE id % 2 = 0',
        "DELETE FROM shop.wide WHERE id > 150",
    )
    shapes.assert_equal("shop.wide")
    assert shapes.source_rows("shop.wide").total() == 151


TOASTED = {
    "t": "string_agg(md5(n::text), '')",
    "j": "jsonb_agg(md5(n::text))",
    "b": "decode(string_agg(md5(n::text), ''), 'hex')",
    "p": "('$.\"' || string_agg(md5(n::text), '') || '\"')::jsonpath",
}


def test_toasted_values_survive_changes_that_leave_them_alone(shapes: Shapes) -> None:
    shapes.execute(
        f"INSERT INTO shop.toasted SELECT i, 0, {', '.join(TOASTED.values())} "
        "FROM generate_series(1, 5) i, generate_series(i, i + 500) n GROUP BY i",
        "UPDATE shop.toasted SET n = 1 WHERE id < 4",
        "UPDATE shop.toasted SET id = 100 WHERE id = 5",
    )
    shapes.assert_equal("shop.toasted")
    # Without the full identity the change does not carry them: nothing is made up.
    shapes.execute(
        "ALTER TABLE shop.toasted REPLICA IDENTITY DEFAULT",
        "UPDATE shop.toasted SET n = 2 WHERE id = 1",
        "UPDATE shop.toasted SET n = 3 WHERE id = 2",
    )
    report = shapes.verify("shop.toasted")["shop.toasted"]
    assert sorted(row["key"]["id"] for row in report["different"]) == ["1", "2"]
    assert [column["column"] for row in report["different"] for column in row["columns"]] == [
        "n",
        "n",
    ]
    reasons = shapes.letters("shop.toasted")
    assert len(reasons) == 2
    for reason in reasons:
        for column in TOASTED:
            assert f"{column}=" in reason, reason
    status = shapes.project.cdc("status")
    assert status.returncode == 1
    assert '"shop"."toasted" without REPLICA IDENTITY FULL' in " ".join(status.stdout.split())
    shapes.project.cdc("up", "--no-seed", timeout=600)
    assert shapes.project.cdc("status").returncode == 0
    shapes.execute("UPDATE shop.toasted SET n = n")
    shapes.assert_equal("shop.toasted")


def test_pgbench_is_captured_by_configuration_only(shapes: Shapes) -> None:
    shapes.execute(
        "INSERT INTO pgbench_branches SELECT n, 0 FROM generate_series(1, 2) n",
        "INSERT INTO pgbench_tellers SELECT n, (n - 1) / 10 + 1, 0 FROM generate_series(1, 20) n",
        "INSERT INTO pgbench_accounts SELECT n, (n - 1) / 1000 + 1, 0, '' "
        "FROM generate_series(1, 2000) n",
        *[
            f"BEGIN; UPDATE pgbench_accounts SET abalance = abalance + {delta} WHERE aid = {aid};"
            f"UPDATE pgbench_tellers SET tbalance = tbalance + {delta} WHERE tid = {aid % 20 + 1};"
            f"UPDATE pgbench_branches SET bbalance = bbalance + {delta} WHERE bid = {aid % 2 + 1};"
            "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) "
            f"VALUES ({aid % 20 + 1}, {aid % 2 + 1}, {aid}, {delta}, CURRENT_TIMESTAMP); END"
            for aid, delta in ((n * 37 % 2000 + 1, n * 1013 % 9999 - 5000) for n in range(300))
        ],
    )
    shapes.assert_equal(
        *(f"public.pgbench_{each}" for each in ("branches", "tellers", "accounts", "history"))
    )


def test_rows_of_megabytes_arrive(shapes: Shapes) -> None:
    megabyte = "string_agg(md5(i::text || n), '')"
    shapes.execute(
        # 40 rows of 2 MB in one transaction, then single rows of 5 and 20 MB, each with its update.
        f"INSERT INTO shop.huge SELECT n, 0, {megabyte} "
        "FROM generate_series(1, 40) n, generate_series(1, 65536) i GROUP BY n",
        "UPDATE shop.huge SET n = 1 WHERE id <= 10",
        f"INSERT INTO shop.huge SELECT n, 0, {megabyte} "
        "FROM generate_series(101, 101) n, generate_series(1, 163840) i GROUP BY n",
        "UPDATE shop.huge SET n = 1 WHERE id = 101",
        f"INSERT INTO shop.huge SELECT n, 0, {megabyte} "
        "FROM generate_series(102, 102) n, generate_series(1, 655360) i GROUP BY n",
        "UPDATE shop.huge SET n = 1 WHERE id = 102",
        "DELETE FROM shop.huge WHERE id = 1",
    )
    [report] = shapes.verify("shop.huge").values()
    assert report["equal"], report
    assert (report["source_rows"], report["dead_letters"]) == (44, 0)
    # As hashes: ClickHouse's memory is for smaller answers.
    with shapes.deployed.postgres.connect() as connection:
        ours = connection.execute("SELECT id, n, md5(t) FROM shop.huge ORDER BY id").fetchall()
    assert ours == shapes.ask("SELECT id, n, lower(hex(MD5(t))) FROM shop.huge ORDER BY id")


def test_a_change_beyond_the_limit_is_told_and_waits(shapes: Shapes) -> None:
    topic = shapes.table("shop.orders").topic
    _limit(shapes, topic, AlterConfigOpType.SET)
    shapes.execute(
        "INSERT INTO shop.orders SELECT 77, string_agg(md5(i::text), '') "
        "FROM generate_series(1, 10000) i",
        "INSERT INTO shop.orders VALUES (78, 'behind it')",
    )
    deadline = time.monotonic() + 120
    while (status := shapes.project.cdc("status")).returncode == 0:
        assert time.monotonic() < deadline, "nothing says that the change does not fit"
        time.sleep(1)
    assert "FAILED" in status.stdout, status.stdout
    assert "RecordTooLargeException" in status.stdout, status.stdout
    _limit(shapes, topic, AlterConfigOpType.DELETE)
    _up(shapes.project)
    shapes.assert_equal("shop.orders")
    assert ("78", "behind it") in shapes.target_rows("shop.orders")


def _limit(shapes: Shapes, topic: str, operation: AlterConfigOpType) -> None:
    """Lets a topic take messages of 100 kB at most, or whatever the broker does again."""
    entry = ConfigEntry("max.message.bytes", "100000", incremental_operation=operation)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": shapes.deployed.kafka, "log_level": 0})
    admin.incremental_alter_configs([resource])[resource].result()
