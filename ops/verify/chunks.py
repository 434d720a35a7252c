"""How a table is cut into chunks: ranges of its key's first column.

The bounds are a sample of the source's values and need not be good: the chunks always cover every
row, whatever lies between them. So they are found cheaply, and a chunk that grew is only slower.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from catalog.model import Column
from catalog.names import ch_string, pg_ident
from catalog.types import Sql, TypeMapping
from ops.verify.sql import Chunk, Compared

CHUNK_ROWS = 250_000
CHUNK_BYTES = 256 << 20
# The bounds go into one query.
MOST_CHUNKS = 1_000
MOST_BOUND_BYTES = 100
# Where a range of the key is spread over the whole table, a chunk may cost Postgres all its pages.
MOST_SCATTERED = 16
CLUSTERED = 0.9
SAMPLED_PAGES_A_CHUNK = 20
LITERALS_A_QUERY = 100

Query = Callable[[str], Sequence[Sequence[Any]]]

_ORDERED_ALIKE = re.compile(r"Int\d+|Decimal\b|Date32|DateTime64\b")
_NUMBERS_AND_TIMES = re.compile(r"(smallint|integer|bigint|numeric|date|timestamp)\b")
_TEXT = re.compile(r"text|character varying(\(\d+\))?")


@dataclass(frozen=True)
class Size:
    """Of a table: rows (an estimate), and what the source stores of it, its partitions included."""

    rows: int
    heap_pages: int
    bytes: int


def size(conn: psycopg.Connection[Any], name: str, stored: int) -> Size:
    """The table's size; `stored` is how many rows the target has."""
    row = conn.execute(
        "SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint,"
        " coalesce(sum(pg_relation_size(c.oid)), 0)::bigint"
        " / current_setting('block_size')::bigint,"
        " coalesce(sum(pg_table_size(c.oid)), 0)::bigint"
        " FROM pg_class c WHERE c.oid = to_regclass(%(name)s)"
        " OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass(%(name)s)) WHERE isleaf)",
        {"name": name},
    ).fetchone()
    assert row is not None
    return Size(max(stored, row[0]), row[1], row[2])


def plan(
    conn: psycopg.Connection[Any], query: Query, compared: Compared, table: Size
) -> list[Chunk]:
    """Chunks that together hold each row once; `query` asks ClickHouse."""
    wanted = max(-(-table.rows // CHUNK_ROWS), -(-table.bytes // CHUNK_BYTES))
    wanted = min(wanted, MOST_CHUNKS)
    column, mapping = compared.columns[compared.key_places[0]]
    axis = _axis(compared, column, mapping)
    if wanted < 2 or axis is None:
        return [Chunk()]
    bounds = _held(query, _bounds(conn, compared, axis, wanted, table.heap_pages))
    chunks = []
    for low, high in itertools.pairwise([None, *bounds, None]):
        source = [f"{axis.source} >= {low[0]}"] if low else []
        source += [f"{axis.source} < {high[0]}"] if high else []
        target = axis.between(low and low[1], high and high[1])
        chunks.append(Chunk(" AND ".join(source), column.name, target))
    return chunks


@dataclass(frozen=True)
class _Axis:
    """What is cut: a column as both databases order it alike.

    scattered: one of them has no index in this order.
    """

    column: Column
    mapping: TypeMapping
    source: str
    target: Sql
    scattered: bool

    def between(self, low: str | None, high: str | None) -> Sql:
        """ClickHouse's condition for a value from `low` to below `high`."""

        def condition(name: str) -> str:
            value = self.target(name)
            parts = [f"{value} >= {low}"] if low else []
            return "(" + " AND ".join([*parts, *([f"{value} < {high}"] if high else [])]) + ")"

        return condition

    def bound(self, shown: str, carried: str) -> tuple[str, str]:
        """A value as a literal of each side, from its text and from what a load would carry."""
        literal = "'" + shown.replace("'", "''") + "'"
        if self.column.pg_type == "uuid":
            return f"{literal}::uuid", ch_string(shown)
        given = f"CAST({ch_string(carried)}, '{self.mapping.load.input}')"
        return f"{literal}::{self.column.pg_type}", self.mapping.load.ch(given)


def _axis(compared: Compared, column: Column, mapping: TypeMapping) -> _Axis | None:
    source = pg_ident(column.name)
    if column.nullable:
        return None  # without a key: a NULL is in no range
    if _ORDERED_ALIKE.match(mapping.clickhouse) and _NUMBERS_AND_TIMES.match(column.pg_type):
        # ClickHouse keeps a table without a key in another order.
        scattered = not compared.table.source.key
        return _Axis(column, mapping, source, lambda name: name, scattered)
    if column.pg_type == "uuid":
        # ClickHouse orders them by their second half.
        return _Axis(column, mapping, source, lambda name: f"toString({name})", scattered=True)
    if mapping.clickhouse == "String" and _TEXT.fullmatch(column.pg_type):
        # By bytes, as ClickHouse orders; the index is in the column's collation.
        return _Axis(column, mapping, f'{source} COLLATE "C"', lambda name: name, scattered=True)
    return None


def _bounds(
    conn: psycopg.Connection[Any], compared: Compared, axis: _Axis, wanted: int, pages: int
) -> list[tuple[str, str]]:
    share = min(100.0, 100.0 * wanted * SAMPLED_PAGES_A_CHUNK / max(1, pages))
    carried = axis.mapping.load.pg("value")
    rows = conn.execute(
        f"""
        SELECT value::text, ({carried})::text, place, total, abs(correlation)
        FROM (
            SELECT value, n AS place, count(*) OVER () AS total,
                corr(n::float8, stored::float8) OVER () AS correlation
            FROM (
                SELECT value, row_number() OVER (ORDER BY value) AS n,
                    row_number() OVER (ORDER BY file, page) AS stored
                FROM (
                    SELECT {axis.source} AS value, tableoid AS file, ctid AS page
                    FROM {compared.table.source.rows} TABLESAMPLE SYSTEM ({share:.6f})
                ) AS sampled
            ) AS numbered
        ) AS judged
        WHERE place % greatest(1, total / {wanted}) = 0
            AND octet_length(value::text) <= {MOST_BOUND_BYTES}
        ORDER BY place
        """.encode()
    ).fetchall()
    if axis.scattered or any(row[4] is None or row[4] < CLUSTERED for row in rows):
        rows = rows[:: max(1, -(-len(rows) // (MOST_SCATTERED - 1)))]
    # One value may come more than once.
    return [axis.bound(*bound) for bound in dict.fromkeys((row[0], row[1]) for row in rows)]


def _held(query: Query, bounds: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without those that ClickHouse's type can't hold: a NULL would leave rows out."""
    held = []
    for start in range(0, len(bounds), LITERALS_A_QUERY):
        some = bounds[start : start + LITERALS_A_QUERY]
        [answers] = query(f"SELECT {', '.join(f'isNull({target})' for _, target in some)}")
        held += [bound for bound, null in zip(some, answers, strict=True) if not null]
    return held
