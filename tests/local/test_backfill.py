"""Loads out of a real Postgres into a real ClickHouse, while the source is busy in every way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from catalog.introspect import describe
from catalog.model import CaptureOptions, capture
from catalog.objects import KafkaSettings, platform_objects, table_objects
from ops.backfill import run, source
from ops.backfill.errors import BackfillError
from ops.backfill.run import Backfill, Done
from ops.backfill.target import Target
from ops.position import CaughtUp
from tests.embedded.daemon import ADMIN, Daemon
from tests.local.scratch import postgres

ROWS = 3_000
SCHEMA = f"""
DROP SCHEMA IF EXISTS shop CASCADE;
CREATE SCHEMA shop;
CREATE TABLE shop.t (id integer PRIMARY KEY, note text);
INSERT INTO shop.t SELECT n, repeat('x', 100) FROM generate_series(1, {ROWS}) n;
CREATE TABLE shop.heir (more text) INHERITS (shop.t);
INSERT INTO shop.heir VALUES (-1, 'a child has its own', 'more');
CREATE TABLE shop.parts (id integer PRIMARY KEY, note text) PARTITION BY RANGE (id);
CREATE TABLE shop.parts_1 PARTITION OF shop.parts FOR VALUES FROM (0) TO (1000);
CREATE TABLE shop.parts_2 PARTITION OF shop.parts FOR VALUES FROM (1000) TO (9999);
INSERT INTO shop.parts SELECT n, 'p' FROM generate_series(1, {ROWS}) n;
CREATE TABLE shop.bag (note text);
INSERT INTO shop.bag SELECT 'n' || n % 10 FROM generate_series(1, {ROWS}) n;
CREATE TABLE shop.none (id integer PRIMARY KEY);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres("backfill") as dsn:
        yield dsn


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    made = Daemon(Path(tmp_path_factory.mktemp("clickhouse")))
    made.start()
    yield made
    made.stop_if_running()


class Table:
    """A captured table without a stream: what the load alone makes of it."""

    def __init__(self, dsn: str, daemon: Daemon, name: str) -> None:
        self.dsn, self.daemon = dsn, daemon
        self.sql = psycopg.connect(dsn, autocommit=True)
        self.options = CaptureOptions(table=name)
        self.captured = capture(describe(self.sql, name), self.options, "test")
        daemon.ask("DROP DATABASE IF EXISTS shop SYNC")
        daemon.ask("DROP DATABASE IF EXISTS cdc SYNC")
        objects = table_objects(self.captured, self.options, KafkaSettings("nowhere:1"), 0)
        for made in [*platform_objects(), *objects]:
            if made.kind != "queue" and made.name != f"{name}_mv":
                daemon.ask(made.create)

    def backfill(self, caught_up: CaughtUp | None = None, **options: Any) -> Backfill:
        at = {"host": "127.0.0.1", "port": self.daemon.port}
        login = {"user": ADMIN[0], "password": ADMIN[1]}
        target = Target({**at, **login}, self.captured, "1")
        given: dict[str, Any] = {"standstill": lambda: "", **options}
        passed = caught_up or (lambda *_: {})
        return Backfill(self.captured, self.options, self.connect, target, passed, **given)

    def connect(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        return psycopg.connect(self.dsn)

    def equal(self) -> bool:
        """Whether both sides hold the same rows; counted, so that none may be there twice."""
        columns = ", ".join(column.name for column in self.captured.source.columns)
        ours = self.sql.execute(f"SELECT {columns} FROM {self.captured.source.rows}".encode())
        theirs = self.daemon.ask(f"SELECT {columns} FROM {self.captured.target} FORMAT TSV")
        return sorted("\t".join(map(str, row)) for row in ours) == sorted(theirs.splitlines())


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "RANGE_PAGES", 5)


@pytest.fixture
def table(server: str, daemon: Daemon) -> Iterator[Callable[[str], Table]]:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
    made: list[Table] = []

    def of(name: str) -> Table:
        made.append(Table(server, daemon, name))
        return made[-1]

    yield of
    for each in made:
        each.sql.close()


Of = Callable[[str], Table]


@pytest.mark.parametrize("name", ["t", "heir", "parts", "bag", "none"])
def test_every_row_arrives_once_and_only_the_tables_own(table: Of, name: str) -> None:
    loaded = table(f"shop.{name}")
    done = loaded.backfill().run()
    assert loaded.equal()
    assert done.rows == done.copied == {"heir": 1, "none": 0}.get(name, ROWS)


def test_progress_ends_at_the_rows_that_were_copied(table: Of) -> None:
    told: list[tuple[str, int, int | None]] = []
    loaded = table("shop.t")
    loaded.sql.execute("ANALYZE shop.t")
    loaded.backfill(progress=lambda *now: told.append(now)).run()
    counts = [done for what, done, _ in told if what == "shop.t"]
    assert counts == sorted(counts)
    assert (counts[-1], told[0][2]) == (ROWS, ROWS)
    assert told[-1][0] == "shop.t: waiting for the stream"


def test_a_load_that_was_killed_goes_on_with_what_is_left(table: Of) -> None:
    loaded, seen = table("shop.t"), 0

    def killed(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loaded.backfill(progress=killed, workers=1).run()
    done = loaded.backfill().run()
    assert 0 < done.copied < done.rows == ROWS
    assert loaded.equal()


@pytest.mark.parametrize("how", ["VACUUM FULL shop.t", "TRUNCATE shop.t"])
def test_rows_that_were_moved_while_they_were_copied_are_copied_anew(table: Of, how: str) -> None:
    loaded, moved = table("shop.t"), False

    def move(_what: str, done: int, _total: int | None) -> None:
        nonlocal moved
        if not moved and done > 500:
            moved = True
            # Not in this thread: it waits for the COPY that tells us.
            threading.Thread(target=lambda: loaded.sql.execute(how)).start()

    loaded.sql.execute("DELETE FROM shop.t WHERE id % 3 = 0")
    loaded.backfill(progress=move, workers=1).run()
    assert moved
    assert loaded.equal()


def test_a_load_waits_for_transactions_that_are_older(
    table: Of, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = table("shop.t")
    with psycopg.connect(loaded.dsn) as older:
        older.execute("UPDATE shop.t SET note = 'older' WHERE id = 7")
        monkeypatch.setattr(source, "PATIENCE", 0.3)
        pid = older.info.backend_pid
        with pytest.raises(BackfillError, match=rf"transactions .* are open.*process {pid} \("):
            loaded.backfill().run()
        monkeypatch.setattr(source, "PATIENCE", 60)
        found: list[Done] = []
        thread = threading.Thread(target=lambda: found.append(loaded.backfill().run()))
        thread.start()
        time.sleep(0.5)
        assert not found
    thread.join(60)
    assert found and loaded.equal()
    note = loaded.daemon.ask("SELECT note FROM shop.t WHERE id = 7")
    assert note == "older\n", "a change from before the position is in no stream"


def test_a_load_without_a_key_parts_its_snapshot_from_the_stream(
    table: Of, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = table("shop.bag")
    monkeypatch.setattr(source, "CUT_LOCK", "100ms")
    monkeypatch.setattr(source, "CUT_PAUSE", 0.1)
    monkeypatch.setattr(source, "CUT_TRIES", 2)
    with psycopg.connect(loaded.dsn) as writer:
        writer.execute("INSERT INTO shop.bag VALUES ('in between')")
        with pytest.raises(BackfillError, match="a moment without open transactions"):
            loaded.backfill().run()
    added = False

    def add(*_: object) -> None:
        nonlocal added
        if not added:
            added = True
            loaded.sql.execute("INSERT INTO shop.bag VALUES ('later')")  # writers are free again

    loaded.backfill(progress=add).run()
    assert added and not loaded.equal(), "what came later is the stream's to bring"
    loaded.sql.execute("DELETE FROM shop.bag WHERE note = 'later'")
    assert loaded.equal()


def test_a_source_whose_log_lies_below_the_rows_that_are_there_is_refused(table: Of) -> None:
    loaded = table("shop.t")
    loaded.daemon.ask(f"INSERT INTO shop.t_final (id, _version) VALUES (1, {1 << 62})")
    with pytest.raises(BackfillError, match="is this another server, or was it restored"):
        loaded.backfill().run()


def test_a_stream_that_stands_still_is_told_with_its_reason(
    table: Of, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = table("shop.t")
    monkeypatch.setattr(run, "LOOK_SECONDS", 0.0)
    backfill = loaded.backfill(
        lambda *_: {"shop.t": "no heartbeat"}, standstill=lambda: "the connector failed: no slot"
    )
    with pytest.raises(BackfillError, match=r"rows are copied.*\(the connector failed: no slot\)"):
        backfill.run()
    assert loaded.backfill().run().copied == 0, "the rows need not be copied again"
    assert loaded.equal()
