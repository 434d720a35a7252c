"""The two queries a verification compares: each row's key and hash, from Postgres and ClickHouse.

Both sides write every column as the same canonical text (catalog.types) and join the texts so that
no two different rows give the same: a text that may hold anything has its length in front (none for
NULL), numbers, times and the like, which hold no `|` and are never empty, end with one (NULL is
empty). Of the MD5 of that the first 64 bits, as a signed number, are what both databases can
compute and sum exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catalog.model import CapturedTable, Column
from catalog.names import ch_ident, ch_string, pg_ident, pg_qualified
from catalog.types import Sql, TypeMapping
from ops.verify.snapshot import Snapshot, version

_NO_BAR = re.compile(r"(Bool|Date32|DateTime64|Decimal|Float|Int|Time64|UInt|UUID)\b|(UI|I)nt\d")
# Postgres takes a hundred arguments a call.
_COLUMNS_A_CALL = 33


@dataclass(frozen=True)
class Compared:
    """A table with the columns both sides have; the key's columns are among them."""

    table: CapturedTable
    columns: tuple[tuple[Column, TypeMapping], ...]

    @property
    def key_places(self) -> list[int]:
        """Where the key's columns stand in `columns`, in the key's order.

        Without a key it is the whole row: equal rows are one key that is there several times.
        """
        names = [column.name for column, _ in self.columns]
        return [names.index(name) for name in self.table.source.key or names]

    @property
    def source_name(self) -> str:
        """The table in Postgres, quoted."""
        return pg_qualified(self.table.source.qualified)

    def target_name(self, suffix: str) -> str:
        """An object of the table in ClickHouse, quoted."""
        return f"{ch_ident(self.table.database)}.{ch_ident(self.table.table + suffix)}"


@dataclass(frozen=True)
class Chunk:
    """A part of a table: a condition on a row, once for each database.

    target: from the quoted name of `column`, for that is stored under another name than it is shown
    under.
    """

    source: str = "true"
    column: str = ""
    target: Sql = lambda _column: "true"


@dataclass(frozen=True)
class AsOf:
    """What the target is compared as: the source's snapshot, and versions that are void.

    loaded: version of the last load that was finished before the snapshot.
    floor: the higher one of that and the last TRUNCATE's; what is below does not exist any more.
    """

    snapshot: Snapshot
    loaded: int
    floor: int


def _text(place: int) -> str:
    return f"cdc_text_{place}"


def _bare(mapping: TypeMapping) -> bool:
    """Whether the canonical text needs no length in front."""
    return _NO_BAR.match(mapping.clickhouse) is not None


def _in_order(compared: Compared, places: Iterable[int]) -> tuple[list[int], list[int]]:
    """The places whose texts end with a bar, then those with a length in front."""
    given = list(places)
    bare = [place for place in given if _bare(compared.columns[place][1])]
    return bare, [place for place in given if place not in bare]


def _source_joined(compared: Compared, places: Iterable[int]) -> str:
    """Of the inner query's columns. concat() takes NULL for the empty text."""
    bare, sized = _in_order(compared, places)
    parts = [f"{_source_text(compared, place)}, '|'" for place in bare]
    parts += [f"octet_length({_text(place)}), ':', {_text(place)}" for place in sized]
    calls = [parts[i : i + _COLUMNS_A_CALL] for i in range(0, len(parts), _COLUMNS_A_CALL)]
    return " || ".join(f"concat({', '.join(call)})" for call in calls)


def _source_text(compared: Compared, place: int) -> str:
    """A column's canonical text, of the inner query's columns."""
    mapping = compared.columns[place][1]
    return mapping.pg_text(_text(place)) if _bare(mapping) else _text(place)


def _source_hashed(text: str) -> str:
    return f"('x' || substr(md5({text}), 1, 16))::bit(64)::bigint"


def source_rows(compared: Compared, chunk: Chunk, *, shown: bool = False) -> str:
    """Postgres: key_text, key_hash, row_hash of a chunk's rows.

    With `shown` also two arrays of the columns' texts: canonical, and as people read them.
    """
    places = range(len(compared.columns))
    inner = []
    for place, (column, mapping) in enumerate(compared.columns):
        name = pg_ident(column.name)
        # A text that is used twice is made once, in here.
        inner.append(f"{name if _bare(mapping) else mapping.pg_text(name)} AS {_text(place)}")
        if shown:
            inner.append(f"{name}::text AS cdc_shown_{place}")
    arrays = ""
    if shown:
        texts = ", ".join(_source_text(compared, place) for place in places)
        read = ", ".join(f"cdc_shown_{place}" for place in places)
        arrays = f", ARRAY[{texts}] AS texts, ARRAY[{read}] AS shown"
    # OFFSET 0 keeps Postgres from computing a text again at each place it is used.
    return (
        f"SELECT key_text, {_source_hashed('key_text')} AS key_hash, row_hash"
        f"{', texts, shown' if shown else ''}"
        f" FROM (SELECT {_source_joined(compared, compared.key_places)} AS key_text,"
        f" {_source_hashed(_source_joined(compared, places))} AS row_hash{arrays}"
        f" FROM (SELECT {', '.join(inner)} FROM {compared.table.source.rows} WHERE {chunk.source}"
        " OFFSET 0) AS taken OFFSET 0) AS hashes"
    )


def target_rows(compared: Compared, as_of: AsOf, chunk: Chunk, *, shown: bool = False) -> str:
    """ClickHouse: the same of the current rows, as they were at the source's snapshot."""

    # Arrays, for ClickHouse plans a query in a time that grows with the square of its functions.
    def array(places: Iterable[int]) -> str:
        texts = [
            mapping.ch_text(f"cdc_rows.{ch_ident(column.name)}")
            for column, mapping in (compared.columns[place] for place in places)
        ]
        return f"CAST([{', '.join(texts)}], 'Array(Nullable(String))')"

    def joined(places: Iterable[int]) -> str:
        bare, sized = _in_order(compared, places)
        parts = []
        if bare:
            parts.append(f"arrayMap(text -> concat(ifNull(text, ''), '|'), {array(bare)})")
        if sized:
            length = "concat(toString(length(text)), ':', text)"
            parts.append(f"arrayMap(text -> ifNull({length}, ':'), {array(sized)})")
        return f"concat({', '.join(f'arrayStringConcat({part})' for part in parts)}, '')"

    def hashed(text: str) -> str:
        return f"reinterpretAsInt64(reverse(substring(MD5({text}), 1, 8)))"

    places = range(len(compared.columns))
    read = ", ".join(
        f"toString(cdc_rows.{ch_ident(column.name)})" for column, _ in compared.columns
    )
    arrays = f", {array(places)} AS texts, CAST([{read}], 'Array(Nullable(String))') AS shown"
    return (
        f"SELECT key_text, {hashed('key_text')} AS key_hash, row_hash"
        f"{', texts, shown' if shown else ''}"
        f" FROM (SELECT {joined(compared.key_places)} AS key_text,"
        f" {hashed(joined(places))} AS row_hash{arrays if shown else ''}"
        f" FROM ({_as_of(compared, as_of, chunk)}) AS cdc_rows)"
    )


def _as_of(compared: Compared, as_of: AsOf, chunk: Chunk) -> str:
    """The target's rows as they were at the source's snapshot, though writers have gone on.

    A row that no later transaction touched is taken from the view X, because that is what users
    read. For a key that one did touch, X shows the future: its row is rebuilt from X_history, out
    of the changes the snapshot saw. X_final tells which, for it holds the last change of every
    key, deletes included, and a later change of a key is never seen without the earlier ones.
    """
    source = compared.table.source
    stored = {column.name: ch_ident(source.stored[column.name]) for column, _ in compared.columns}
    view, final = compared.target_name(""), compared.target_name("_final")
    unseen = as_of.snapshot.unseen_sql(as_of.loaded)
    here = chunk.target(ch_ident(chunk.column)) if chunk.column else "true"
    there = chunk.target(stored[chunk.column]) if chunk.column else "true"
    kept = ", ".join(stored.values())
    # Qualified, for a column may be stored under the name of another one.
    renamed = ", ".join(f"cdc_kept.{kept} AS {ch_ident(name)}" for name, kept in stored.items())
    if not source.key:
        # What came later is taken back: put in where it was taken out, and the other way round.
        shown = ", ".join(f"cdc_shown.{ch_ident(name)} AS {kept}" for name, kept in stored.items())
        return (
            f"SELECT {renamed} FROM (SELECT {kept} FROM"
            f" (SELECT {kept}, sum(_sign) AS _count FROM"
            f" (SELECT {shown}, toInt8(1) AS _sign FROM"
            f" (SELECT * FROM {view} WHERE {here}) AS cdc_shown"
            f" UNION ALL SELECT {kept}, negate(_sign) AS _sign FROM"
            f" (SELECT {kept}, _sign FROM {final} FINAL WHERE {there}"
            f" AND operation != 'r' AND {unseen} AND _version >= {version(as_of.floor)}))"
            f" GROUP BY {kept} HAVING _count > 0"
            " SETTINGS allow_suspicious_types_in_group_by = 1)"
            " ARRAY JOIN range(toUInt64(_count)) AS _copy) AS cdc_kept"
        )
    history = compared.target_name("_history")
    key = ", ".join(map(ch_ident, source.key))
    kept_key = ", ".join(stored[name] for name in source.key)
    columns = ", ".join(map(ch_ident, stored))
    touched = f"SELECT {kept_key} FROM {final} WHERE {there} AND {unseen}"
    newest = (
        f"SELECT {kept_key}, max(_version) FROM {history} WHERE {there} AND NOT {unseen}"
        f" AND _version >= {version(as_of.floor)} AND ({kept_key}) IN ({touched})"
        f" GROUP BY {kept_key}"
    )
    # FINAL, because a replayed letter is the same version once more, with more of its columns.
    return (
        f"SELECT {columns} FROM {view} WHERE {here} AND ({key}) NOT IN ({touched})"
        f" UNION ALL SELECT {renamed} FROM (SELECT {kept} FROM {history} FINAL"
        f" WHERE {there} AND ({kept_key}, _version) IN ({newest}) AND _deleted = 0) AS cdc_kept"
    )


def source_total(compared: Compared, chunk: Chunk) -> str:
    """Postgres: number of rows, sum of row hashes."""
    return (
        "SELECT count(*), coalesce(sum(row_hash), 0)"
        f" FROM ({source_rows(compared, chunk)}) AS summed"
    )


def target_total(rows: str) -> str:
    """ClickHouse: the same; Int128, because a sum of 64-bit hashes overflows 64 bits."""
    return f"SELECT count(), sum(toInt128(row_hash)) FROM ({rows})"


def source_buckets(compared: Compared, chunk: Chunk, buckets: int) -> str:
    """Postgres: bucket, number of rows, sum of row hashes."""
    return (
        f"SELECT key_hash & {buckets - 1} AS bucket, count(*), sum(row_hash)"
        f" FROM ({source_rows(compared, chunk)}) AS bucketed GROUP BY 1"
    )


def target_buckets(rows: str, buckets: int) -> str:
    """ClickHouse: the same."""
    return (
        f"SELECT bitAnd(key_hash, {buckets - 1}) AS bucket, count(), sum(toInt128(row_hash))"
        f" FROM ({rows}) GROUP BY bucket"
    )


def source_in_buckets(compared: Compared, chunk: Chunk, buckets: int, chosen: Sequence[int]) -> str:
    """Postgres: key_text and row_hash of the rows in some buckets."""
    array = "{" + ",".join(map(str, chosen)) + "}"
    return (
        f"SELECT key_text, row_hash FROM ({source_rows(compared, chunk)}) AS chosen"
        f" WHERE key_hash & {buckets - 1} = ANY ('{array}'::bigint[])"
    )


def target_in_buckets(rows: str, buckets: int, chosen: Sequence[int]) -> str:
    """ClickHouse: the same."""
    return (
        f"SELECT key_text, row_hash FROM ({rows})"
        f" WHERE bitAnd(key_hash, {buckets - 1}) IN ({', '.join(map(str, chosen))})"
    )


def source_with_keys(compared: Compared, chunk: Chunk, keys: str) -> str:
    """Postgres: the rows, with their texts, that have these key texts (a quoted text array)."""
    rows = source_rows(compared, chunk, shown=True)
    return f"SELECT * FROM ({rows}) AS named WHERE key_text = ANY ({keys}::text[])"


def target_with_keys(rows: str, keys: Iterable[str]) -> str:
    """ClickHouse: the rows with these key texts."""
    return f"SELECT * FROM ({rows}) WHERE key_text IN ({', '.join(map(ch_string, keys))})"


def bucket_count(rows: int, rows_in_bucket: int = 2_000, most: int = 65_536) -> int:
    """A power of two, so that a bucket is a mask of the key's hash."""
    return min(most, 1 << max(0, -(-rows // rows_in_bucket) - 1).bit_length())
