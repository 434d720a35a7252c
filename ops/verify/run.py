"""The whole of a verification: its bounds, its connection, its tables one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import psycopg

from catalog.model import CapturedTable
from ops.position import CaughtUp
from ops.progress import Progress, silent
from ops.verify.model import TableReport
from ops.verify.moment import Clock, prepare
from ops.verify.table import Comparison

RENEW_SECONDS = 60.0
THREADS = 1
# Of one query: a GROUP BY of the history may spill to disk from half of it on.
MEMORY_BYTES = 512 << 20


class _Result(Protocol):
    @property
    def result_rows(self) -> Sequence[Sequence[Any]]: ...


class Target(Protocol):
    """What is used of a clickhouse_connect client."""

    def query(self, query: str, *, settings: dict[str, Any]) -> _Result:
        """Run one SELECT."""


def verify(
    connect: Callable[[], psycopg.Connection[Any]],
    target: Target,
    tables: Sequence[CapturedTable],
    *,
    caught_up: CaughtUp,
    progress: Progress = silent,
    max_keys: int = 20,
    wait_seconds: float = 60.0,
    max_load: int = 100,
    threads: int = THREADS,
    renew_seconds: float = RENEW_SECONDS,
) -> list[TableReport]:
    """Compare `tables`, each row as of a position in the source's log, and report on each.

    Args:
        connect: opens a connection to the source; SELECT on the tables is enough.
        target: a ClickHouse client that may read the tables and `cdc`.
        caught_up: waits for the target, see :class:`ops.position.KafkaPosition`.
        progress: told the table and what is done of its rows.
        max_keys: keys listed per kind of difference; all are counted.
        wait_seconds: how long the target may take to catch up. Later than that it is compared as
            it is, and the reports say in `problem` what it waits for.
        max_load: percent of the time in which the databases may be busy with this, 1 to 100.
        threads: of ClickHouse; Postgres works with one process.
        renew_seconds: how long the source's transaction stays open, give or take a chunk. Until
            then all tables are compared at the same position.

    Raises VerificationError where the comparison can't begin, psycopg.Error and the ClickHouse
    client's errors where a database fails.
    """
    settings = {
        "max_threads": threads,
        "max_memory_usage": MEMORY_BYTES,
        "max_bytes_before_external_group_by": MEMORY_BYTES // 2,
    }

    def query(text: str) -> Sequence[Sequence[Any]]:
        return target.query(text, settings=settings).result_rows

    with connect() as conn:
        prepare(conn)
        clock = Clock(conn, query, tables, caught_up, wait_seconds, renew_seconds, progress)
        comparison = Comparison(conn, query, clock, progress, max_keys, max_load)
        return [comparison.table(table) for table in tables]
