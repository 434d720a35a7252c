"""What the source is compared at: a snapshot of it, in a transaction that does not stay open long.

While a REPEATABLE READ transaction is open VACUUM can't remove what was deleted since, and its
locks keep ALTER and TRUNCATE waiting, with everybody who queues up behind those. So it is ended and
begun anew, between two chunks, once it is `renew_seconds` old.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from catalog.model import CapturedTable
from catalog.names import ch_string
from catalog.types import COPY_SETTINGS
from ops.position import CaughtUp
from ops.progress import Progress
from ops.verify.snapshot import Snapshot
from ops.verify.sql import AsOf

LOCK_SECONDS = 10

Query = Callable[[str], Sequence[Sequence[Any]]]


class VerificationError(Exception):
    """The comparison could not be made; the message is one sentence for the operator."""


# A load's rows have the version of its position, see floor.sql.
LOADS = "SELECT source, bitShiftLeft(toUInt128(lsn), 64) AS version FROM cdc.loads"
TRUNCATES = "SELECT source, version FROM cdc.truncates"


@dataclass(frozen=True)
class Moment:
    """One snapshot of the source, and how far the target is at it.

    behind: why a table has not caught up. locked: why a table can't be read. lag: seconds from the
    snapshot until the target had all of it, or until it was waited for no longer. begun:
    time.monotonic().
    """

    snapshot: Snapshot
    begun: float
    lag: float
    behind: Mapping[str, str]
    locked: Mapping[str, str]
    loaded: Mapping[str, int]
    truncated: Mapping[str, int]

    def as_of(self, table: str) -> AsOf:
        """How the target's rows of `table` are compared."""
        loaded = self.loaded.get(table, 0)
        return AsOf(self.snapshot, loaded, max(loaded, self.truncated.get(table, 0)))


@dataclass
class Clock:
    """Hands out moments: the same one until it is too old.

    tables: those still to be compared, which are locked against ALTER and TRUNCATE (ACCESS SHARE,
    as any SELECT does). wait_seconds: how long the target may take to catch up.
    """

    conn: psycopg.Connection[Any]
    query: Query
    tables: Sequence[CapturedTable]
    caught_up: CaughtUp
    wait_seconds: float
    renew_seconds: float
    progress: Progress
    _moment: Moment | None = field(default=None, init=False)

    def now(self, table: str) -> Moment:
        """A moment at which `table` can be read, unless another session goes on locking it."""
        moment = self._moment
        if (
            moment is None
            or table in moment.locked
            or time.monotonic() - moment.begun >= self.renew_seconds
        ):
            moment = self._moment = self._new()
        return moment

    def loaded_anew(self, table: str, moment: Moment) -> bool:
        """Whether another load of `table` was finished since."""
        return self._highest(LOADS, [table]).get(table, 0) != moment.loaded.get(table, 0)

    def done(self, table: CapturedTable) -> None:
        """From the next moment on `table` is not locked any more."""
        self.tables = [each for each in self.tables if each is not table]

    def _new(self) -> Moment:
        self.conn.rollback()
        names = [table.source.qualified for table in self.tables]
        # Before the snapshot: then the snapshot is newer than all that a finished load read.
        loaded = self._highest(LOADS, names)
        self._settle()
        locked = {
            table.source.qualified: reason for table in self.tables if (reason := self._lock(table))
        }
        snapshot = self._snapshot()
        begun = time.monotonic()
        self.progress("waiting for the target", 0, None)
        behind = self.caught_up(snapshot.lsn, begun + self.wait_seconds)
        lag = time.monotonic() - begun
        self.progress("waiting for the target", 1, 1)
        # Only now all TRUNCATEs below the position are there; the locks keep later ones away.
        truncated = self._highest(TRUNCATES, names)
        return Moment(snapshot, begun, lag, behind, locked, loaded, truncated)

    def _settle(self) -> None:
        # What a canonical text looks like must not depend on the role's or the database's
        # settings, and a pause must not end the session.
        settings = (
            *COPY_SETTINGS,
            ("statement_timeout", "0"),
            ("idle_in_transaction_session_timeout", "0"),
            # The bound of the source's load: this session's process alone.
            ("max_parallel_workers_per_gather", "0"),
            # Compiling would cost more than a chunk gains from it.
            ("jit", "off"),
        )
        for name, value in settings:
            self.conn.execute(f"SET LOCAL {name} = '{value}'".encode())

    def _lock(self, table: CapturedTable) -> str:
        """Why the table can't be locked, '' if it is, or if it does not exist.

        Locked before the snapshot, because TRUNCATE is not transactional: the snapshot would see a
        table that is emptied later as empty. So up to here nothing may need a snapshot, as every
        SELECT does.
        """
        try:
            with self.conn.transaction():
                self.conn.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'".encode())
                rows = table.source.rows
                self.conn.execute(f"LOCK TABLE {rows} IN ACCESS SHARE MODE".encode())
                self.conn.execute("SET LOCAL lock_timeout = 0")
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return ""
        except psycopg.errors.LockNotAvailable:
            return (
                "locked by another session (ALTER, TRUNCATE, VACUUM FULL), not free within "
                f"{LOCK_SECONDS} s: try again"
            )
        return ""

    def _snapshot(self) -> Snapshot:
        # In two statements: the position has to be read after the snapshot is there.
        first = self.conn.execute("SELECT pg_current_snapshot()::text").fetchone()
        second = self.conn.execute(
            "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint, clock_timestamp()"
        ).fetchone()
        assert first is not None and second is not None
        return Snapshot.parse(first[0], second[0], second[1])

    def _highest(self, versions: str, names: Sequence[str]) -> dict[str, int]:
        listed = ", ".join(map(ch_string, names))
        rows = self.query(
            f"SELECT source, max(version) FROM ({versions}) WHERE source IN ({listed})"
            " GROUP BY source"
        )
        return {name: int(version) for name, version in rows}


def prepare(conn: psycopg.Connection[Any]) -> None:
    """Make the connection one that only reads, each transaction from one snapshot.

    Raises VerificationError for a database that can't be compared.
    """
    conn.rollback()
    conn.autocommit = False
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    encoding = conn.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise VerificationError(
            f"the source database is encoded in {encoding}: only UTF8 can be compared byte by byte"
        )
