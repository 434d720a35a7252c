"""What a load asks of Postgres: its position, who is in the way, and which pages there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from catalog.loading import Pages
from catalog.model import SourceTable
from catalog.names import pg_qualified
from catalog.types import COPY_SETTINGS
from ops.backfill.errors import BackfillError
from providers.heartbeat import BEAT

PATIENCE = 300.0  # seconds for transactions that are older than the load
CUT_LOCK, CUT_TRIES, CUT_PAUSE = "3s", 20, 2.0  # a moment without writers: each try, tries, seconds
RANGE_PAGES = 8192  # 64 MiB of a table's file: one COPY and one INSERT

Connect = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]

# Whatever moves rows without an event in the stream changes this: VACUUM FULL, CLUSTER, TRUNCATE
# and an attached partition by the files; a crash, after which rows of transactions that were never
# flushed are gone, by the time at which the server's processes began.
_INCARNATION = """
SELECT concat_ws(' ', pg_postmaster_start_time()::text,
    (SELECT min(backend_start)::text FROM pg_stat_activity WHERE backend_type = 'checkpointer'),
    (SELECT string_agg(concat(relid::oid, ':', pg_relation_filenode(relid)), ','
        ORDER BY relid::oid) FROM leaves))
"""
_NOW = (
    "(pg_current_wal_insert_lsn() - '0/0')::bigint, "
    "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
)
_LEAVES = """
WITH leaves AS (
    SELECT c.oid::regclass AS relid FROM pg_class c
    WHERE c.oid = to_regclass(%(table)s) AND c.relkind <> 'p'
    UNION ALL
    SELECT t.relid FROM pg_partition_tree(to_regclass(%(table)s)) t
    JOIN pg_class c ON c.oid = to_regclass(%(table)s) AND c.relkind = 'p' WHERE t.isleaf)
"""
_FILES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    pg_relation_size(c.oid) / current_setting('block_size')::int, greatest(c.reltuples, 0)::bigint
FROM leaves JOIN pg_class c ON c.oid = relid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY c.oid
"""
_HOLDERS = """
SELECT format('process %%s (%%s%%s, for %%s s)', pid, usename,
    coalesce(', ' || nullif(application_name, ''), ''),
    extract(epoch FROM now() - xact_start)::int)
FROM pg_stat_activity
WHERE backend_xid IS NOT NULL AND age(backend_xid) > age(%(horizon)s::text::xid8::xid)
UNION ALL
SELECT format('prepared transaction %%L', gid) FROM pg_prepared_xacts
WHERE age(transaction) > age(%(horizon)s::text::xid8::xid)
"""


@dataclass(frozen=True)
class Beginning:
    """Where a load began: log position, and the source's clock in milliseconds since 1970.

    horizon: a transaction id that was given away just then.
    """

    lsn: int
    at_ms: int
    horizon: int


@contextmanager
def session(connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    """A connection on which a value's text depends on nothing but the value."""
    with connect() as connection:
        connection.autocommit = True
        for name, value in COPY_SETTINGS:
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        yield connection


def begin(connection: psycopg.Connection[Any]) -> Beginning:
    """The position from which on the stream has every change of the table."""
    lsn, at_ms = _row(connection, f"SELECT {_NOW}")
    # A change ranks by the commit before its transaction's: this one is above the position, so all
    # who commit after it rank above the copied rows.
    connection.execute(BEAT)
    # Only now: whoever wrote below the position has a lower id than this one. (A snapshot's xmax
    # won't do: ids that were given away after the last transaction to end lie above it.)
    [horizon] = _row(connection, "SELECT pg_current_xact_id()::text::bigint")
    # The next change begins exactly at this position: one below, so that it wins over copied rows.
    return Beginning(lsn - 1, at_ms, horizon)


def wait_for_older(
    connection: psycopg.Connection[Any], beginning: Beginning, table: SourceTable
) -> None:
    """Waits until every transaction that may have written below the position has ended.

    Only then a snapshot shows all of what the stream may not have. Raises BackfillError naming
    those that are still open after PATIENCE seconds.
    """
    deadline = time.monotonic() + PATIENCE
    pause = 0.01
    while True:
        [oldest] = _row(connection, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        if oldest > beginning.horizon:
            return
        if time.monotonic() > deadline:
            holders = connection.execute(_HOLDERS, {"horizon": str(beginning.horizon)}).fetchall()
            raise BackfillError(
                f"{table.qualified}: can't be loaded while transactions that began before are "
                f"open, still after {PATIENCE:.0f} s: "
                f"{', '.join(holder for (holder,) in holders) or 'none of this database'}; "
                "end them (pg_terminate_backend, ROLLBACK PREPARED) or try again later"
            )
        time.sleep(pause)
        pause = min(1.0, pause * 2)


@dataclass(frozen=True)
class Cut:
    """A position that parts what a snapshot shows from what it doesn't, exactly.

    lsn, at_ms: as in Beginning. snapshot: as other sessions can take it up.
    """

    lsn: int
    at_ms: int
    snapshot: str


def cut(connection: psycopg.Connection[Any], table: SourceTable) -> Cut:
    """Finds a moment in which nobody writes to the table; nobody does until `connection` commits.

    Writers wait for it at most as long as CUT_LOCK, several times. Raises BackfillError if there is
    no such moment in CUT_TRIES tries.
    """
    for _ in range(CUT_TRIES):
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute(f"SET LOCAL lock_timeout = '{CUT_LOCK}'".encode())
        try:
            # Before the first query, which takes the snapshot.
            connection.execute(f"LOCK TABLE {table.rows} IN SHARE MODE".encode())
        except psycopg.errors.LockNotAvailable:
            connection.execute("ROLLBACK")
            time.sleep(CUT_PAUSE)
            continue
        return Cut(*_row(connection, f"SELECT {_NOW}, pg_export_snapshot()"))
    raise BackfillError(
        f"{table.qualified}: has no key, so its load needs a moment without open transactions that "
        f"wrote to it; there was none in {CUT_TRIES} tries: try again later"
    )


def share(connection: psycopg.Connection[Any], table: SourceTable, snapshot: str) -> None:
    """Takes up a snapshot, and keeps ALTER, TRUNCATE and VACUUM FULL out until the session ends."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
    connection.execute(f"LOCK TABLE {table.rows} IN ACCESS SHARE MODE".encode())


def incarnation(connection: psycopg.Connection[Any], table: SourceTable) -> str:
    """A text that changes when rows may have moved, or vanished, without an event."""
    [found] = _row(connection, _LEAVES + _INCARNATION, table)
    return str(found)


def pages(connection: psycopg.Connection[Any], table: SourceTable) -> tuple[list[Pages], int]:
    """The table's files, its partitions' included, in ranges; and how many rows it may have.

    Rows in pages that are added later are in the stream.
    """
    found = connection.execute(_LEAVES + _FILES, {"table": _quoted(table)}).fetchall()
    ranges = [
        Pages(relation, first, min(first + RANGE_PAGES, end))
        for relation, end, _ in found
        for first in range(0, end, RANGE_PAGES)
    ]
    return ranges, sum(rows for _, _, rows in found)


def position(connection: psycopg.Connection[Any]) -> int:
    """The log position that everything visible now lies below."""
    [lsn] = _row(connection, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
    return int(lsn)


def _row(
    connection: psycopg.Connection[Any], query: str, table: SourceTable | None = None
) -> tuple[Any, ...]:
    arguments = None if table is None else {"table": _quoted(table)}
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None  # aggregates and functions give one
    return tuple(row)


def _quoted(table: SourceTable) -> str:
    return pg_qualified(table.qualified)
