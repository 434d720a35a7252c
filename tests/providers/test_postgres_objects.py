"""Database, role, heartbeat, publication, slot and captured table on a real Postgres."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from catalog.model import CaptureOptions, SourceTable
from providers.base import ProviderError
from providers.database import DatabaseProvider
from providers.heartbeat import BEAT, HeartbeatProvider
from providers.postgres import connected
from providers.publication import PublicationProvider
from providers.role import RoleProvider
from providers.slot import SlotProvider, fault
from providers.source_table import SourceTableProvider
from tests.providers.conftest import Services

ORDERS = CaptureOptions(
    table="inventory.orders", generated={"total_amount": "quantity * unit_price"}
)


def _role(services: Services, **changed: Any) -> dict[str, Any]:
    return {
        "connection": services.postgres,
        "role": "reader",
        "password": "pw-1",
        "mark": "cdc stack test",
        "tables": ["inventory.orders", "inventory.customers"],
        "able": True,
        **changed,
    }


def test_the_database_and_its_script_may_be_applied_any_number_of_times(services: Services) -> None:
    props = {
        "connection": {**services.postgres, "database": "postgres"},
        "database": "twice",
        "script": "CREATE TABLE IF NOT EXISTS t (a int)",
    }
    provider = DatabaseProvider()
    provider.create(props)
    provider.create(props)
    changed = {**props, "script": "ALTER TABLE t ADD COLUMN IF NOT EXISTS b int"}
    assert provider.diff("twice", props, changed).changes
    provider.update("twice", props, changed)
    assert provider.read("twice", props).id == "twice"
    at = {**services.postgres, "database": "twice"}
    with connected(at) as conn:
        assert conn.execute("SELECT a, b FROM t").fetchall() == []
    provider.delete("twice", props)
    assert provider.read("twice", props).id == "twice", "a source database is never dropped"


def test_a_wrong_password_is_told_at_once(services: Services) -> None:
    wrong = {**services.postgres, "password": "wrong"}
    with pytest.raises(ProviderError, match="authentication failed"):
        RoleProvider().read("reader", {**_role(services), "connection": wrong})


def test_the_role_can_read_its_tables_replicate_and_nothing_more(services: Services) -> None:
    provider, props = RoleProvider(), _role(services)
    provider.create(props)
    dsn = (
        f"host=127.0.0.1 port={services.ports.postgres} dbname=inventory user=reader password=pw-1"
    )
    with psycopg.connect(dsn, autocommit=True) as reader:
        reader.execute("SELECT count(*) FROM inventory.orders")
        for refused in (
            "SELECT * FROM inventory.shipments",
            "UPDATE inventory.orders SET quantity = 1",
            "CREATE TABLE inventory.mine (a int)",
            "CREATE ROLE another",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(refused.encode())
    provider.delete("reader", props)
    assert provider.read("reader", props).id == ""


def test_the_roles_grants_and_attributes_are_compared_and_healed(services: Services) -> None:
    provider, props = RoleProvider(), _role(services)
    provider.create(props)
    with services.sql() as conn:
        conn.execute("REVOKE SELECT ON inventory.orders FROM reader")
        conn.execute("GRANT SELECT ON inventory.shipments TO reader")
        conn.execute("ALTER ROLE reader NOREPLICATION")
    seen = provider.read("reader", props).outs
    assert seen is not None
    assert seen["tables"] == ["inventory.customers", "inventory.shipments"]
    assert seen["able"] is False
    assert set(provider.changed(seen, props)) == {"tables", "able"}
    provider.update("reader", seen, props)
    assert provider.read("reader", props).outs == props
    provider.delete("reader", props)


def test_the_heartbeat_is_one_row_that_the_role_may_update(services: Services) -> None:
    RoleProvider().create(_role(services))
    provider = HeartbeatProvider()
    props = {"connection": services.postgres, "role": "reader"}
    provider.create(props)
    provider.create(props)
    dsn = (
        f"host=127.0.0.1 port={services.ports.postgres} dbname=inventory user=reader password=pw-1"
    )
    with psycopg.connect(dsn, autocommit=True) as reader:
        assert reader.execute(BEAT.encode()).rowcount == 1
    seen = RoleProvider().read("reader", _role(services)).outs
    assert seen is not None
    assert seen["tables"] == _role(services)["tables"], (
        "the heartbeat's grant is not the role's drift"
    )
    with services.sql() as conn:
        conn.execute("DELETE FROM cdc.heartbeat")
    assert provider.read("cdc.heartbeat", props).id == ""
    provider.create(props)
    assert provider.read("cdc.heartbeat", props).id
    provider.delete("cdc.heartbeat", props)
    with services.sql() as conn:
        assert conn.execute("SELECT to_regnamespace('cdc')").fetchone() == (None,)
    RoleProvider().delete("reader", _role(services))


def _publication(services: Services, *tables: str) -> dict[str, Any]:
    return {
        "connection": services.postgres,
        "publication": "pub_test",
        "tables": sorted(tables),
        "mark": "cdc stack test",
        "prepared": False,
        "whole": True,
    }


def test_the_publication_holds_exactly_its_tables(services: Services) -> None:
    provider = PublicationProvider()
    props = _publication(services, "inventory.orders", "inventory.customers")
    made = provider.create(props)
    created = made.outs
    assert created is not None
    assert int(made.id) > 0
    with services.sql() as conn:
        conn.execute("ALTER PUBLICATION pub_test DROP TABLE inventory.orders")
        conn.execute("ALTER PUBLICATION pub_test SET (publish = 'insert')")
    seen = provider.read(made.id, created).outs
    assert seen is not None
    assert seen["tables"] == ["inventory.customers"]
    assert set(provider.changed(seen, props)) == {"tables", "whole"}
    healed = provider.update(made.id, seen, props).outs
    assert healed == created
    provider.delete(made.id, props)
    assert provider.read(made.id, props).id == ""
    assert provider.create(props).id != made.id, "its successor is another one"
    assert provider.read(made.id, props).id == ""
    provider.delete(made.id, props)


def _slot(services: Services, name: str = "slot_test") -> dict[str, Any]:
    reader = f"{services.connect}/connectors/nobody"
    return {
        "connection": services.postgres,
        "slot": name,
        "publication": "1",
        "reader": reader,
        "lsn": None,
    }


def test_the_slot_tells_where_it_began_and_goes_when_it_is_deleted(services: Services) -> None:
    provider, props = SlotProvider(), _slot(services)
    with services.sql() as conn:
        row = conn.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
    assert row is not None
    outs = provider.create(props).outs
    assert outs is not None
    assert int(outs["lsn"]) >= row[0], "the slot must not claim to stream what was before it"
    assert not provider.diff("slot_test", outs, props).changes
    assert provider.read("slot_test", outs).id == "slot_test"
    provider.delete("slot_test", outs)
    assert provider.read("slot_test", outs).id == ""
    provider.delete("slot_test", outs)


def test_a_slot_that_is_gone_or_lost_is_replaced(services: Services) -> None:
    provider, props = SlotProvider(), _slot(services)
    outs = provider.create(props).outs
    assert outs is not None
    with services.sql() as conn:
        conn.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        conn.execute("SELECT pg_reload_conf()")
        try:
            for _ in range(4):  # a segment each: more log than may be kept
                conn.execute("CREATE TABLE filler AS SELECT generate_series(1, 100)")
                conn.execute("DROP TABLE filler")
                conn.execute("SELECT pg_switch_wal()")
            conn.execute("CHECKPOINT")
            assert provider.diff("slot_test", outs, props).replaces == ["slot"]
            assert "is lost" in fault(conn, "slot_test", props["reader"])
            assert provider.read("slot_test", outs).id == ""
        finally:
            conn.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
            conn.execute("SELECT pg_reload_conf()")
        provider.delete("slot_test", outs)
        assert provider.diff("slot_test", outs, props).replaces == ["slot"]
        again = provider.create(props).outs
        assert again is not None
        assert int(again["lsn"]) > int(outs["lsn"])
        assert fault(conn, "slot_test", props["reader"]) == ""
    provider.delete("slot_test", again)


def test_a_slot_left_by_an_interrupted_run_is_taken_over(services: Services) -> None:
    provider, props = SlotProvider(), _slot(services)
    first = provider.create(props).outs
    again = provider.create(props).outs
    assert first is not None and again is not None
    assert again["lsn"] == first["lsn"]
    provider.delete("slot_test", props)


def test_a_slot_of_another_kind_is_left_alone(services: Services) -> None:
    with services.sql() as conn:
        conn.execute("SELECT pg_create_physical_replication_slot('slot_test')")
        with pytest.raises(ProviderError, match="set cdc:slot to another name"):
            SlotProvider().create(_slot(services))
        conn.execute("SELECT pg_drop_replication_slot('slot_test')")


def _table(services: Services, options: CaptureOptions = ORDERS) -> dict[str, Any]:
    return {
        "connection": services.postgres,
        "table": options.table,
        "options": options.model_dump_json(),
        "identity": "FULL",
        "described": None,
        "previous": None,
    }


def _identity(services: Services, table: str) -> str:
    with services.sql() as conn:
        row = conn.execute(
            "SELECT relreplident::text FROM pg_class WHERE oid = to_regclass(%s)", [table]
        ).fetchone()
    assert row is not None
    return str(row[0])


def test_a_captured_table_is_described_and_gives_its_identity_back(services: Services) -> None:
    provider, props = SourceTableProvider(), _table(services)
    before = _identity(services, "inventory.orders")
    outs = provider.create(props).outs
    assert outs is not None
    described = SourceTable.model_validate_json(outs["described"])
    assert described.key == ("id",)
    assert {"order_number", "unit_price", "total_amount"} <= {c.name for c in described.columns}
    assert _identity(services, "inventory.orders") == "f"
    assert not provider.diff("inventory.orders", outs, props).changes
    provider.delete("inventory.orders", outs)
    assert _identity(services, "inventory.orders") == before


def test_a_column_added_in_postgres_shows_up_as_a_change(services: Services) -> None:
    provider = SourceTableProvider()
    with services.sql() as conn:
        conn.execute("CREATE TABLE inventory.grows (id int PRIMARY KEY)")
    props = _table(services, CaptureOptions(table="inventory.grows"))
    outs = provider.create(props).outs
    assert outs is not None
    with services.sql() as conn:
        conn.execute("ALTER TABLE inventory.grows ADD COLUMN note text")
    assert provider.diff("inventory.grows", outs, props).changes
    updated = provider.update("inventory.grows", outs, props).outs
    assert updated is not None
    assert [c.name for c in SourceTable.model_validate_json(updated["described"]).columns] == [
        "id",
        "note",
    ]
    with services.sql() as conn:
        conn.execute("ALTER TABLE inventory.grows REPLICA IDENTITY DEFAULT")
    drifted = provider.read("inventory.grows", updated).outs
    assert drifted is not None
    assert provider.changed(drifted, props) == ["identity"]
    with services.sql() as conn:
        conn.execute("DROP TABLE inventory.grows")
    assert provider.read("inventory.grows", updated).id == ""


def test_a_table_that_is_not_there_is_named(services: Services) -> None:
    with pytest.raises(ProviderError, match=r"inventory\.nothing"):
        SourceTableProvider().create(_table(services, CaptureOptions(table="inventory.nothing")))
