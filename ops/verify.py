"""Is the target equal to the source? Exact, to the row and column, while writers go on.

1. One REPEATABLE READ transaction fixes what the source is compared at: its snapshot, position P.
2. Wait until ClickHouse has everything up to P (ops/position.py).
3. Each database reads a table once, hashes its rows (ops/verify_sql.py) and sums the hashes in
   buckets by key. Equal sums: done.
4. The rows of differing buckets are fetched as key and hash, and compared one by one. ClickHouse
   can't freeze its state, so what differs is read again: what only passed by is gone then, what
   is wrong remains.

What writers changed after the snapshot is taken back on ClickHouse's side, out of the change
history (see ops.verify_sql). Memory is bounded whatever the tables' sizes and differences are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Protocol

import psycopg
from psycopg import sql

from catalog.introspect import describe
from catalog.model import CapturedTable, CatalogError, Column
from catalog.names import ch_string, pg_ident
from catalog.types import TypeMapping, mapping_of
from ops import verify_sql
from ops.position import CaughtUp
from ops.progress import Progress, silent
from ops.verify_model import ColumnDifference, Key, RowDifference, SchemaDifference, TableReport
from ops.verify_snapshot import Snapshot
from ops.verify_sql import Compared

MOST_ROWS_AT_ONCE = 500_000
MOST_READS = 4
BETWEEN_READS_SECONDS = 0.5
LOCK_SECONDS = 10
# A bucket of this many rows of which the other side has not one is no passing state.
CERTAIN_ROWS = 100
CHECKSUM_BITS = 64

#: A number of rows and the sum of their hashes.
Bucket = tuple[int, int]
NO_ROWS: Bucket = (0, 0)
#: A row's columns, each as canonical text (which decides) and as people read it.
Row = list[tuple[str | None, str | None]]


class _Result(Protocol):
    @property
    def result_rows(self) -> Sequence[Sequence[Any]]: ...


class Target(Protocol):
    """What is used of a clickhouse_connect client."""

    def query(self, query: str) -> _Result:
        """Run one SELECT."""


class VerificationError(Exception):
    """The comparison could not be made; the message is one sentence for the operator."""


def verify(
    connect: Callable[[], psycopg.Connection],
    target: Target,
    tables: Sequence[CapturedTable],
    *,
    caught_up: CaughtUp,
    slot_lsn: int,
    progress: Progress = silent,
    max_keys: int = 20,
    wait_seconds: float = 60.0,
) -> list[TableReport]:
    """Compare `tables` as of one position in the source's log, and report on each.

    Args:
        connect: opens a connection to the source; SELECT on the tables is enough.
        target: a ClickHouse client that may read the tables and `cdc`.
        caught_up: waits for the target, see :class:`ops.position.KafkaPosition`.
        slot_lsn: the position the tables' objects were made with (catalog.objects): changes below
            it are void.
        progress: told the table and what is done of its rows.
        max_keys: keys listed per kind of difference; all are counted.
        wait_seconds: how long the target may take to catch up. Later than that it is compared as
            it is, and the reports say in `problem` what it waits for.

    The source's tables are locked against ALTER and TRUNCATE (ACCESS SHARE, as any SELECT does)
    until the end. Raises VerificationError where the comparison can't begin, psycopg.Error and the
    ClickHouse client's errors where a database fails.
    """
    with connect() as conn:
        _begin(conn, [table for table in tables if _exists(conn, table)])
        snapshot = _snapshot(conn)
        started = time.monotonic()
        progress("waiting for the target", 0, None)
        behind = caught_up(snapshot.lsn, started + wait_seconds)
        lag = time.monotonic() - started
        comparison = _Comparison(conn, target, snapshot, slot_lsn, progress, max_keys, lag)
        return [comparison.table(table, behind.get(table.source.qualified)) for table in tables]


def _exists(conn: psycopg.Connection, table: CapturedTable) -> bool:
    found = conn.execute("SELECT to_regclass(%s)", [_source_name(table)]).fetchone()
    return found is not None and found[0] is not None


def _source_name(table: CapturedTable) -> str:
    return f"{pg_ident(table.source.schema_)}.{pg_ident(table.source.name)}"


def _begin(conn: psycopg.Connection, tables: Sequence[CapturedTable]) -> None:
    conn.rollback()
    conn.autocommit = False
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    encoding = conn.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise VerificationError(
            f"the source database is encoded in {encoding}: only UTF8 can be compared byte by byte"
        )
    # What a canonical text looks like must not depend on the role's or the database's settings.
    conn.execute(
        "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD';"
        " SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 1;"
        " SET LOCAL bytea_output = 'hex'"
    )
    conn.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'".encode())
    # Before the snapshot, because TRUNCATE is not transactional: the snapshot would see a table
    # that is emptied later as empty. It also means that no TRUNCATE can come after the snapshot.
    for table in tables:
        try:
            conn.execute(f"LOCK TABLE {_source_name(table)} IN ACCESS SHARE MODE".encode())
        except psycopg.errors.LockNotAvailable as error:
            raise VerificationError(
                f"{table.source.qualified} is locked by another session (ALTER, TRUNCATE, VACUUM "
                f"FULL): not free within {LOCK_SECONDS} s, try again"
            ) from error
    conn.execute("SET LOCAL lock_timeout = 0")


def _snapshot(conn: psycopg.Connection) -> Snapshot:
    # In two statements: the position has to be read after the snapshot is there.
    first = conn.execute("SELECT pg_current_snapshot()::text").fetchone()
    second = conn.execute(
        "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint, clock_timestamp()"
    ).fetchone()
    assert first is not None and second is not None
    return Snapshot.parse(first[0], second[0], second[1])


class _Found:
    """The differences of one table: all counted and summed, the first of each kind by key."""

    def __init__(self, max_keys: int) -> None:
        self._max_keys = max_keys
        self.counts = {"missing": 0, "extra": 0, "different": 0}
        self.keys: dict[str, list[str]] = {"missing": [], "extra": [], "different": []}
        self.hash_delta = 0
        """What the differences add to the source's sum of hashes to make the target's."""

    def add(self, key: str, ours: Bucket, theirs: Bucket) -> None:
        """A key with the rows that either side has of it."""
        # A key that the target shows twice has one row too many, whatever the two hold.
        surplus = theirs[0] - ours[0]
        kind = "missing" if surplus < 0 else "extra" if surplus else "different"
        self.add_all(kind, max(1, abs(surplus)), theirs[1] - ours[1])
        self.name(kind, key)

    def add_all(self, kind: str, rows: int, hash_delta: int) -> None:
        self.counts[kind] += rows
        self.hash_delta += hash_delta

    def name(self, kind: str, key: str) -> None:
        if not self.full(kind):
            self.keys[kind].append(key)

    def full(self, kind: str) -> bool:
        return len(self.keys[kind]) >= self._max_keys


@dataclass
class _Comparison:
    conn: psycopg.Connection
    target: Target
    snapshot: Snapshot
    slot_lsn: int
    progress: Progress
    max_keys: int
    lag: float

    def table(self, table: CapturedTable, behind: str | None) -> TableReport:
        started = time.monotonic()
        name = table.source.qualified
        report = TableReport(
            table=name,
            equal=False,
            lag_seconds=round(self.lag, 3),
            position=self.snapshot.position,
            checked_at=self.snapshot.taken_at.astimezone(UTC),
        )
        stored = self._target_columns(table)
        as_text = [column.name for column in table.source.columns if column.as_text]
        try:
            live = describe(self.conn, name, as_text=as_text).columns
        except CatalogError as error:
            report.problem = str(error)
            return report
        if not stored:
            report.problem = f"ClickHouse has no {table.target}: deploy the stack again"
        else:
            compared, report.schema_differences = _columns(table, live, stored)
            absent = set(table.source.key) - {column.name for column, _ in compared.columns}
            if absent:
                report.problem = (
                    f"{name} can't be compared: key column {min(absent)} is not on both sides"
                )
            else:
                report.problem = behind and f"not caught up: {behind}"
                self._rows(compared, report)
                report.equal = report.problem is None and not (
                    report.missing_rows
                    or report.extra_rows
                    or report.different_rows
                    or report.schema_differences
                )
        report.seconds = round(time.monotonic() - started, 3)
        return report

    def _target_columns(self, table: CapturedTable) -> dict[str, str]:
        rows = self._query(
            f"SELECT name, type FROM system.columns WHERE database = {ch_string(table.database)}"
            f" AND table = {ch_string(table.table)}"
        )
        return {name: kind for name, kind in rows}

    def _query(self, query: str) -> Sequence[Sequence[Any]]:
        return self.target.query(query).result_rows

    def _rows(self, compared: Compared, report: TableReport) -> None:
        name = report.table
        here = ch_string(name)
        [[letters]] = self._query(
            f"SELECT count() FROM cdc.dead_letters FINAL WHERE source = {here}"
        )
        [[truncated]] = self._query(f"SELECT max(version) FROM cdc.truncates WHERE source = {here}")
        [[stored]] = self._query(f"SELECT count() FROM {compared.target_name('_final')}")
        report.dead_letters = int(letters)
        [[loaded]] = self._query(f"SELECT max(lsn) FROM cdc.loads WHERE source = {here}")
        floor = max(int(loaded) << 64, int(truncated))
        estimate = self.conn.execute(
            "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%s)",
            [compared.source_name],
        ).fetchone()
        assert estimate is not None
        buckets = verify_sql.bucket_count(max(int(stored), estimate[0]))
        reader = _Reader(
            self.conn,
            self._query,
            compared,
            verify_sql.target_rows(compared, self.snapshot, floor),
            buckets,
        )
        self.progress(name, 0, None)
        source, target = reader.source_buckets(), reader.target_buckets()
        total = sum(count for count, _ in source.values())
        found = _Found(self.max_keys)
        to_read = _count_whole_buckets(reader, source, target, found)
        done = total - sum(source[bucket][0] for bucket in to_read if bucket in source)
        self.progress(name, done, total)
        for group in grouped(to_read, source, target):
            reader.differences(group, found)
            done += sum(source[bucket][0] for bucket in group if bucket in source)
            self.progress(name, done, total)
        hashes = sum(hashes for _, hashes in source.values())
        report.source_rows = total
        report.target_rows = total - found.counts["missing"] + found.counts["extra"]
        report.checksum_source = checksum(hashes)
        report.checksum_target = checksum(hashes + found.hash_delta)
        report.missing_rows, report.extra_rows = found.counts["missing"], found.counts["extra"]
        report.different_rows = found.counts["different"]
        self._name(compared, floor, found, report)

    def _name(self, compared: Compared, floor: int, found: _Found, report: TableReport) -> None:
        """Put the found keys into the report, readable, with the columns that differ."""
        ours = self._shown(compared, found.keys["missing"] + found.keys["different"], None)
        theirs = self._shown(compared, found.keys["extra"] + found.keys["different"], floor)
        names = [column.name for column, _ in compared.columns]
        report.missing = [_key(compared, ours[key]) for key in found.keys["missing"]]
        report.extra = [_key(compared, theirs[key]) for key in found.keys["extra"] if key in theirs]
        report.different = [
            RowDifference(
                key=_key(compared, ours[key]),
                columns=[
                    ColumnDifference(column=name, source=mine[1], target=other[1])
                    for name, mine, other in zip(names, ours[key], theirs[key], strict=True)
                    if mine[0] != other[0]
                ],
            )
            for key in found.keys["different"]
            if key in theirs
        ]

    def _shown(self, compared: Compared, keys: Sequence[str], floor: int | None) -> dict[str, Row]:
        """Some rows by key text, from the target if `floor` is given, else from the source."""
        if not keys:
            return {}
        if floor is None:
            quoted = sql.Literal(list(keys)).as_string(self.conn)
            query = verify_sql.source_with_keys(compared, quoted)
            rows: Iterable[Sequence[Any]] = self.conn.execute(query.encode())
        else:
            shown = verify_sql.target_rows(compared, self.snapshot, floor, shown=True)
            rows = self._query(verify_sql.target_with_keys(shown, keys))
        return {row[0]: list(zip(row[3::2], row[4::2], strict=True)) for row in rows}


class _Reader:
    """Reads one table's hashes from both sides."""

    def __init__(
        self,
        conn: psycopg.Connection,
        query: Callable[[str], Sequence[Sequence[Any]]],
        compared: Compared,
        target: str,
        buckets: int,
    ) -> None:
        self._conn = conn
        self._query = query
        self._compared = compared
        self._target = target
        self._buckets = buckets

    def source_buckets(self) -> dict[int, Bucket]:
        rows = self._conn.execute(verify_sql.source_buckets(self._compared, self._buckets).encode())
        return {bucket: (count, int(hashes)) for bucket, count, hashes in rows}

    def target_buckets(self) -> dict[int, Bucket]:
        rows = self._query(verify_sql.target_buckets(self._target, self._buckets))
        return {int(bucket): (int(count), int(hashes)) for bucket, count, hashes in rows}

    def source_hashes(self, group: Sequence[int]) -> Iterator[tuple[str, int]]:
        statement = verify_sql.source_in_buckets(self._compared, self._buckets, group)
        # A named cursor lives on the server: the rows come in portions instead of all at once.
        with self._conn.cursor(name="cdc_verify") as cursor:
            cursor.itersize = 20_000
            yield from cursor.execute(statement.encode())

    def target_hashes(self, group: Sequence[int]) -> Iterator[tuple[str, int]]:
        for key, row_hash in self._query(
            verify_sql.target_in_buckets(self._target, self._buckets, group)
        ):
            yield key, int(row_hash)

    def differences(self, group: Sequence[int], found: _Found) -> None:
        """Find the keys that differ in some buckets, and go on differing when read again."""
        ours, theirs = _by_key(self.source_hashes(group)), _by_key(self.target_hashes(group))
        unlike = {key for key in ours | theirs if ours.get(key) != theirs.get(key)}
        for _ in range(MOST_READS - 1):
            if not unlike:
                return
            time.sleep(BETWEEN_READS_SECONDS)
            before, theirs = theirs, _by_key(self.target_hashes(group))
            # What was equal once is equal: it has been compared as of the snapshot.
            unlike = {key for key in unlike if ours.get(key) != theirs.get(key)}
            if all(theirs.get(key) == before.get(key) for key in unlike):
                break
        for key in sorted(unlike):
            found.add(key, ours.get(key, NO_ROWS), theirs.get(key, NO_ROWS))


def _by_key(rows: Iterable[tuple[str, int]]) -> dict[str, Bucket]:
    """Per key the number of its rows, and the sum of their hashes."""
    found: dict[str, Bucket] = {}
    for key, row_hash in rows:
        count, total = found.get(key, NO_ROWS)
        found[key] = (count + 1, total + row_hash)
    return found


def _count_whole_buckets(
    reader: _Reader, source: Mapping[int, Bucket], target: Mapping[int, Bucket], found: _Found
) -> list[int]:
    """Count the rows of buckets that one side lacks altogether; return the other differing ones.

    An empty or lost table is so told without fetching all of its keys.
    """
    to_read = []
    for bucket in sorted(source.keys() | target.keys()):
        ours, theirs = source.get(bucket, (0, 0)), target.get(bucket, (0, 0))
        if not theirs[0] and ours[0] >= CERTAIN_ROWS:
            found.add_all("missing", ours[0], -ours[1])
            if not found.full("missing"):
                for key, _ in reader.source_hashes([bucket]):
                    found.name("missing", key)
        elif not ours[0] and theirs[0] >= CERTAIN_ROWS:
            found.add_all("extra", theirs[0], theirs[1])
            if not found.full("extra"):
                for key, _ in reader.target_hashes([bucket]):
                    found.name("extra", key)
        elif ours != theirs:
            to_read.append(bucket)
    return to_read


def grouped(
    buckets: Iterable[int],
    source: Mapping[int, Bucket],
    target: Mapping[int, Bucket],
    most: int = MOST_ROWS_AT_ONCE,
) -> Iterator[list[int]]:
    """Buckets in groups of at most `most` rows on either side (or one bucket, if it has more)."""
    group: list[int] = []
    rows = 0
    for bucket in buckets:
        size = max(source.get(bucket, (0, 0))[0], target.get(bucket, (0, 0))[0])
        if group and rows + size > most:
            yield group
            group, rows = [], 0
        group.append(bucket)
        rows += size
    if group:
        yield group


def checksum(hashes: int) -> str:
    """The sum of a table's row hashes, as 16 hexadecimal digits."""
    return f"{hashes % (1 << CHECKSUM_BITS):016x}"


def _key(compared: Compared, row: Row) -> Key:
    return {compared.columns[place][0].name: row[place][1] for place in compared.key_places}


def _columns(
    table: CapturedTable, live: Sequence[Column], stored: Mapping[str, str]
) -> tuple[Compared, list[SchemaDifference]]:
    """The columns to compare, and how the schemas differ.

    Columns the target alone has are no difference: they keep the history of a dropped column.
    """
    shared: list[tuple[Column, TypeMapping]] = []
    differences = []
    for column in live:
        made, kind = mapping_of(column), stored.get(column.name)
        if made is not None and kind is not None:
            shared.append((column, made))
        if made is None or kind is None or kind not in (made.stored(True), made.stored(False)):
            differences.append(
                SchemaDifference(
                    column=column.name,
                    source=column.pg_type,
                    target=kind,
                    expected=None if made is None else made.clickhouse,
                )
            )
    return Compared(table, tuple(shared)), differences
