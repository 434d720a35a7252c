"""One table's load, from the position it begins at to the moment it counts.

1. A log position L is noted while the stream already carries the table; then every transaction that
   is older ends. From here on: what a snapshot shows was written by one of those, or is also in the
   stream, above L.
2. The table's pages are copied in ranges, each with a snapshot of its own, as rows of version L.
   Streamed changes have higher versions and win. So a row that is read twice, or moves from one
   range to another, does no harm, and a killed load goes on with the ranges that are left.
3. When the stream has passed the position of the last snapshot, one row in `cdc.loads` makes L the
   table's floor: all that was there before is gone, at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import psycopg

from catalog.loading import Loading, Pages
from catalog.model import CapturedTable, CaptureOptions
from ops.backfill import source
from ops.backfill.copying import copy_range
from ops.backfill.errors import BackfillError, SourceMovedError
from ops.backfill.target import Load, Range, Target
from ops.position import CaughtUp
from ops.progress import Progress, silent

ATTEMPTS = 5  # loads begun again because the source's rows moved
STREAM_SECONDS = 3600.0  # for the stream to pass the last snapshot


@dataclass(frozen=True)
class Done:
    """rows: copied. copied: of these, by this run. seconds: of this run."""

    rows: int
    copied: int
    seconds: float


class Backfill:
    """The load of one table.

    Args:
        connect: opens a connection to the source that may read the table.
        caught_up: waits for the stream, see ops.position.
        workers: ranges that are copied at the same time.
        copying: held while ranges are copied, so that several tables' loads don't add up.
        progress: told the rows copied and, roughly, the rows to copy.
    """

    def __init__(
        self,
        table: CapturedTable,
        options: CaptureOptions,
        connect: source.Connect,
        target: Target,
        caught_up: CaughtUp,
        *,
        workers: int = 2,
        copying: AbstractContextManager[Any] | None = None,
        progress: Progress = silent,
    ) -> None:
        self._table = table
        self._loading = Loading(table, options)
        self._connect = connect
        self._target = target
        self._caught_up = caught_up
        self._workers = workers
        self._copying = nullcontext() if copying is None else copying
        self._progress = progress
        self._name = table.source.qualified

    def run(self) -> Done:
        """Goes on with the load that was begun, or begins one.

        Raises BackfillError where it can't be finished; what was copied stays, the next run goes on
        from there.
        """
        began = time.monotonic()
        for _ in range(ATTEMPTS):
            with source.session(self._connect) as connection:
                load, estimate = self._begun(connection)
                try:
                    with self._copying:
                        copied = self._copy(load, estimate)
                    self._wait_for_stream(connection)
                    self._stayed(connection, load)
                except SourceMovedError:
                    continue
                rows = load.rows + copied
                self._target.finish(load, rows)
                return Done(rows, copied, time.monotonic() - began)
        raise BackfillError(
            f"{self._name}: its rows were moved {ATTEMPTS} times while they were copied (VACUUM "
            "FULL, CLUSTER, TRUNCATE, a restart of the server): try again when that is over"
        )

    def streamed(self, lsn: int) -> None:
        """Waits until the rows that Debezium's snapshot sent are there; they rank at `lsn`."""
        with source.session(self._connect) as connection:
            at_ms = source.begin(connection).at_ms
            self._wait_for_stream(connection)
        self._target.finish(Load(lsn, at_ms, "", ()), 0)

    def _begun(self, connection: psycopg.Connection[Any]) -> tuple[Load, int]:
        """The load to go on with, and roughly how many rows it has."""
        table = self._table.source
        found = self._target.unfinished()
        if found is not None and found.incarnation == source.incarnation(connection, table):
            return found, source.pages(connection, table)[1]
        highest = self._target.highest()
        beginning = source.begin(connection)
        if beginning.lsn <= highest:
            raise BackfillError(
                f"{self._name}: the source's log is at {beginning.lsn}, and ClickHouse has a row "
                f"of {highest} already: is this another server, or was it restored? Give the "
                "table another `target`, or drop its tables in ClickHouse"
            )
        source.wait_for_older(connection, beginning, table)
        incarnation = source.incarnation(connection, table)
        ranges, estimate = source.pages(connection, table)
        load = Load(beginning.lsn, beginning.at_ms, incarnation, tuple(map(Range, ranges)))
        self._target.begin(load)
        return load, estimate

    def _copy(self, load: Load, estimate: int) -> int:
        """Copies the ranges that are left; answers with how many rows they had."""
        todo: SimpleQueue[Pages] = SimpleQueue()
        for each in load.ranges:
            if not each.done:
                todo.put(each.pages)
        count = _Count(load.rows, estimate, lambda *now: self._progress(self._name, *now))
        workers = min(self._workers, todo.qsize())
        if not workers:
            return 0
        with ThreadPoolExecutor(workers) as pool:
            working = [pool.submit(self._work, load, todo, count) for _ in range(workers)]
        return sum(each.result() for each in working)

    def _work(self, load: Load, todo: SimpleQueue[Pages], count: _Count) -> int:
        insert, copied = self._loading.insert(load.lsn, load.at_ms), 0
        with source.session(self._connect) as connection:
            try:
                while not todo.empty():
                    pages = todo.get_nowait()
                    self._stayed(connection, load)
                    copy = self._loading.copy(pages)
                    rows = copy_range(connection, self._target, copy, insert, count.add)
                    self._target.done(load, pages, rows)
                    copied += rows
            except Empty:  # another worker took the last one
                return copied
            except BaseException:
                while not todo.empty():  # the others need not go on
                    todo.get_nowait()
                raise
        return copied

    def _wait_for_stream(self, connection: psycopg.Connection[Any]) -> None:
        self._progress(f"{self._name}: waiting for the stream", 0, None)
        deadline = time.monotonic() + STREAM_SECONDS
        behind = self._caught_up(source.position(connection), deadline)
        if reason := behind.get(self._name):
            raise BackfillError(
                f"{self._name}: its rows are copied, but the stream did not come up to them within "
                f"{STREAM_SECONDS:.0f} s ({reason}): see `./cdc status`, then run this again"
            )

    def _stayed(self, connection: psycopg.Connection[Any], load: Load) -> None:
        if source.incarnation(connection, self._table.source) != load.incarnation:
            raise SourceMovedError


class _Count:
    """Rows copied, by all workers."""

    def __init__(self, rows: int, estimate: int, tell: Callable[[int, int | None], None]) -> None:
        self._rows = rows
        self._estimate = estimate
        self._tell = tell
        self._lock = threading.Lock()

    def add(self, rows: int) -> None:
        with self._lock:
            self._rows += rows
            self._tell(self._rows, max(self._estimate, self._rows) if self._estimate else None)
