"""Rows of a table from both sides, compared in Python: independent of ops.verify and its SQL.

Both databases write their values in their own way; here each text is read as what its type means.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal

import psycopg
from clickhouse_connect.driver.client import Client

from catalog.model import CapturedTable, Column
from catalog.names import ch_ident, pg_ident

Row = tuple[object, ...]
Rows = Counter[Row]


def source_rows(connection: psycopg.Connection, table: CapturedTable) -> Rows:
    """Every row that Postgres has, how often. The session's settings are changed for it."""
    connection.execute(
        "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET extra_float_digits = 1;"
        " SET bytea_output = 'hex'"
    )
    listed = ", ".join(f"{pg_ident(column.name)}::text" for column in table.source.columns)
    name = f"{pg_ident(table.source.schema_)}.{pg_ident(table.source.name)}"
    return _rows(table.source.columns, connection.execute(f"SELECT {listed} FROM {name}".encode()))


def target_rows(client: Client, table: CapturedTable) -> Rows:
    """Every row that the view of current rows shows, how often."""
    listed = ", ".join(_readable(column) for column in table.source.columns)
    name = f"{ch_ident(table.database)}.{ch_ident(table.table)}"
    return _rows(table.source.columns, client.query(f"SELECT {listed} FROM {name}").result_rows)


def differences(ours: Rows, theirs: Rows, most: int = 5) -> str:
    """'' if both are equal, else some of the rows that only one side has."""
    return "; ".join(
        f"{sum(only.values())} row(s) only in {side}: {list(only.elements())[:most]}"
        for side, only in (("Postgres", ours - theirs), ("ClickHouse", theirs - ours))
        if only
    )


def _rows(columns: Iterable[Column], rows: Iterable[Iterable[str | None]]) -> Rows:
    readers = [_reader(column.pg_type) for column in columns]
    return Counter(
        tuple(None if text is None else read(text) for read, text in zip(readers, row, strict=True))
        for row in rows
    )


def _readable(column: Column) -> str:
    name = ch_ident(column.name)
    return (
        f"concat('\\\\x', lower(hex({name})))" if column.pg_type == "bytea" else f"toString({name})"
    )


def _reader(pg_type: str) -> Callable[[str], object]:
    name = re.sub(r"\(.*?\)", "", pg_type)
    return _READERS.get(name, str)


def _float(text: str, size: str) -> object:
    # As bits, for NaN is not equal to itself; + 0 makes -0 and 0 equal, as they are in Postgres.
    value = float(text) + 0.0
    return "NaN" if value != value else struct.pack(size, value)


def _micros(text: str) -> str:
    """A time with all six digits of its fraction, and without the zone, which is UTC."""
    whole, _, fraction = text.removesuffix("+00").partition(".")
    return f"{whole}.{fraction:0<6}"


_READERS: dict[str, Callable[[str], object]] = {
    "smallint": int,
    "integer": int,
    "bigint": int,
    "numeric": Decimal,
    "boolean": lambda text: text in ("true", "t"),
    "character": lambda text: text.rstrip(" "),
    "real": lambda text: _float(text, "<f"),
    "double precision": lambda text: _float(text, "<d"),
    "timestamp without time zone": _micros,
    "timestamp with time zone": _micros,
    "time without time zone": _micros,
}
