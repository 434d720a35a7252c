"""Tables, queues and views on the real ClickHouse engine (in process, by the embedded daemon)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from catalog.types import mapping, supported_types
from providers.base import ProviderError
from providers.clickhouse import ObjectsProvider
from tests.providers.conftest import Services

MERGE_TREE = "ENGINE = MergeTree ORDER BY `id`"


@pytest.fixture
def client(services: Services) -> Iterator[Client]:
    at = services.clickhouse
    client = clickhouse_connect.get_client(
        host=at["host"], port=at["port"], username=at["user"], password=at["password"]
    )
    client.command("DROP DATABASE IF EXISTS shop")
    yield client
    client.command("DROP DATABASE IF EXISTS shop")
    client.close()


def _table(
    *columns: tuple[str, str], name: str = "shop.t", body: str = MERGE_TREE
) -> dict[str, Any]:
    listed = ", ".join(f"`{column}` {kind}" for column, kind in columns)
    return {
        "name": name,
        "kind": "table",
        "create": f"CREATE TABLE IF NOT EXISTS {name} ({listed}) {body}",
        "body": body,
        "columns": [list(column) for column in columns],
    }


def _view(select: str) -> dict[str, Any]:
    create = f"CREATE OR REPLACE VIEW shop.v AS {select}"
    return {"name": "shop.v", "kind": "view", "create": create, "body": select, "columns": []}


def _feed(select: str) -> dict[str, Any]:
    return {
        "name": "shop.mv",
        "kind": "materialized_view",
        "create": f"CREATE MATERIALIZED VIEW IF NOT EXISTS shop.mv TO shop.t AS {select}",
        "body": select,
        "columns": [],
    }


DATABASE = {
    "name": "shop",
    "kind": "database",
    "create": "CREATE DATABASE IF NOT EXISTS shop",
    "body": "",
    "columns": [],
}
ID = ("id", "UInt64 CODEC(Delta, ZSTD(1))")
NOTE = ("note", "Nullable(String)")


def _props(services: Services, *objects: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "connection": services.clickhouse,
        "objects": [DATABASE, *objects],
        "afterwards": [],
        "allow_destructive": False,
        "applied": None,
        **changed,
    }


def _created(props: dict[str, Any]) -> dict[str, Any]:
    outs = ObjectsProvider().create(props).outs
    assert outs is not None
    return outs


def _updated(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    outs = ObjectsProvider().update("shop", olds, news).outs
    assert outs is not None
    return outs


def _read(outs: dict[str, Any]) -> dict[str, Any]:
    found = ObjectsProvider().read("shop", outs).outs
    assert found is not None
    return found


def test_applied_twice_changes_nothing(services: Services, client: Client) -> None:
    props = _props(services, _table(ID, NOTE), _view("SELECT id FROM shop.t"))
    outs = _created(props)
    client.command("INSERT INTO shop.t VALUES (1, 'kept')")
    assert _created(props) == outs
    assert _read(outs) == outs
    assert not ObjectsProvider().diff("shop", outs, props).changes
    assert client.query("SELECT id, note FROM shop.t").result_rows == [(1, "kept")]


def test_an_added_column_keeps_the_rows(services: Services, client: Client) -> None:
    outs = _created(_props(services, _table(ID)))
    client.command("INSERT INTO shop.t VALUES (1)")
    wanted = _props(services, _table(ID, NOTE))
    assert ObjectsProvider().check(outs, wanted).failures == []
    _updated(outs, wanted)
    assert client.query("SELECT id, note FROM shop.t").result_rows == [(1, None)]


def test_a_column_of_any_mapped_type_is_known_again(services: Services, client: Client) -> None:
    kinds = {
        made.stored(nullable)
        for name in (*supported_types(), "integer[]", "timestamp with time zone[]")
        if (made := mapping(name)) is not None
        for nullable in (True, False)
    }
    columns = [(f"c{n}", f"{kind} CODEC(ZSTD(1))") for n, kind in enumerate(sorted(kinds))]
    outs = _created(_props(services, _table(ID, *columns)))
    _updated(outs, _props(services, _table(ID, *columns, NOTE)))
    assert client.query("SELECT count(note) FROM shop.t").result_rows == [(0,)]


def test_a_view_and_what_it_reads_change_together(services: Services, client: Client) -> None:
    source = _table(ID, name="shop.s", body="ENGINE = Null")
    outs = _created(_props(services, source, _table(ID), _feed("SELECT id FROM shop.s")))
    client.command("INSERT INTO shop.s VALUES (1)")
    wider = _table(ID, NOTE, name="shop.s", body="ENGINE = Null")
    feed = _feed("SELECT id, note FROM shop.s")
    _updated(outs, _props(services, wider, _table(ID, NOTE), feed))
    client.command("INSERT INTO shop.s VALUES (2, 'new')")
    rows = client.query("SELECT id, note FROM shop.t ORDER BY id").result_rows
    assert rows == [(1, None), (2, "new")]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (_table(ID, ("note", "UInt8")), "changed from Nullable(String) to UInt8"),
        (_table(ID, NOTE, body="ENGINE = MergeTree ORDER BY tuple()"), "means a new table"),
        (_table(("id", "UInt128"), NOTE), "means a new table"),
    ],
)
def test_what_would_lose_data_is_refused_at_preview(
    services: Services, client: Client, table: dict[str, Any], sentence: str
) -> None:
    outs = _created(_props(services, _table(ID, NOTE)))
    failures = ObjectsProvider().check(outs, _props(services, table)).failures
    assert [sentence in each.reason for each in failures] == [True], failures
    assert client.query("SELECT count() FROM shop.t").result_rows == [(0,)]


def test_a_destructive_change_is_applied_where_it_is_allowed(
    services: Services, client: Client
) -> None:
    outs = _created(_props(services, _table(ID, NOTE, ("n", "String"))))
    client.command("INSERT INTO shop.t VALUES (1, 'gone', '7')")
    wanted = _props(services, _table(ID, ("n", "UInt8")), allow_destructive=True)
    assert ObjectsProvider().check(outs, wanted).failures == []
    _updated(outs, wanted)
    assert client.query("SELECT * FROM shop.t").result_rows == [(1, 7)]


def test_a_column_wanted_no_more_keeps_what_it_has(services: Services, client: Client) -> None:
    outs = _created(_props(services, _table(ID, NOTE)))
    client.command("INSERT INTO shop.t VALUES (1, 'kept')")
    wanted = _props(services, _table(ID))
    assert ObjectsProvider().check(outs, wanted).failures == []
    outs = _updated(outs, wanted)
    assert client.query("SELECT id, note FROM shop.t").result_rows == [(1, "kept")]
    assert not ObjectsProvider().diff("shop", _read(outs), wanted).changes


@pytest.mark.parametrize(
    ("old", "new", "becomes"),
    [
        ("Int16", "Int64", "Int64"),
        ("Decimal(10, 2)", "Decimal(14, 4)", "Decimal(14, 4)"),
        ("Int32", "Nullable(Int32)", "Nullable(Int32)"),
        ("Int32", "Nullable(Int64)", "Nullable(Int64)"),
        ("Nullable(Int32)", "Int32", "Nullable(Int32)"),
        ("Nullable(Int32)", "Int64", "Nullable(Int64)"),
    ],
)
def test_a_type_that_only_grew_is_taken_over(
    services: Services, client: Client, old: str, new: str, becomes: str
) -> None:
    outs = _created(_props(services, _table(ID, ("n", old))))
    client.command("INSERT INTO shop.t VALUES (1, 7)")
    wanted = _props(services, _table(ID, ("n", new)))
    assert ObjectsProvider().check(outs, wanted).failures == []
    _updated(outs, wanted)
    assert client.query("SELECT n, toTypeName(n) FROM shop.t").result_rows == [(7, becomes)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Int64", "Int32"),
        ("Int32", "UInt64"),
        ("Decimal(10, 2)", "Decimal(11, 4)"),
        ("Decimal(10, 2)", "Decimal(10, 1)"),
        ("String", "Int64"),
        ("DateTime64(6, 'UTC')", "Date32"),
    ],
)
def test_a_type_that_holds_less_is_refused(
    services: Services, client: Client, old: str, new: str
) -> None:
    outs = _created(_props(services, _table(ID, ("n", old))))
    failures = ObjectsProvider().check(outs, _props(services, _table(ID, ("n", new)))).failures
    assert ["would be changed" in each.reason for each in failures] == [True]
    assert client.query("SELECT toTypeName(n) FROM shop.t").result_rows == []


def test_rows_show_the_default_of_a_column_that_is_added(
    services: Services, client: Client
) -> None:
    outs = _created(_props(services, _table(ID)))
    client.command("INSERT INTO shop.t VALUES (1)")
    column = ("n", "Int32 DEFAULT CAST('7', 'Nullable(Int32)') CODEC(ZSTD(1))")
    _updated(outs, _props(services, _table(ID, column)))
    assert client.query("SELECT id, n FROM shop.t").result_rows == [(1, 7)]


def test_a_default_that_a_column_can_not_hold_is_refused_with_what_to_do(
    services: Services, client: Client
) -> None:
    outs = _created(_props(services, _table(ID)))
    client.command("INSERT INTO shop.t VALUES (1)")
    column = ("n", "Int32 DEFAULT toInt32OrNull('infinity') CODEC(ZSTD(1))")
    with pytest.raises(ProviderError, match="as_text"):
        _updated(outs, _props(services, _table(ID, column)))
    assert client.query("SELECT * FROM shop.t").result_rows == [(1,)]


def test_another_key_makes_the_table_anew_where_that_is_allowed(
    services: Services, client: Client
) -> None:
    outs = _created(_props(services, _table(ID, NOTE)))
    client.command("INSERT INTO shop.t VALUES (1, 'gone')")
    body = "ENGINE = MergeTree ORDER BY (`id`, `note`) SETTINGS allow_nullable_key = 1"
    wanted = _props(services, _table(ID, NOTE, body=body), allow_destructive=True)
    _updated(outs, wanted)
    assert client.query("SELECT count() FROM shop.t").result_rows == [(0,)]
    assert client.query("SELECT sorting_key FROM system.tables WHERE name = 't'").result_rows == [
        ("id, note",)
    ]


def test_drift_by_hand_is_seen_and_healed(services: Services, client: Client) -> None:
    props = _props(
        services,
        _table(ID, NOTE),
        _view("SELECT id FROM shop.t"),
        _table(ID, name="shop.s", body="ENGINE = Null"),
        _feed("SELECT id FROM shop.s"),
    )
    outs = _created(props)
    for statement, name in (
        ("ALTER TABLE shop.t DROP COLUMN note", "shop.t"),
        ("CREATE OR REPLACE VIEW shop.v AS SELECT 1 AS one", "shop.v"),
        ("DROP TABLE shop.mv", "shop.mv"),
    ):
        client.command(statement)
        seen = _read(outs)
        assert ObjectsProvider().changed(seen, props) == ["objects"], name
        outs = _updated(seen, props)
        assert _read(outs) == outs, name
    client.command("INSERT INTO shop.s VALUES (5)")
    assert client.query("SELECT id, note FROM shop.t").result_rows == [(5, None)]


def test_a_column_of_another_type_by_hand_is_not_converted_without_leave(
    services: Services, client: Client
) -> None:
    props = _props(services, _table(ID, NOTE))
    outs = _created(props)
    client.command("ALTER TABLE shop.t MODIFY COLUMN note Nullable(UInt8)")
    seen = _read(outs)
    with pytest.raises(ProviderError, match=r"note is Nullable\(UInt8\) and should be"):
        _updated(seen, props)


def test_a_removed_object_goes_and_tables_with_data_stay(
    services: Services, client: Client
) -> None:
    outs = _created(_props(services, _table(ID), _view("SELECT id FROM shop.t")))
    outs = _updated(outs, _props(services, _table(ID)))
    assert client.query("EXISTS VIEW shop.v").result_rows == [(0,)]
    client.command("INSERT INTO shop.t VALUES (1)")
    ObjectsProvider().delete("shop", outs)
    assert client.query("SELECT id FROM shop.t").result_rows == [(1,)]


def test_a_database_dropped_by_hand_is_missed(services: Services, client: Client) -> None:
    outs = _created(_props(services, _table(ID)))
    client.command("DROP DATABASE shop SYNC")
    assert ObjectsProvider().read("shop", outs).id == ""


def test_a_wrong_statement_is_told_in_the_servers_words(services: Services, client: Client) -> None:
    assert client.ping()
    wrong = {**_view("SELECT nothing FROM shop.t"), "name": "shop.v"}
    with pytest.raises(ProviderError, match="nothing"):
        _created(_props(services, _table(ID), wrong))
