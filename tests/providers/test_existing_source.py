"""An existing server: what it lacks is told in one message, and nothing is left behind on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pulumi
import pytest
from psycopg.conninfo import conninfo_to_dict

from catalog.selection import parse_selection
from components.existing_postgres import ExistingPostgres
from components.source_url import SourceUrl
from ops.readiness_model import Plan, UserIs
from providers.base import ProviderError
from providers.heartbeat import BEAT, HeartbeatProvider
from providers.publication import PublicationProvider
from providers.role import RoleProvider
from providers.slot import SlotProvider
from providers.source_table import SourceTableProvider
from tests.catalogs import catalogs
from tests.local.scratch import postgres, restart

MARK = "cdc stack mine"
SHOP = """
CREATE ROLE app LOGIN;
CREATE ROLE admin LOGIN CREATEROLE REPLICATION;
CREATE ROLE plain LOGIN;
GRANT app TO admin;
REVOKE CREATE ON DATABASE shop FROM PUBLIC;
GRANT CREATE ON DATABASE shop TO admin;
CREATE SCHEMA sales AUTHORIZATION app;
SET ROLE app;
CREATE TABLE sales.orders (id int PRIMARY KEY, note text);
CREATE TABLE sales.lines (id int PRIMARY KEY, note text);
CREATE TABLE sales."Odd-Name" (id int PRIMARY KEY, note text);
CREATE UNLOGGED TABLE sales.scratch (id int PRIMARY KEY);
CREATE TABLE sales.shapes (id int PRIMARY KEY, kind regclass);
COMMENT ON TABLE sales.orders IS 'of the shop';
GRANT SELECT ON sales.orders TO plain;
RESET ROLE;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres("shop", {"max_replication_slots": "3", "max_slot_wal_keep_size": "1GB"}) as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(SHOP)
        yield dsn


@contextmanager
def changed(dsn: str, before: str, after: str) -> Iterator[None]:
    """Statements of a superuser for the time of a test."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(before.encode())
        try:
            yield
        finally:
            conn.execute(after.encode())


def _url(dsn: str, user: str) -> SourceUrl:
    at = conninfo_to_dict(dsn)
    return SourceUrl.parse(f"postgresql://{user}:pw@{at['host']}:{at['port']}/{at['dbname']}")


def _tables(dsn: str, user: str, user_is: UserIs, *listed: Any) -> list[str]:
    plan = Plan(user_is, MARK, "cdc_mine", "pub_mine", "cdc_mine_reader")
    entries = parse_selection(list(listed) or ["sales.[ol]*"])
    return [each.table for each in ExistingPostgres.tables(_url(dsn, user), entries, plan)]


def _message(dsn: str, user: str, user_is: UserIs = "administrator", *listed: Any) -> str:
    before = catalogs(dsn)
    with pytest.raises(pulumi.RunError) as caught:
        _tables(dsn, user, user_is, *listed)
    assert catalogs(dsn) == before, "looking must change nothing"
    return str(caught.value)


def _statements(message: str) -> list[str]:
    return [line.strip() for line in message.splitlines() if line.rstrip().endswith(";")]


def _run(dsn: str, message: str) -> None:
    """What a person would do with the message."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in _statements(message):
            conn.execute(statement.encode())


@pytest.mark.parametrize("user", ["postgres", "admin"])
def test_a_ready_server_says_which_tables_are_meant(server: str, user: str) -> None:
    assert _tables(server, user, "administrator") == ["sales.lines", "sales.orders"]


def test_all_that_is_missing_is_in_one_message_and_its_statements_put_it_right(
    server: str,
) -> None:
    message = _message(server, "plain")
    lines = message.splitlines()
    assert "not ready to be captured; nothing was changed. It lacks" in lines[0]
    for told in (
        "user plain may not make replication slots",
        "user plain may not make the connector's login cdc_mine_reader",
        "user plain may not let cdc_mine_reader into schema sales",
        "user plain may not read tables sales.lines, sales.orders",
        "user plain is not the owner of tables sales.lines, sales.orders: only app may",
        "user plain may not make a publication",
    ):
        assert [line for line in lines if told in line], (told, message)
    numbers = [line.strip().split(".")[0] for line in lines[1:] if line[:4].strip()]
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)]
    rights = "NOREPLICATION NOCREATEROLE"
    undo = (
        "REVOKE app FROM plain; REVOKE CREATE ON DATABASE shop FROM plain; "
        "REVOKE ALL ON SCHEMA sales FROM plain; REVOKE SELECT ON sales.lines FROM plain; "
        f"ALTER ROLE plain {rights}"
    )
    with changed(server, "SELECT 1", undo):
        _run(server, message)
        assert _tables(server, "plain", "administrator") == ["sales.lines", "sales.orders"]


def test_an_owner_needs_no_right_to_make_roles(server: str) -> None:
    with changed(server, "GRANT CREATE ON DATABASE shop TO app", "SELECT 1"):
        message = _message(server, "app", "owner")
        assert _statements(message) == ['ALTER ROLE "app" REPLICATION;']
    undo = "ALTER ROLE app NOREPLICATION; REVOKE CREATE ON DATABASE shop FROM app"
    with changed(server, "ALTER ROLE app REPLICATION", undo):
        assert _tables(server, "app", "owner") == ["sales.lines", "sales.orders"]


def test_who_reads_a_table_without_a_key_may_lock_it_too(server: str) -> None:
    made = "CREATE TABLE sales.bag (a int NOT NULL UNIQUE); ALTER TABLE sales.bag OWNER TO app"
    with changed(server, made, "DROP TABLE sales.bag"):
        lock = 'GRANT UPDATE ON "sales"."bag" TO "plain";'
        assert lock in _statements(_message(server, "plain", "reader", "sales.bag"))
        keyed = {"table": "sales.bag", "key": ["a"]}
        assert lock not in _statements(_message(server, "plain", "reader", keyed))
        assert "GRANT UPDATE" not in _message(server, "plain", "reader", "sales.lines")


def test_a_reader_gets_the_whole_script_for_whoever_prepares_it(server: str) -> None:
    undo = (
        "DROP PUBLICATION IF EXISTS pub_mine; DROP SCHEMA IF EXISTS cdc CASCADE; "
        "ALTER ROLE plain NOREPLICATION; REVOKE SELECT ON sales.lines FROM plain; "
        'REVOKE SELECT ON sales."Odd-Name" FROM plain; REVOKE USAGE ON SCHEMA sales FROM plain; '
        "ALTER TABLE sales.orders REPLICA IDENTITY DEFAULT; "
        "ALTER TABLE sales.lines REPLICA IDENTITY DEFAULT; "
        'ALTER TABLE sales."Odd-Name" REPLICA IDENTITY DEFAULT'
    )
    with changed(server, "SELECT 1", undo):
        _run(server, _message(server, "plain", "reader"))
        assert _tables(server, "plain", "reader") == ["sales.lines", "sales.orders"]
        more = ["sales.lines", "sales.orders", "sales.Odd-Name"]
        message = _message(server, "plain", "reader", *more)
        assert 'ALTER PUBLICATION "pub_mine" ADD TABLE ONLY "sales"."Odd-Name";' in message
        _run(server, message)
        assert _tables(server, "plain", "reader", *more) == more

        publication = {
            "connection": _connection(server, "plain"),
            "publication": "pub_mine",
            "tables": ["cdc.heartbeat", *sorted(more)],
            "mark": MARK,
            "prepared": True,
            "whole": True,
        }
        before = catalogs(server)
        made = PublicationProvider().create(publication)
        assert int(made.id) > 0
        PublicationProvider().delete(made.id, publication)
        assert catalogs(server) == before, "what somebody else has prepared stays as it is"

        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute("ALTER PUBLICATION pub_mine SET TABLE sales.orders WHERE (id > 5)")
            conn.execute("ALTER PUBLICATION pub_mine SET (publish = 'insert')")
            conn.execute("ALTER TABLE sales.lines REPLICA IDENTITY DEFAULT")
        message = _message(server, "plain", "reader", *more[:2])
        for told in (
            "publication pub_mine leaves changes out",
            "publication pub_mine lacks tables sales.lines, cdc.heartbeat",
            "publication pub_mine carries only some rows or columns of sales.orders",
            "the replica identity of table sales.lines is not FULL",
        ):
            assert told in message
        _run(server, message)
        assert _tables(server, "plain", "reader", *more[:2]) == more[:2]


def test_rows_that_a_policy_hides_are_told(server: str) -> None:
    before = (
        "ALTER TABLE sales.lines ENABLE ROW LEVEL SECURITY; "
        "ALTER TABLE sales.lines FORCE ROW LEVEL SECURITY"
    )
    after = (
        "ALTER TABLE sales.lines DISABLE ROW LEVEL SECURITY; "
        "ALTER TABLE sales.lines NO FORCE ROW LEVEL SECURITY; ALTER ROLE admin NOBYPASSRLS"
    )
    with changed(server, before, after):
        message = _message(server, "admin")
        assert "row security policies hide rows of table sales.lines" in message
        _run(server, message)
        assert _tables(server, "admin", "administrator")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            "CREATE PUBLICATION pub_mine FOR TABLE sales.lines",
            "DROP PUBLICATION IF EXISTS pub_mine",
            "a publication pub_mine of table sales.lines exists and is not this stack's: "
            "set cdc:publication to another name",
        ),
        (
            "CREATE ROLE cdc_mine_reader",
            "DROP ROLE IF EXISTS cdc_mine_reader",
            "a role cdc_mine_reader exists and is not this stack's: set cdc:slot",
        ),
        (
            "SELECT pg_create_logical_replication_slot('cdc_mine', 'pgoutput')",
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
            "a replication slot cdc_mine exists and is not this stack's",
        ),
        (
            "CREATE SCHEMA cdc AUTHORIZATION admin; CREATE TABLE cdc.heartbeat (id int)",
            "DROP SCHEMA cdc CASCADE",
            "a table cdc.heartbeat exists and is not a heartbeat of a stack: rename it",
        ),
        (
            "CREATE SCHEMA cdc",
            "DROP SCHEMA cdc",
            "user admin may not make cdc.heartbeat: its schema is another's",
        ),
        (
            "SELECT pg_create_physical_replication_slot(name) FROM unnest('{a,b,c}'::text[]) name",
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
            "all 3 replication slots are taken (a, b, c): one more is needed",
        ),
        (
            "ALTER ROLE admin SET default_transaction_read_only = on",
            "ALTER ROLE admin RESET default_transaction_read_only",
            "transactions are read-only",
        ),
    ],
)
def test_what_is_taken_or_closed_is_told(server: str, before: str, after: str, told: str) -> None:
    with changed(server, before, after):
        message = _message(server, "admin")
        assert told in message
        assert "It lacks 1 thing(s)" in message
        if "all 3" not in told:  # that one wants a restart
            _run(server, message)
            assert _tables(server, "admin", "administrator")


def test_tables_that_cannot_be_captured_are_all_listed_with_their_reasons(server: str) -> None:
    message = _message(server, "postgres", "administrator", "sales.*", "sales.nothing")
    assert "of 6 tables can't be captured as configured" in message
    for told in ("sales.scratch is unlogged", "sales.shapes", "no table sales.nothing"):
        assert told in message
    excluded = {"schema": "sales", "exclude": ["s*"]}
    found = _tables(server, "postgres", "administrator", excluded)
    assert found == ["sales.Odd-Name", "sales.lines", "sales.orders"]


def test_a_new_table_of_the_pattern_is_in_the_next_answer(server: str) -> None:
    with changed(
        server,
        "CREATE TABLE sales.later (id int PRIMARY KEY); ALTER TABLE sales.later OWNER TO app",
        "DROP TABLE sales.later",
    ):
        assert "sales.later" in _tables(server, "admin", "administrator")
    assert "sales.later" not in _tables(server, "admin", "administrator")


def test_a_pattern_means_no_views_partitions_system_or_extension_tables(server: str) -> None:
    before = (
        "CREATE SCHEMA many; CREATE VIEW many.v AS SELECT 1 AS x; "
        "CREATE TABLE many.plain (id int PRIMARY KEY); "
        "CREATE TABLE many.whole (id int PRIMARY KEY) PARTITION BY RANGE (id); "
        "CREATE TABLE many.part PARTITION OF many.whole FOR VALUES FROM (0) TO (9)"
    )
    with changed(server, before, "DROP SCHEMA many CASCADE"):
        message = _message(server, "postgres", "administrator", "many.*", "many.missing")
        assert "of 3 tables" in message, message
        assert "many.v" not in message and "many.part " not in message


def test_nobody_answers_or_lets_in_is_one_line(server: str) -> None:
    url = _url(server, "postgres").model_copy(update={"port": 1})
    plan = Plan("administrator", MARK, "s", "p", "r")
    with pytest.raises(
        pulumi.RunError, match=r"cdc:source: 127.0.0.1:1/shop as postgres: .*refused"
    ):
        ExistingPostgres.tables(url, parse_selection(["a.b"]), plan)
    with pytest.raises(pulumi.RunError, match='database "nowhere" does not exist'):
        other = _url(server, "postgres").model_copy(update={"database": "nowhere"})
        ExistingPostgres.tables(other, parse_selection(["a.b"]), plan)


def test_a_database_of_another_encoding_is_told(server: str) -> None:
    make = "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    with changed(server, make, "DROP DATABASE latin"):
        url = _url(server, "postgres").model_copy(update={"database": "latin"})
        plan = Plan("administrator", MARK, "s", "p", "r")
        with pytest.raises(pulumi.RunError, match="encoded in LATIN1, only UTF8"):
            ExistingPostgres.tables(url, parse_selection(["a.b"]), plan)


def test_a_standby_is_told() -> None:
    with postgres("shop", {"max_slot_wal_keep_size": "1GB"}) as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(SHOP)
            row = conn.execute("SHOW data_directory").fetchone()
        assert row is not None
        (Path(row[0]) / "standby.signal").touch()
        restart(Path(row[0]))
        message = _message(dsn, "postgres")
        assert "1. it is a standby, which can't be written to: give the primary's" in message
        assert "It lacks 1 thing(s)" in message


def test_a_server_that_does_not_log_row_changes_or_lets_nobody_replicate_is_told() -> None:
    hba = "host all all 127.0.0.1/32 trust\n"
    closed = {"max_wal_senders": "0", "wal_level": "replica", "max_slot_wal_keep_size": "1GB"}
    with postgres("shop", closed, {"pg_hba.conf": hba}) as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(SHOP)
        message = _message(dsn, "postgres")
        assert "1. wal_level is replica" in message
        assert "ALTER SYSTEM SET wal_level = logical;" in message
        assert "2. all 0 WAL senders are taken" in message


def _connection(dsn: str, user: str) -> dict[str, Any]:
    at = conninfo_to_dict(dsn)
    return {
        "host": at["host"],
        "port": at["port"],
        "user": user,
        "password": "pw",
        "database": at["dbname"],
        "parameters": {"sslmode": "prefer"},
    }


@pytest.mark.parametrize("user", ["postgres", "admin"])
def test_what_is_made_is_undone_to_the_last_grant(server: str, user: str) -> None:
    at = _connection(server, user)
    tables = ["sales.lines", "sales.orders"]
    before = catalogs(server)
    role = {
        "connection": at,
        "role": "cdc_mine_reader",
        "password": "pw",
        "mark": MARK,
        "tables": tables,
        "able": True,
    }
    heartbeat = {"connection": at, "role": "cdc_mine_reader"}
    publication = {
        "connection": at,
        "publication": "pub_mine",
        "tables": ["cdc.heartbeat", *tables],
        "mark": MARK,
        "prepared": False,
        "whole": True,
    }
    captured = []
    for name in tables:
        options = parse_selection([name])[0].options.model_dump_json()
        props = {"connection": at, "table": name, "options": options, "identity": "FULL"}
        captured.append((name, SourceTableProvider().create(props).outs))
    RoleProvider().create(role)
    HeartbeatProvider().create(heartbeat)
    published = PublicationProvider().create(publication).outs
    slot = SlotProvider().create(
        {"connection": at, "slot": "cdc_mine", "publication": "1", "reader": "", "lsn": None}
    )
    assert published is not None and slot.outs is not None
    assert _tables(server, user, "administrator") == tables, "its own objects are no obstacle"
    dsn = server.replace("user=postgres", "user=cdc_mine_reader")
    with psycopg.connect(dsn, autocommit=True) as reader:
        assert reader.execute(BEAT.encode()).rowcount == 1
        reader.execute("SELECT * FROM sales.orders")
    assert catalogs(server) != before

    SlotProvider().delete("cdc_mine", slot.outs)
    PublicationProvider().delete("pub_mine", published)
    HeartbeatProvider().delete("cdc.heartbeat", heartbeat)
    RoleProvider().delete("cdc_mine_reader", role)
    for name, outs in captured:
        assert outs is not None
        SourceTableProvider().delete(name, outs)
    assert catalogs(server) == before


def test_a_busy_table_is_waited_for_without_blocking_its_users(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.postgres.LOCK_WAIT", 300)
    monkeypatch.setattr("providers.postgres.LOCK_PAUSE", 0.3)
    monkeypatch.setattr("providers.postgres.LOCK_PATIENCE", 2.0)
    options = parse_selection(["sales.orders"])[0].options.model_dump_json()
    props = {"connection": _connection(server, "postgres"), "table": "sales.orders"}
    before = catalogs(server)
    longest, done = 0.0, threading.Event()

    def use() -> None:
        nonlocal longest
        with psycopg.connect(server, autocommit=True) as user:
            while not done.is_set():
                began = time.monotonic()
                user.execute("SELECT count(*) FROM sales.orders")
                longest = max(longest, time.monotonic() - began)

    with psycopg.connect(server) as report, ThreadPoolExecutor() as pool:
        report.execute("SELECT count(*) FROM sales.orders")  # and its transaction stays open
        users = pool.submit(use)
        try:
            with pytest.raises(ProviderError, match=f"server processes {report.info.backend_pid}"):
                SourceTableProvider().create({**props, "options": options})
        finally:
            done.set()
        users.result()
    assert 0.1 < longest < 1.0, longest
    assert catalogs(server) == before


def test_another_stacks_heartbeat_stays_until_the_last_one_goes(server: str) -> None:
    at = _connection(server, "postgres")
    heartbeat = {"connection": at, "role": "postgres"}
    before = catalogs(server)
    HeartbeatProvider().create(heartbeat)
    with changed(
        server, "CREATE PUBLICATION other FOR TABLE cdc.heartbeat", "DROP PUBLICATION other"
    ):
        HeartbeatProvider().delete("cdc.heartbeat", heartbeat)
        assert HeartbeatProvider().read("cdc.heartbeat", heartbeat).id
    HeartbeatProvider().delete("cdc.heartbeat", heartbeat)
    assert catalogs(server) == before


def test_what_another_has_made_under_our_names_is_neither_altered_nor_dropped(server: str) -> None:
    at = _connection(server, "postgres")
    role = {
        "connection": at,
        "role": "cdc_mine_reader",
        "password": "pw",
        "mark": MARK,
        "tables": [],
        "able": True,
    }
    heartbeat = {"connection": at, "role": "postgres"}
    publication = {
        "connection": at,
        "publication": "pub_mine",
        "tables": ["sales.lines"],
        "mark": MARK,
        "prepared": False,
    }
    theirs = (
        "CREATE ROLE cdc_mine_reader; CREATE SCHEMA cdc; CREATE TABLE cdc.heartbeat (x int); "
        "CREATE PUBLICATION pub_mine FOR TABLE sales.orders"
    )
    undo = "DROP PUBLICATION pub_mine; DROP SCHEMA cdc CASCADE; DROP ROLE cdc_mine_reader"
    with changed(server, theirs, undo):
        before = catalogs(server)
        with pytest.raises(ProviderError, match="a role cdc_mine_reader exists"):
            RoleProvider().create(role)
        with pytest.raises(ProviderError, match=r"a table cdc\.heartbeat exists"):
            HeartbeatProvider().create(heartbeat)
        with pytest.raises(ProviderError, match="a publication pub_mine exists"):
            PublicationProvider().create(publication)
        RoleProvider().delete("cdc_mine_reader", role)
        HeartbeatProvider().delete("cdc.heartbeat", heartbeat)
        assert catalogs(server) == before


def test_amazons_servers_know_a_role_for_replication(server: str) -> None:
    """RDS gives no REPLICATION attribute away: its administrators are members of a role."""
    before = (
        "CREATE ROLE rds_replication; CREATE ROLE rds_superuser; "
        "GRANT rds_replication TO rds_superuser WITH ADMIN OPTION; "
        "ALTER ROLE admin NOREPLICATION"
    )
    undo = "ALTER ROLE admin REPLICATION; DROP ROLE rds_superuser; DROP ROLE rds_replication"
    with changed(server, before, undo):
        assert 'GRANT rds_replication TO "admin";' in _message(server, "admin")
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute("GRANT rds_superuser TO admin")
        message = _message(server, "admin")  # not a real one: the attribute is what lets in
        assert "a replication connection is refused" in message
        assert "It lacks 1 thing(s)" in message
        role = {
            "connection": _connection(server, "admin"),
            "role": "cdc_mine_reader",
            "password": "pw",
            "mark": MARK,
            "tables": ["sales.orders"],
            "able": True,
        }
        RoleProvider().create(role)
        seen = RoleProvider().read("cdc_mine_reader", role).outs
        assert seen == role
        RoleProvider().delete("cdc_mine_reader", role)
        assert RoleProvider().read("cdc_mine_reader", role).id == ""
