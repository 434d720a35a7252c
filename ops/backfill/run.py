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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
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
from providers.heartbeat import BEAT

ATTEMPTS = 5  # loads begun again because the source's rows moved
STREAM_SECONDS = 3600.0  # for the stream to pass the last snapshot
LOOK_SECONDS = 20.0  # after which it is looked whether it runs at all


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
        standstill: says why the stream can't go on, '' while it can.
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
        standstill: Callable[[], str],
        workers: int = 2,
        copying: AbstractContextManager[Any] | None = None,
        progress: Progress = silent,
    ) -> None:
        self._table = table
        self._loading = Loading(table, options)
        self._connect = connect
        self._target = target
        self._caught_up = caught_up
        self._standstill = standstill
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
                try:
                    load, copied = self._copied(connection)
                    self._wait_for_stream(connection)
                    self._stayed(connection, load)
                except SourceMovedError:
                    continue
                self._target.finish(load, load.rows + copied)
                return Done(load.rows + copied, copied, time.monotonic() - began)
        raise BackfillError(
            f"{self._name}: its rows were moved {ATTEMPTS} times while they were copied (VACUUM "
            "FULL, CLUSTER, TRUNCATE, a restart of the server): try again when that is over"
        )

    def streamed(self, lsn: int) -> None:
        """Waits until the rows that Debezium's snapshot sent are there; they rank at `lsn`.

        A snapshot that is interrupted begins anew, and the stream with it: what was deleted in
        between would stay. So where two of them left rows, the table is copied after all.
        """
        with source.session(self._connect) as connection:
            at_ms = source.begin(connection).at_ms
            self._wait_for_stream(connection)
        if self._target.snapshots(lsn) > 1:
            self.run()
        else:
            self._target.finish(Load(lsn, at_ms, "", ()), 0)

    def _copied(self, connection: psycopg.Connection[Any]) -> tuple[Load, int]:
        """A load all of whose ranges are copied, and how many rows of it were copied now."""
        with self._copying, ExitStack() as held:
            sessions = [
                held.enter_context(source.session(self._connect)) for _ in range(self._workers)
            ]
            if self._table.source.key:
                load, estimate = self._begun(connection)
            else:
                load, estimate = self._cut(connection, sessions)
            return load, self._copy(load, estimate, sessions)

    def _begun(self, connection: psycopg.Connection[Any]) -> tuple[Load, int]:
        """The load to go on with, and roughly how many rows it has."""
        table = self._table.source
        found = self._target.unfinished()
        if found is not None and found.incarnation == source.incarnation(connection, table):
            return found, source.pages(connection, table)[1]
        highest = self._target.highest()
        beginning = source.begin(connection)
        self._must_be_above(highest, beginning.lsn)
        source.wait_for_older(connection, beginning, table)
        return self._new(connection, beginning.lsn, beginning.at_ms)

    def _cut(
        self, connection: psycopg.Connection[Any], sessions: Sequence[psycopg.Connection[Any]]
    ) -> tuple[Load, int]:
        """A load of a table without a key, whose sessions all read one snapshot.

        A row in it that is also in the stream would be there twice: nothing tells that it is the
        same. So the load's position has to part the two exactly, and nothing can be gone on with.
        """
        table = self._table.source
        highest = self._target.highest()
        cut = source.cut(connection, table)
        # Whoever writes after the cut ranks by this commit or by a later one, see source.begin().
        sessions[0].execute(BEAT)
        for session in sessions:
            source.share(session, table, cut.snapshot)
        connection.execute("COMMIT")
        self._must_be_above(highest, cut.lsn)
        return self._new(connection, cut.lsn, cut.at_ms)

    def _new(self, connection: psycopg.Connection[Any], lsn: int, at_ms: int) -> tuple[Load, int]:
        table = self._table.source
        incarnation = source.incarnation(connection, table)
        pages, estimate = source.pages(connection, table)
        load = Load(lsn, at_ms, incarnation, tuple(map(Range, pages)))
        self._target.begin(load)
        return load, estimate

    def _must_be_above(self, highest: int, lsn: int) -> None:
        if lsn <= highest:
            raise BackfillError(
                f"{self._name}: the source's log is at {lsn}, and ClickHouse has a row of {highest}"
                " already: is this another server, or was it restored? Give the table another "
                "`target`, or drop its tables in ClickHouse"
            )

    def _copy(self, load: Load, estimate: int, sessions: Sequence[psycopg.Connection[Any]]) -> int:
        """Copies the ranges that are left; answers with how many rows they had."""
        todo: SimpleQueue[tuple[int, Pages]] = SimpleQueue()
        for place, each in enumerate(load.ranges):
            if not each.done:
                todo.put((place, each.pages))
        count = _Count(load.rows, estimate, lambda *now: self._progress(self._name, *now))
        with ThreadPoolExecutor(len(sessions)) as pool:
            working = [pool.submit(self._work, load, todo, count, each) for each in sessions]
        return sum(each.result() for each in working)

    def _work(
        self,
        load: Load,
        todo: SimpleQueue[tuple[int, Pages]],
        count: _Count,
        session: psycopg.Connection[Any],
    ) -> int:
        copied = 0
        try:
            while True:
                place, pages = todo.get_nowait()
                self._stayed(session, load)
                insert = self._loading.insert(load.lsn, load.at_ms, place)
                copy = self._loading.copy(pages)
                rows = copy_range(session, self._target, copy, insert, count.add)
                self._target.done(load, pages, rows)
                copied += rows
        except Empty:
            return copied
        except BaseException:
            with suppress(Empty):  # the others need not go on
                while True:
                    todo.get_nowait()
            raise

    def _wait_for_stream(self, connection: psycopg.Connection[Any]) -> None:
        position = source.position(connection)
        deadline = time.monotonic() + STREAM_SECONDS
        while True:
            self._progress(f"{self._name}: waiting for the stream", 0, None)
            behind = self._caught_up(position, min(deadline, time.monotonic() + LOOK_SECONDS))
            reason = behind.get(self._name)
            if reason is None:
                return
            stopped = self._standstill()
            if stopped or time.monotonic() > deadline:
                raise BackfillError(
                    f"{self._name}: its rows are copied, but the stream does not come up to them "
                    f"({stopped or reason}): see `./cdc status`, then run this again"
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
