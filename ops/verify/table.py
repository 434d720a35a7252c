"""One table's comparison: chunk by chunk, each at a moment of the source, into one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import psycopg
from more_itertools import constrained_batches
from psycopg import sql as pgsql

from catalog.introspect import describe
from catalog.model import CapturedTable, CatalogError, Column
from catalog.names import ch_string
from catalog.types import TypeMapping, mapping_of
from ops.progress import Progress
from ops.verify import sql
from ops.verify.chunks import Size, plan, size
from ops.verify.model import ColumnDifference, Key, RowDifference, SchemaDifference, TableReport
from ops.verify.moment import Clock, Moment, Query
from ops.verify.narrow import KINDS, Bucket, Found, Reader
from ops.verify.snapshot import written
from ops.verify.sql import Chunk, Compared

CHECKSUM_BITS = 64
MOST_KEYS_AT_ONCE = 50
MOST_KEY_BYTES_AT_ONCE = 50_000

#: A row's columns, each as canonical text (which decides) and as people read it.
Row = list[tuple[str | None, str | None]]


class _Changed(Exception):
    """The table is not what it was when its comparison began; the message says how."""


@dataclass
class Comparison:
    """Compares tables.

    query: asks ClickHouse. max_keys: listed of each kind of difference. max_load: percent of the
    time in which the databases may be busy with this; the rest is paused.
    """

    conn: psycopg.Connection[Any]
    query: Query
    clock: Clock
    progress: Progress
    max_keys: int
    max_load: int

    def table(self, table: CapturedTable) -> TableReport:
        """Compare one table, at the present moment and, if it takes long, at later ones."""
        started = time.monotonic()
        name = table.source.qualified
        moment = self.clock.now(name)
        report = TableReport(
            table=name,
            equal=False,
            lag_seconds=round(moment.lag, 3),
            position=moment.snapshot.position,
            last_position=moment.snapshot.position,
            checked_at=moment.snapshot.taken_at.astimezone(UTC),
        )
        try:
            compared = self._compared(table, report, moment)
            self._rows(compared, report, moment)
        except (_Changed, CatalogError) as problem:
            report.problem = str(problem)
        self.clock.done(table)
        report.equal = report.problem is None and not (
            report.missing_rows
            or report.extra_rows
            or report.different_rows
            or report.schema_differences
        )
        now = time.monotonic()
        report.seconds, report.age_seconds = round(now - started, 3), round(now - moment.begun, 3)
        return report

    def _compared(self, table: CapturedTable, report: TableReport, moment: Moment) -> Compared:
        """What can be compared; raises _Changed or CatalogError where nothing can."""
        name = table.source.qualified
        if reason := moment.locked.get(name):
            raise _Changed(reason)
        live = self._live(table)
        stored = self._target_columns(table)
        if not stored:
            raise _Changed(f"ClickHouse has no {table.target}: deploy the stack again")
        compared, report.schema_differences = _columns(table, live, stored)
        absent = set(table.source.key) - {column.name for column, _ in compared.columns}
        if absent:
            raise _Changed(
                f"{name} can't be compared: key column {min(absent)} is not on both sides"
            )
        if not moment.loaded.get(name):
            raise _Changed(
                f"{name} is not loaded yet: see `./cdc status`, or run `./cdc up` to finish it"
            )
        return compared

    def _live(self, table: CapturedTable) -> Sequence[Column]:
        as_text = [column.name for column in table.source.columns if column.as_text]
        return describe(self.conn, table.source.qualified, as_text=as_text).columns

    def _target_columns(self, table: CapturedTable) -> dict[str, str]:
        rows = self.query(
            f"SELECT name, type FROM system.columns WHERE database = {ch_string(table.database)}"
            f" AND table = {ch_string(table.table)}"
        )
        return {name: kind for name, kind in rows}

    def _rows(self, compared: Compared, report: TableReport, moment: Moment) -> None:
        name = report.table
        here = ch_string(name)
        [[letters]] = self.query(
            f"SELECT count() FROM cdc.dead_letters FINAL WHERE source = {here}"
        )
        [[stored]] = self.query(f"SELECT count() FROM {compared.target_name('_final')}")
        report.dead_letters = int(letters)
        self._behind(compared, report, moment)
        table = size(self.conn, compared.source_name, int(stored))
        total = _Total(name, table, self.progress)
        for chunk in plan(self.conn, self.query, compared, table):
            now = self.clock.now(name)
            if now is not moment:
                self._unchanged(compared, report.schema_differences, now)
                moment = now
                report.last_position = now.snapshot.position
                report.lag_seconds = max(report.lag_seconds, round(now.lag, 3))
                self._behind(compared, report, now)
            began = time.monotonic()
            self._chunk(compared, chunk, moment, report, total)
            time.sleep((time.monotonic() - began) * (100 / self.max_load - 1))
        report.source_rows = total.rows
        report.target_rows = total.rows - report.missing_rows + report.extra_rows
        report.checksum_source = checksum(total.hashes)
        report.checksum_target = checksum(total.hashes + total.hash_delta)
        total.end()

    def _behind(self, compared: Compared, report: TableReport, moment: Moment) -> None:
        reason = moment.behind.get(report.table)
        if reason is None:
            return
        # The hour is what verification needs of the history anyhow, and one partition or two.
        [[lsn, commit]] = self.query(
            "SELECT max(_lsn), formatDateTime(max(source_ts_ms), '%F %T')"
            f" FROM {compared.target_name('_history')}"
            " WHERE source_ts_ms > now() - INTERVAL 1 HOUR"
        )
        newest = (
            f"; newest change there: {written(int(lsn))}, committed {commit} UTC" if lsn else ""
        )
        report.problem = report.problem or f"not caught up: {reason}{newest}"

    def _unchanged(
        self, compared: Compared, differences: Sequence[SchemaDifference], moment: Moment
    ) -> None:
        """Raises _Changed if the table was altered while the transaction was renewed."""
        table = compared.table
        name = table.source.qualified
        if reason := moment.locked.get(name):
            raise _Changed(reason)
        live = self._live(table)
        now, differ = _columns(table, live, self._target_columns(table))
        before = [column for column, _ in compared.columns]
        if [column for column, _ in now.columns] != before or differ != differences:
            raise _Changed(f"{name} was altered while it was compared: verify it again")

    def _still_one_load(self, compared: Compared, moment: Moment) -> None:
        """Raises _Changed if rows without a key were swapped for those of another load.

        Of rows with a key each tells by its version which load it is of; these are only counted.
        """
        source = compared.table.source
        if not source.key and self.clock.loaded_anew(source.qualified, moment):
            raise _Changed(
                f"{source.qualified} was loaded anew while it was compared: verify it again"
            )

    def _chunk(
        self,
        compared: Compared,
        chunk: Chunk,
        moment: Moment,
        report: TableReport,
        total: _Total,
    ) -> None:
        reader = Reader(self.conn, self.query, compared, moment.as_of(report.table), chunk)
        source, target = _both(self.conn, reader.source_total, reader.target_total)
        self._still_one_load(compared, moment)
        total.add(source)
        if source == target:
            total.told(source[0])
            return
        listed = (len(report.missing), len(report.extra), len(report.different))
        room = {kind: self.max_keys - many for kind, many in zip(KINDS, listed, strict=True)}
        found = Found(room)
        before = total.done
        reader.differences(max(source[0], target[0]), found, total.told)
        self._still_one_load(compared, moment)
        total.told(before + source[0] - total.done)
        total.hash_delta += found.hash_delta
        report.missing_rows += found.counts["missing"]
        report.extra_rows += found.counts["extra"]
        report.different_rows += found.counts["different"]
        self._name(compared, chunk, moment, found, report)

    def _name(
        self, compared: Compared, chunk: Chunk, moment: Moment, found: Found, report: TableReport
    ) -> None:
        """Put the found keys into the report, readable, with the columns that differ."""
        missing, extra, different = (found.keys[kind] for kind in KINDS)
        ours = self._source_rows(compared, chunk, missing + different)
        theirs = self._target_rows(compared, chunk, moment, extra + different)
        names = [column.name for column, _ in compared.columns]
        report.missing += [_key(compared, ours[key]) for key in missing]
        report.extra += [_key(compared, theirs[key]) for key in extra if key in theirs]
        report.different += [
            RowDifference(
                key=_key(compared, ours[key]),
                columns=[
                    ColumnDifference(column=name, source=mine[1], target=other[1])
                    for name, mine, other in zip(names, ours[key], theirs[key], strict=True)
                    if mine[0] != other[0]
                ],
            )
            for key in different
            if key in theirs
        ]

    def _source_rows(self, compared: Compared, chunk: Chunk, keys: Sequence[str]) -> dict[str, Row]:
        rows: list[Sequence[Any]] = []
        for some in _portions(keys):
            quoted = pgsql.Literal(some).as_string(self.conn)
            statement = sql.source_with_keys(compared, chunk, quoted)
            rows += self.conn.execute(statement.encode())
        return _by_key(rows)

    def _target_rows(
        self, compared: Compared, chunk: Chunk, moment: Moment, keys: Sequence[str]
    ) -> dict[str, Row]:
        as_of = moment.as_of(compared.table.source.qualified)
        shown = sql.target_rows(compared, as_of, chunk, shown=True)
        rows: list[Sequence[Any]] = []
        for some in _portions(keys):
            rows += self.query(sql.target_with_keys(shown, some))
        return _by_key(rows)


class _Total:
    """Of a table: what was counted and summed so far, and told of it."""

    def __init__(self, name: str, table: Size, progress: Progress) -> None:
        self._name = name
        self._progress = progress
        self._expected = table.rows
        self.rows = self.hashes = self.hash_delta = self.done = 0
        self.told(0)

    def add(self, source: Bucket) -> None:
        self.rows += source[0]
        self.hashes += source[1]

    def told(self, rows: int) -> None:
        """So many more rows are done."""
        self.done += rows
        self._progress(self._name, self.done, max(self._expected, self.rows))

    def end(self) -> None:
        """All are done, whatever was expected."""
        self._progress(self._name, self.rows, self.rows)


def _both(
    conn: psycopg.Connection[Any], ours: Callable[[], Bucket], theirs: Callable[[], Bucket]
) -> tuple[Bucket, Bucket]:
    """Ask both databases at the same time."""
    with ThreadPoolExecutor(1) as pool:
        source = pool.submit(ours)
        try:
            target = theirs()
        except BaseException:
            conn.cancel()  # or it would be waited for
            raise
        return source.result(), target


def _portions(keys: Sequence[str]) -> Iterable[list[str]]:
    """Keys for one statement each: few, and not too long together (or one, if it is longer)."""
    portions = constrained_batches(
        keys,
        MOST_KEY_BYTES_AT_ONCE,
        MOST_KEYS_AT_ONCE,
        get_len=lambda key: len(key.encode()),
        strict=False,
    )
    return map(list, portions)


def _by_key(rows: Iterable[Sequence[Any]]) -> dict[str, Row]:
    return {row[0]: list(zip(row[3], row[4], strict=True)) for row in rows}


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
