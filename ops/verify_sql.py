"""The two queries a verification compares: each row's key and hash, from Postgres and ClickHouse.

Both sides write every column as the same canonical text (catalog.types), join the texts with their
lengths in front (so that neither a separator nor NULL can be mistaken for data) and take the first
64 bits of the MD5 as a signed number: it is what both databases can compute and sum exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catalog.model import CapturedTable, Column
from catalog.names import ch_ident, ch_string, pg_ident, pg_qualified
from catalog.types import TypeMapping
from ops.verify_snapshot import Snapshot


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


def _text(place: int) -> str:
    return f"cdc_text_{place}"


def _shown(place: int) -> str:
    return f"cdc_shown_{place}"


def _source_joined(texts: Iterable[str]) -> str:
    return " || ".join(
        f"coalesce(octet_length({text})::text || ':' || {text}, '-')" for text in texts
    )


def _source_hashed(text: str) -> str:
    return f"('x' || substr(md5({text}), 1, 16))::bit(64)::bigint"


def _source_key(compared: Compared) -> str:
    columns = [compared.columns[place] for place in compared.key_places]
    return _source_joined(mapping.pg_text(pg_ident(column.name)) for column, mapping in columns)


def source_rows(compared: Compared, where: str = "true", *, shown: bool = False) -> str:
    """Postgres: key_text, key_hash, row_hash of every row; with `shown`, the texts themselves."""
    places = range(len(compared.columns))
    texts = [
        f"{mapping.pg_text(pg_ident(column.name))} AS {_text(place)}"
        for place, (column, mapping) in enumerate(compared.columns)
    ]
    if shown:
        texts += [
            f"{pg_ident(column.name)}::text AS {_shown(place)}"
            for place, (column, _) in enumerate(compared.columns)
        ]
    # OFFSET 0 keeps Postgres from computing a text again at each place it is used.
    return (
        f"SELECT key_text, {_source_hashed('key_text')} AS key_hash, row_hash"
        f"{_columns(places, shown)}"
        f" FROM (SELECT {_source_joined(map(_text, compared.key_places))} AS key_text,"
        f" {_source_hashed(_source_joined(map(_text, places)))} AS row_hash"
        f"{_columns(places, shown)}"
        f" FROM (SELECT {', '.join(texts)} FROM {compared.table.source.rows}"
        f" WHERE {where} OFFSET 0) AS texts OFFSET 0) AS hashes"
    )


def target_rows(compared: Compared, snapshot: Snapshot, floor: int, *, shown: bool = False) -> str:
    """ClickHouse: the same of the current rows, as they were at the source's snapshot.

    Changes with a version below `floor` are void: a TRUNCATE or a resync came after them.
    """

    def joined(places: Iterable[int]) -> str:
        parts = [
            f"ifNull(concat(toString(length({_text(place)})), ':', {_text(place)}), '-')"
            for place in places
        ]
        return f"concat({', '.join([*parts, ch_string('')])})"

    def hashed(text: str) -> str:
        return f"reinterpretAsInt64(reverse(substring(MD5({text}), 1, 8)))"

    places = range(len(compared.columns))
    texts = [
        f"{mapping.ch_text(ch_ident(column.name))} AS {_text(place)}"
        for place, (column, mapping) in enumerate(compared.columns)
    ]
    if shown:
        texts += [
            f"toString({ch_ident(column.name)}) AS {_shown(place)}"
            for place, (column, _) in enumerate(compared.columns)
        ]
    return (
        f"SELECT key_text, {hashed('key_text')} AS key_hash, row_hash{_columns(places, shown)}"
        f" FROM (SELECT {joined(compared.key_places)} AS key_text,"
        f" {hashed(joined(places))} AS row_hash{_columns(places, shown)}"
        f" FROM (SELECT {', '.join(texts)} FROM ({_as_of(compared, snapshot, floor)})))"
    )


def _columns(places: Iterable[int], shown: bool) -> str:
    return "".join(f", {_text(place)}, {_shown(place)}" for place in places) if shown else ""


def _as_of(compared: Compared, snapshot: Snapshot, floor: int) -> str:
    """The target's rows as they were at the source's snapshot, though writers have gone on.

    A row that no later transaction touched is taken from the view X, because that is what users
    read. For a key that one did touch, X shows the future: its row is rebuilt from X_history, out
    of the changes the snapshot saw. X_final tells which, for it holds the last change of every
    key, deletes included, and a later change of a key is never seen without the earlier ones.
    """
    source = compared.table.source
    stored = {column.name: ch_ident(source.stored[column.name]) for column, _ in compared.columns}
    kept = ", ".join(stored.values())
    # Qualified, for a column may be stored under the name of another one.
    renamed = ", ".join(f"_rows.{kept} AS {ch_ident(name)}" for name, kept in stored.items())
    view, final = compared.target_name(""), compared.target_name("_final")
    unseen = snapshot.unseen_sql()
    # A number of more than 64 bits would be read as a fraction.
    lowest = f"toUInt128('{floor}')"
    if not source.key:
        # What came later is taken back: put in where it was taken out, and the other way round.
        shown = ", ".join(f"_shown.{ch_ident(name)} AS {kept}" for name, kept in stored.items())
        return (
            f"SELECT {renamed} FROM (SELECT {kept} FROM"
            f" (SELECT {kept}, sum(_sign) AS _count FROM"
            f" (SELECT {shown}, toInt8(1) AS _sign FROM {view} AS _shown"
            f" UNION ALL SELECT {kept}, negate(_sign) AS _sign FROM"
            f" (SELECT {kept}, _sign FROM {final} FINAL"
            f" WHERE {unseen} AND _version >= {lowest}))"
            f" GROUP BY {kept} HAVING _count > 0"
            " SETTINGS allow_suspicious_types_in_group_by = 1)"
            f" ARRAY JOIN range(toUInt64(_count)) AS _copy) AS _rows"
        )
    # Rows that a load has copied and not yet finished may be newer than the snapshot, and what the
    # stream will bring of them is still to come.
    unseen = f"({unseen} OR operation = 'r' AND _version > {lowest})"
    key = ", ".join(map(ch_ident, source.key))
    stored_key = ", ".join(stored[name] for name in source.key)
    columns = ", ".join(map(ch_ident, stored))
    touched = f"SELECT {stored_key} FROM {final} WHERE {unseen}"
    return (
        f"SELECT {columns} FROM {view} WHERE ({key}) NOT IN ({touched})"
        f" UNION ALL SELECT {renamed} FROM (SELECT {kept} FROM"
        f" (SELECT {kept}, _deleted FROM {compared.target_name('_history')}"
        f" WHERE NOT {unseen} AND _version >= {lowest} AND ({stored_key}) IN ({touched})"
        f" ORDER BY _version DESC LIMIT 1 BY {stored_key}) WHERE _deleted = 0) AS _rows"
    )


def source_buckets(compared: Compared, buckets: int) -> str:
    """Postgres: bucket, number of rows, sum of row hashes."""
    return (
        f"SELECT key_hash & {buckets - 1} AS bucket, count(*), sum(row_hash)"
        f" FROM ({source_rows(compared)}) AS bucketed GROUP BY 1"
    )


def target_buckets(rows: str, buckets: int) -> str:
    """ClickHouse: the same; Int128, because a sum of 64-bit hashes overflows 64 bits."""
    return (
        f"SELECT bitAnd(key_hash, {buckets - 1}) AS bucket, count(), sum(toInt128(row_hash))"
        f" FROM ({rows}) GROUP BY bucket"
    )


def source_in_buckets(compared: Compared, buckets: int, chosen: Sequence[int]) -> str:
    """Postgres: key_text and row_hash of the rows in some buckets."""
    array = "{" + ",".join(map(str, chosen)) + "}"
    # Asked of the table itself: most rows are then dropped before their texts are made.
    bucket = f"{_source_hashed(_source_key(compared))} & {buckets - 1}"
    rows = source_rows(compared, f"({bucket}) = ANY ('{array}'::bigint[])")
    return f"SELECT key_text, row_hash FROM ({rows}) AS chosen"


def source_with_keys(compared: Compared, keys: str) -> str:
    """Postgres: the rows, with their texts, that have these key texts (a quoted text array)."""
    return source_rows(compared, f"({_source_key(compared)}) = ANY ({keys}::text[])", shown=True)


def target_in_buckets(rows: str, buckets: int, chosen: Sequence[int]) -> str:
    """ClickHouse: the same."""
    return (
        f"SELECT key_text, row_hash FROM ({rows})"
        f" WHERE bitAnd(key_hash, {buckets - 1}) IN ({', '.join(map(str, chosen))})"
    )


def target_with_keys(rows: str, keys: Iterable[str]) -> str:
    """ClickHouse: the rows with these key texts."""
    return f"SELECT * FROM ({rows}) WHERE key_text IN ({', '.join(map(ch_string, keys))})"


def bucket_count(rows: int, rows_in_bucket: int = 2_000, most: int = 65_536) -> int:
    """A power of two, so that a bucket is a mask of the key's hash."""
    return min(most, 1 << max(0, -(-rows // rows_in_bucket) - 1).bit_length())
