"""Rows of a table from both sides, compared in Python: independent of ops.verify and its SQL.

Both databases write their values in their own way; here each text is read as what its type means.
"""

from __future__ import annotations

import json
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from ipaddress import ip_interface

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
        " SET bytea_output = 'hex'; SET intervalstyle = 'postgres'"
    )
    listed = ", ".join(_source(pg_ident(c.name), _kind(c)) for c in table.source.columns)
    query = f"SELECT {listed} FROM {table.source.rows}"
    return _rows(table.source.columns, connection.execute(query.encode()))


def target_rows(client: Client, table: CapturedTable) -> Rows:
    """Every row that the view of current rows shows, how often."""
    listed = ", ".join(_target(ch_ident(c.name), _kind(c)) for c in table.source.columns)
    query = f"SELECT {listed} FROM {ch_ident(table.database)}.{ch_ident(table.table)}"
    return _rows(table.source.columns, client.query(query).result_rows)


def differences(ours: Rows, theirs: Rows, most: int = 5) -> str:
    """'' if both are equal, else some of the rows that only one side has."""
    return "; ".join(
        f"{sum(only.values())} row(s) only in {side}: {list(only.elements())[:most]}"
        for side, only in (("Postgres", ours - theirs), ("ClickHouse", theirs - ours))
        if only
    )


def _rows(columns: Iterable[Column], rows: Iterable[Iterable[str | None]]) -> Rows:
    kinds = [_kind(column) for column in columns]
    return Counter(
        tuple(
            None if text is None else _read(kind, text)
            for kind, text in zip(kinds, row, strict=True)
        )
        for row in rows
    )


def _kind(column: Column) -> str:
    """The type, of a domain the one behind it, without its modifier."""
    return re.sub(r"\(.*?\)", "", column.base_type or column.pg_type)


def _source(column: str, kind: str) -> str:
    if kind.endswith("[]"):
        return f"to_jsonb({column}::text[])::text"
    if kind == "interval":
        return (
            f"concat_ws(',', extract(year FROM {column}) * 12 + extract(month FROM {column}),"
            f" extract(day FROM {column}), extract(hour FROM {column}) * 3600000000"
            f" + extract(minute FROM {column}) * 60000000 + extract(microseconds FROM {column}))"
        )
    shown = {"money": f"{column}::numeric::text", "hstore": f"{column}::json::text"}
    return shown.get(kind, f"{column}::text")


def _target(column: str, kind: str) -> str:
    if kind.endswith("[]"):
        # As texts, for JSON has no word for NaN.
        texts = f"CAST({column}, 'Array(Nullable(String))')"
        if kind == "bytea[]":
            texts = f"arrayMap(x -> concat('\\\\x', lower(hex(x))), {texts})"
        return f"if(isNull({column}), NULL, toJSONString({texts}))"
    if kind == "hstore":
        return f"if(isNull({column}), NULL, toJSONString({column}))"
    if kind == "interval":
        fields = [f"toString({column}.{part})" for part in ("months", "days", "microseconds")]
        return f"concat({fields[0]}, ',', {fields[1]}, ',', {fields[2]})"
    if kind == "point":
        return f"concat('(', toString({column}.x), ',', toString({column}.y), ')')"
    return f"concat('\\\\x', lower(hex({column})))" if kind == "bytea" else f"toString({column})"


def _read(kind: str, text: str) -> object:
    if kind.endswith("[]"):
        element = kind[:-2]
        read = str if element in _TEXTS_IN_ARRAYS else _READERS.get(element, str)
        return tuple(None if item is None else read(item) for item in json.loads(text))
    return _READERS.get(kind, str)(text)


def _float(text: str, size: str) -> object:
    # As bits, for NaN is not equal to itself; + 0 makes -0 and 0 equal, as they are in Postgres.
    value = float(text) + 0.0
    return "NaN" if value != value else struct.pack(size, value)


def _whole(text: str) -> int:
    return int(Decimal(text))


def _micros(text: str) -> str:
    """A time with all six digits of its fraction, and without the zone, which is UTC."""
    whole, _, fraction = text.removesuffix("+00").partition(".")
    return f"{whole}.{fraction:0<6}"


# Whose elements are kept as Postgres writes them.
_TEXTS_IN_ARRAYS = ("interval", "point", "hstore")
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
    "money": Decimal,
    "bpchar": lambda text: text.rstrip(" "),
    "inet": ip_interface,
    "hstore": lambda text: tuple(sorted(json.loads(text).items())),
    # A NULL is a tuple of NULLs.
    "interval": lambda text: tuple(map(_whole, text.split(","))) if text else None,
    "point": lambda text: tuple(_float(each, "<d") for each in text.strip("()").split(",")),
}
