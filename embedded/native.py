"""The Native format as newer clients want it.

A client that sends `client_protocol_version` reads Native blocks as the TCP protocol writes them:
with a header of their own and a flag on each column. The engine in process writes them without,
and no setting changes that. So the flags are put in here, which takes finding out where a column's
data ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from embedded.errors import ClickHouseError, not_implemented

FLAGGED_SINCE = 54454
"""First protocol revision with a flag on each column (custom serialization). Older ones are
answered as revision 0, which clients that ask for less notice by themselves."""

_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"  # no overflow row, no bucket
_WIDTHS = {
    1: "Int8 UInt8 Bool Enum8 Nothing",
    2: "Int16 UInt16 Date Enum16 BFloat16",
    4: "Int32 UInt32 Float32 Date32 DateTime IPv4 Decimal32 Time",
    8: "Int64 UInt64 Float64 DateTime64 Decimal64 Time64",
    16: "Int128 UInt128 UUID IPv6 Decimal128",
    32: "Int256 UInt256 Decimal256",
}
_WIDTH = {name: width for width, names in _WIDTHS.items() for name in names.split()}
_ALIASES = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_PIECE = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]|[^'`(),]+", re.DOTALL)
_FIELD_NAME = re.compile(r"(?:`(?:[^`\\]|\\.)*`|\w+) +(?=\w)")
_HAS_MORE_KEYS = 1 << 9
_JSON_AS_STRINGS = 1  # serialization version; with output_format_native_write_json_as_string


class _Type(NamedTuple):
    name: str
    arguments: tuple[str, ...]


def revise(document: bytes) -> bytes:
    """Put block headers and column flags in.

    Args:
        document: complete Native blocks as the engine writes them (revision 0).

    Returns:
        The same blocks as a client of revision FLAGGED_SINCE or later reads them.

    Raises:
        ClickHouseError: a column's type has no length that can be told (Variant, Dynamic, states).
    """
    parts: list[bytes] = []
    at = 0
    while at < len(document):
        columns, at = _varint(document, at)
        rows, after = _varint(document, at)
        parts += [_BLOCK_INFO, _as_varint(columns), document[at:after]]
        at = after
        for _ in range(columns):
            start = at
            _, at = _string(document, at)
            kind, at = _string(document, at)
            parts += [document[start:at], b"\x00"]
            if rows:
                start, at = at, _data(kind, document, _prefix(kind, document, at), rows)
                parts.append(document[start:at])
    return b"".join(parts)


def revised(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """`revise` for a stream whose every item is complete blocks."""
    for block in blocks:
        yield revise(block)


def _unknown_length(kind: str) -> ClickHouseError:
    return not_implemented(f"{kind} can't be sent in Native to this client; cast it to String")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _string(data: bytes, at: int) -> tuple[str, int]:
    size, at = _varint(data, at)
    return data[at : at + size].decode(), at + size


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


@lru_cache(maxsize=1024)
def _parse(kind: str) -> _Type:
    """A type's name and arguments; `DateTime('UTC')`, `Tuple(a Int8, b String)` and so on."""
    kind = _ALIASES.get(kind, kind)
    name, _, inside = kind.partition("(")
    arguments, current, depth = [], "", 0
    for piece in _PIECE.findall(inside[:-1]):
        depth += (piece == "(") - (piece == ")")
        if piece == "," and depth == 0:
            arguments.append(current.strip())
            current = ""
        else:
            current += piece
    if current.strip():
        arguments.append(current.strip())
    if name in ("Tuple", "Nested"):
        arguments = [_FIELD_NAME.sub("", argument, count=1) for argument in arguments]
    if name in ("Map", "Nested"):
        return _Type("Array", (f"Tuple({', '.join(arguments)})",))
    if name == "SimpleAggregateFunction":
        return _parse(arguments[-1])
    return _Type(name, tuple(arguments))


def _prefix(kind: str, data: bytes, at: int) -> int:
    """Where a column's data begins: dictionaries and JSON say their version before it."""
    name, arguments = _parse(kind)
    if name == "JSON" and _number(data, at) != _JSON_AS_STRINGS:
        raise _unknown_length(kind)
    if name in ("LowCardinality", "JSON"):
        return at + 8
    if name in ("Array", "Nullable", "Tuple"):
        for argument in arguments:
            at = _prefix(argument, data, at)
    return at


def _data(kind: str, data: bytes, at: int, rows: int) -> int:
    """Where `rows` values of a type end."""
    name, arguments = _parse(kind)
    if name in ("String", "JSON"):
        for _ in range(rows):
            size = data[at]
            if size < 128:
                at += size + 1
            else:
                size, at = _varint(data, at)
                at += size
        return at
    if name == "Nullable":
        return _data(arguments[0], data, at + rows, rows)
    if name == "Array":
        at += 8 * rows
        return _data(arguments[0], data, at, _number(data, at - 8)) if rows else at
    if name == "Tuple" and arguments:
        for argument in arguments:
            at = _data(argument, data, at, rows)
        return at
    if name == "LowCardinality":
        return _dictionary(arguments[0], data, at, rows)
    return at + rows * _width(kind, name, arguments)


def _dictionary(kind: str, data: bytes, at: int, rows: int) -> int:
    inner = _parse(kind)
    values = inner.arguments[0] if inner.name == "Nullable" else kind
    while rows > 0:
        flags, at = _number(data, at), at + 8
        if flags & _HAS_MORE_KEYS:
            at = _data(values, data, at + 8, _number(data, at))
        count, at = _number(data, at), at + 8
        at += count << (flags & 0xFF)
        rows -= count
    return at


def _width(kind: str, name: str, arguments: tuple[str, ...]) -> int:
    if name == "FixedString":
        return int(arguments[0])
    if name == "Decimal":
        digits = int(arguments[0])
        return next(
            width for most, width in ((9, 4), (18, 8), (38, 16), (76, 32)) if digits <= most
        )
    if name.startswith("Interval"):
        return 8
    if name not in _WIDTH:
        raise _unknown_length(kind)
    return _WIDTH[name]
