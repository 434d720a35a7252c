"""Postgres type → ClickHouse type: how a value is decoded, and how both sides are compared.

A row of the registry is `_register(<name as format_type() writes it>, builder)`; adding a type
is adding a row. The rules every row keeps:

- `decode` takes SQL of type Nullable(String) holding the field of a Debezium message as text and
  yields NULL for whatever the ClickHouse type can't hold *exactly*. ClickHouse's own conversions
  clamp (dates), truncate (decimals) and approximate (floats), so each is guarded.
- `decode` never throws, whatever the text: an exception in the view would stop the table.
- `pg_text` and `ch_text` give equal text for equal values, so that checksums can be compared.
- `load` keeps the first two rules for a value that the initial load copies.

Formats are those of Debezium 3.7 with decimal.handling.mode=string,
time.precision.mode=microseconds and binary.handling.mode=base64.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from catalog.model import CatalogError

Sql = Callable[[str], str]

# What Debezium writes for a TOASTed value that the change did not carry (REPLICA IDENTITY
# DEFAULT). It must never be taken for a value.
UNAVAILABLE = "__debezium_unavailable_value"

# Date32 and DateTime64 are only defined from 1900-01-01 to 2299-12-31; outside, they clamp.
_FIRST_DAY, _LAST_DAY = -25567, 120529
_FIRST_MICRO, _LAST_MICRO = _FIRST_DAY * 86_400_000_000, (_LAST_DAY + 1) * 86_400_000_000 - 1


# What the session that copies must have set, so that a value's text depends on nothing else.
COPY_SETTINGS = (
    ("timezone", "UTC"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
)


@dataclass(frozen=True)
class Load:
    """How the initial load takes a value: COPY … TO STDOUT (text) → FORMAT TabSeparated.

    The session needs `COPY_SETTINGS`. NULL travels as `\\N`: the input column is
    Nullable(`input`).
    """

    pg: Sql
    """From the quoted column to what COPY selects."""
    input: str
    """ClickHouse type of the input column. Anything but String reads whatever `pg` can give."""
    ch: Sql
    """From the input column to the stored type; NULL for what that can't hold. Never throws."""


@dataclass(frozen=True)
class TypeMapping:
    """How one Postgres type is stored, decoded and compared."""

    clickhouse: str
    codec: str
    decode: Sql
    pg_text: Sql
    ch_text: Sql
    load: Load
    narrow: Sql
    """From the result of a generated column's expression to `clickhouse`; NULL if out of range."""
    widen: Sql | None = None
    """For arithmetic in generated columns, where ClickHouse throws on overflow."""


class UnsupportedType(CatalogError):
    """Columns whose types have no row in the registry; the message names them all."""

    def __init__(self, table: str, columns: Iterable[tuple[str, str]]) -> None:
        listed = ", ".join(f"{name} ({pg_type})" for name, pg_type in columns)
        super().__init__(
            f"{table} can't be captured because of column(s) {listed}: leave them out of the "
            "table, or give them a type listed in docs/types.md"
        )


def mapping(pg_type: str, *, as_text: bool = False) -> TypeMapping | None:
    """The mapping of a type as format_type() writes it, or None if there is none.

    `as_text` asks for a String with the text that Postgres shows (with `COPY_SETTINGS`).
    """
    if as_text:
        return _as_text(pg_type)
    match = _TYPE.fullmatch(pg_type)
    if match is None:
        return None
    name = match["name"] + (match["zone"] or "")
    args = tuple(int(arg) for arg in (match["args"] or "").split(",") if arg)
    builder = _REGISTRY.get(name)
    return builder(args) if builder else None


_TYPE = re.compile(
    r"(?P<name>[a-z][a-z ]*?)(\((?P<args>-?\d+(,-?\d+)*)\))?(?P<zone> with(out)? time zone)?"
)
_REGISTRY: dict[str, Callable[[tuple[int, ...]], TypeMapping | None]] = {}


def _register(name: str, build: Callable[[tuple[int, ...]], TypeMapping | None]) -> None:
    _REGISTRY[name] = build


def supported_types() -> list[str]:
    """Names in the registry, for messages and documentation."""
    return sorted(_REGISTRY)


def _same(sql: str) -> str:
    return sql


def _native(input_type: str) -> Load:
    """For types of which ClickHouse reads every value just as Postgres writes it."""
    return Load(pg=_same, input=input_type, ch=_same)


def _as_text(pg_type: str) -> TypeMapping | None:
    # Of these Debezium sends what Postgres shows.
    made = mapping(pg_type)
    return made if made is not None and made.clickhouse == "String" else None


def _integer(bits: int) -> TypeMapping:
    return TypeMapping(
        clickhouse=f"Int{bits}",
        codec="T64, ZSTD(1)",
        # Refuses '1.5': a column that became numeric in Postgres must not lose its fraction.
        decode=lambda raw: f"toInt{bits}OrNull({raw})",
        pg_text=lambda col: f"{col}::text",
        ch_text=lambda col: f"toString({col})",
        load=_native(f"Int{bits}"),
        narrow=lambda sql: f"accurateCastOrNull({sql}, 'Int{bits}')",
    )


def _numeric(args: tuple[int, ...]) -> TypeMapping | None:
    if not args:
        # Postgres allows 131072 digits there; no ClickHouse number holds that.
        return None
    precision, scale = args[0], args[1] if len(args) > 1 else 0
    # Postgres 15 allows numeric(3,-2) and numeric(2,5); ClickHouse needs 0 <= scale <= precision.
    precision, scale = max(precision - min(scale, 0), scale), max(scale, 0)
    if precision > 76:
        return None
    size = next(bits for bits, digits in _DECIMAL_DIGITS if precision <= digits)
    nines = "9" * precision
    limit = f"{nines[: precision - scale] or '0'}" + (f".{'9' * scale}" if scale else "")
    kind = f"Decimal({precision}, {scale})"

    def decode(raw: str) -> str:
        value = f"toDecimal{size}OrNull({raw}, {scale})"
        # toDecimalOrNull drops digits beyond the scale without a word, reads exponents, and knows
        # only four precisions: hence the three guards.
        exact = (
            f"{value} BETWEEN toDecimal{size}('-{limit}', {scale}) "
            f"AND toDecimal{size}('{limit}', {scale}) "
            f"AND (position({raw}, '.') = 0 OR length({raw}) - position({raw}, '.') <= {scale}) "
            f"AND position({raw}, 'e') = 0 AND position({raw}, 'E') = 0"
        )
        return f"if({exact}, CAST({value}, 'Nullable({kind})'), NULL)"

    return TypeMapping(
        clickhouse=kind,
        codec="ZSTD(1)",
        decode=decode,
        pg_text=lambda col: f"{col}::text",
        ch_text=lambda col: f"toDecimalString({col}, {scale})",
        load=Load(pg=_same, input="String", ch=decode),
        widen=lambda col: f"CAST({col}, 'Nullable(Decimal(76, {scale}))')",
        # Postgres rounds half away from zero, as ClickHouse does for decimals in round();
        # its casts truncate instead.
        narrow=lambda sql: decode(f"toString(round({sql}, {scale}))"),
    )


_DECIMAL_DIGITS = ((32, 9), (64, 18), (128, 38), (256, 76))


def _boolean() -> TypeMapping:
    return TypeMapping(
        clickhouse="Bool",
        codec="ZSTD(1)",
        decode=lambda raw: (
            f"CAST(multiIf({raw} = 'true', true, {raw} = 'false', false, NULL), 'Nullable(Bool)')"
        ),
        pg_text=lambda col: f"{col}::text",
        ch_text=lambda col: f"toString({col})",
        load=_native("Bool"),
        narrow=lambda sql: f"accurateCastOrNull({sql}, 'Bool')",
    )


def _text() -> TypeMapping:
    return TypeMapping(
        clickhouse="String",
        codec="ZSTD(1)",
        decode=lambda raw: f"nullIf({raw}, '{UNAVAILABLE}')",
        pg_text=lambda col: f"{col}::text",
        ch_text=lambda col: col,
        # What someone typed is what it is here: a copy has no unavailable values.
        load=_native("String"),
        narrow=lambda sql: f"toString({sql})",
    )


def _blank_padded() -> TypeMapping:
    text = _text()
    # Trailing blanks of char(n) mean nothing, and Postgres drops them when it casts to text.
    return TypeMapping(
        clickhouse=text.clickhouse,
        codec=text.codec,
        decode=text.decode,
        pg_text=text.pg_text,
        ch_text=lambda col: f"trim(TRAILING ' ' FROM {col})",
        load=text.load,
        narrow=text.narrow,
    )


def _date() -> TypeMapping:
    def decode(raw: str) -> str:
        days = f"toInt32OrNull({raw})"
        # toDate32() takes a larger number for seconds and clamps a smaller one.
        return f"if({days} BETWEEN {_FIRST_DAY} AND {_LAST_DAY}, toDate32({days}), NULL)"

    def read(text: str) -> str:
        # Ten characters: neither BC, nor infinity, nor a year of five digits. toDate32OrNull
        # clamps.
        inside = f"length({text}) = 10 AND {text} BETWEEN '1900-01-01' AND '2299-12-31'"
        return f"if({inside}, toDate32OrNull({text}), NULL)"

    return TypeMapping(
        clickhouse="Date32",
        codec="Delta, ZSTD(1)",
        decode=decode,
        pg_text=lambda col: (
            f"CASE WHEN isfinite({col}) THEN ({col} - date '1970-01-01')::text ELSE {col}::text END"
        ),
        ch_text=lambda col: f"toString(toInt32({col}))",
        load=Load(pg=_same, input="String", ch=read),
        narrow=lambda sql: f"accurateCastOrNull({sql}, 'Date32')",
    )


def _time() -> TypeMapping:
    def decode(raw: str) -> str:
        micros = f"toInt64OrNull({raw})"
        # 24:00:00 is a time in Postgres. There is no conversion from microseconds to Time64, so
        # the number is read as the decimal seconds that a Time64 is underneath.
        seconds = f"CAST(reinterpret({micros}, 'Decimal(18, 6)'), 'Nullable(Time64(6))')"
        return f"if({micros} BETWEEN 0 AND 86400000000, {seconds}, NULL)"

    return TypeMapping(
        clickhouse="Time64(6)",
        codec="ZSTD(1)",
        decode=decode,
        pg_text=lambda col: f"(extract(epoch from {col}) * 1000000)::bigint::text",
        ch_text=lambda col: f"toString(toInt64(toDecimal64({col}, 6) * 1000000))",
        load=_native("Time64(6)"),
        narrow=lambda sql: f"accurateCastOrNull({sql}, 'Time64(6)')",
    )


def _timestamp(with_zone: bool) -> TypeMapping:
    def micros(raw: str) -> str:
        value = f"toInt64OrNull({raw})"
        inside = f"{value} BETWEEN {_FIRST_MICRO} AND {_LAST_MICRO}"
        return f"if({inside}, fromUnixTimestamp64Micro({value}, 'UTC'), NULL)"

    def iso(raw: str) -> str:
        # The parser clamps years outside 1900–2299 and guesses at other notations. Debezium
        # writes years beyond 9999 with a sign and more digits, which the fixed columns refuse.
        shape = (
            f"substring({raw}, 1, 4) BETWEEN '1900' AND '2299' "
            f"AND substring({raw}, 5, 1) = '-' AND substring({raw}, 11, 1) = 'T' "
            f"AND endsWith({raw}, 'Z') AND length({raw}) BETWEEN 20 AND 27"
        )
        return f"if({shape}, parseDateTime64BestEffortOrNull({raw}, 6, 'UTC'), NULL)"

    def read(text: str) -> str:
        # The parser clamps other years, and refuses ones of five digits and BC by itself.
        inside = f"{text} BETWEEN '1900' AND '23'"
        return f"if({inside}, toDateTime64OrNull({text}, 6, 'UTC'), NULL)"

    return TypeMapping(
        clickhouse="DateTime64(6, 'UTC')",
        codec="Delta, ZSTD(1)",
        decode=iso if with_zone else micros,
        pg_text=lambda col: (
            f"CASE WHEN isfinite({col}) THEN (extract(epoch from {col}) * 1000000)::bigint::text "
            f"ELSE {col}::text END"
        ),
        ch_text=lambda col: f"toString(toUnixTimestamp64Micro({col}))",
        load=Load(
            # The wall clock in UTC: without the '+00'.
            pg=(lambda col: f"{col} AT TIME ZONE 'UTC'") if with_zone else _same,
            input="String",
            ch=read,
        ),
        narrow=lambda sql: f"accurateCastOrNull({sql}, 'DateTime64(6, \\'UTC\\')')",
    )


def _uuid() -> TypeMapping:
    def decode(raw: str) -> str:
        # toUUIDOrNull reads a wrong hexadecimal digit as some other digit.
        value = f"toUUIDOrNull({raw})"
        return f"if(toString({value}) = {raw}, {value}, NULL)"

    return TypeMapping(
        clickhouse="UUID",
        codec="ZSTD(1)",
        decode=decode,
        pg_text=lambda col: f"{col}::text",
        ch_text=lambda col: f"toString({col})",
        load=_native("UUID"),
        narrow=lambda sql: f"toUUIDOrNull(toString({sql}))",
    )


def _float(bits: int) -> TypeMapping:
    width = bits // 4

    def decode(raw: str) -> str:
        special = f"{raw} IN ('NaN', 'Infinity', '-Infinity')"
        # The JSON parser is exact where toFloatOrNull is off by one in the last digit for a third
        # of all doubles. It takes a number without point or exponent for an integer, which loses
        # the sign of -0 and overflows at 2^64: hence the 'e0'.
        number = (
            f"JSONExtract(if(position({raw}, '.') = 0 AND position({raw}, 'e') = 0 "
            f"AND position({raw}, 'E') = 0, concat({raw}, 'e0'), {raw}), 'Nullable(Float{bits})')"
        )
        finite = f"isNotNull(toFloat64OrNull({raw})) AND isFinite({number})"
        return f"multiIf({special}, toFloat{bits}OrNull({raw}), {finite}, {number}, NULL)"

    return TypeMapping(
        clickhouse=f"Float{bits}",
        codec="ZSTD(1)",
        decode=decode,
        # By their bits, since the two print differently; + 0 makes -0 and 0 equal, as they are.
        pg_text=lambda col: (
            f"CASE WHEN {col} = 'NaN' THEN 'NaN' "
            f"ELSE encode(float{bits // 8}send({col} + 0::float{bits // 8}), 'hex') END"
        ),
        ch_text=lambda col: (
            f"if(isNaN({col}), 'NaN', lower(leftPad(hex(reinterpretAsUInt{bits}"
            f"(toFloat{bits}({col} + 0))), {width}, '0')))"
        ),
        # Not native: that reader is not exact either.
        load=Load(pg=_same, input="String", ch=decode),
        narrow=lambda sql: f"accurateCastOrNull({sql}, 'Float{bits}')",
    )


def _bytea() -> TypeMapping:
    def decode(raw: str) -> str:
        # tryBase64Decode answers '' for what it can't read; encoding again tells the two apart.
        value = f"tryBase64Decode({raw})"
        return f"if(base64Encode({value}) = {raw}, nullIf({value}, '{UNAVAILABLE}'), NULL)"

    return TypeMapping(
        clickhouse="String",
        codec="ZSTD(1)",
        decode=decode,
        pg_text=lambda col: f"encode({col}, 'hex')",
        ch_text=lambda col: f"lower(hex({col}))",
        load=Load(pg=_same, input="String", ch=lambda text: f"unhex(substring({text}, 3))"),
        narrow=lambda sql: f"toString({sql})",
    )


def _constant(made: TypeMapping) -> Callable[[tuple[int, ...]], TypeMapping]:
    return lambda _args: made


_register("smallint", _constant(_integer(16)))
_register("integer", _constant(_integer(32)))
_register("bigint", _constant(_integer(64)))
_register("numeric", _numeric)
_register("boolean", _constant(_boolean()))
_register("text", _constant(_text()))
_register("character varying", _constant(_text()))
_register("character", _constant(_blank_padded()))
_register("date", _constant(_date()))
_register("time without time zone", _constant(_time()))
_register("timestamp without time zone", _constant(_timestamp(with_zone=False)))
_register("timestamp with time zone", _constant(_timestamp(with_zone=True)))
_register("uuid", _constant(_uuid()))
_register("json", _constant(_text()))
_register("jsonb", _constant(_text()))
_register("real", _constant(_float(32)))
_register("double precision", _constant(_float(64)))
_register("bytea", _constant(_bytea()))
