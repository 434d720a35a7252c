"""Integers, decimals, floats, booleans."""

from __future__ import annotations

from collections.abc import Callable

from catalog.types.model import Sql, TypeMapping, native, read_by, same
from catalog.types.texts import from_base64, show, text

_DECIMAL_DIGITS = ((32, 9), (64, 18), (128, 38), (256, 76))
MOST_DIGITS = 76


def integer(bits: int) -> TypeMapping:
    """smallint, integer, bigint."""
    return _whole(f"Int{bits}", same)


def unsigned(bits: int, *, sent_as_bytes: bool = False) -> TypeMapping:
    """oid, xid, xid8. Of the last two, unknown to it, Debezium sends the text as bytes."""
    return _whole(f"UInt{bits}", from_base64 if sent_as_bytes else same)


def _whole(kind: str, sent: Sql) -> TypeMapping:
    def read(raw: str) -> str:
        # Refuses '1.5': a column that became numeric in Postgres must not lose its fraction.
        return f"to{kind}OrNull({raw})"

    return TypeMapping(
        clickhouse=kind,
        codec="T64, ZSTD(1)",
        decode=lambda raw: read(sent(raw)),
        pg_text=show,
        ch_text=lambda col: f"toString({col})",
        load=native(kind),
        element=read,
        narrow=lambda sql: f"accurateCastOrNull({sql}, '{kind}')",
    )


def numeric(args: tuple[int, ...]) -> TypeMapping | None:
    """numeric(precision, scale); without any it gets as many digits on both sides of the point.

    None where ClickHouse's decimals, 76 digits, could not hold all that the column may.
    """
    if not args:
        return _decimal(MOST_DIGITS, MOST_DIGITS // 2, padded=True, pg_text=_trimmed)
    precision, scale = args[0], args[1] if len(args) > 1 else 0
    # Postgres 15 allows numeric(3,-2) and numeric(2,5); ClickHouse needs 0 <= scale <= precision.
    # For the first of them Debezium writes hundreds of zeros behind a point.
    kept = max(precision - min(scale, 0), scale)
    return None if kept > MOST_DIGITS else _decimal(kept, max(scale, 0), padded=scale < 0)


def money() -> TypeMapping:
    """In cents: 64 bits, of which the last two digits stand behind the point."""
    return _decimal(
        19,
        2,
        pg_text=lambda col: f"{col}::numeric::text",
        load_pg=lambda col: f"{col}::numeric",
    )


def _trimmed(col: str) -> str:
    return f"trim_scale({col})::text"


def _decimal(
    precision: int, scale: int, *, padded: bool = False, pg_text: Sql = show, load_pg: Sql = same
) -> TypeMapping:
    size = next(bits for bits, digits in _DECIMAL_DIGITS if precision <= digits)
    nines = "9" * precision
    limit = f"{nines[: precision - scale] or '0'}" + (f".{'9' * scale}" if scale else "")
    kind = f"Decimal({precision}, {scale})"

    def decode(raw: str) -> str:
        value = f"toDecimal{size}OrNull({raw}, {scale})"
        # toDecimalOrNull drops digits beyond the scale without a word, reads exponents, and knows
        # only four precisions: hence the three guards.
        digits = f"rtrim({raw}, '0')" if padded else raw
        exact = (
            f"{value} BETWEEN toDecimal{size}('-{limit}', {scale}) "
            f"AND toDecimal{size}('{limit}', {scale}) "
            f"AND (position({raw}, '.') = 0 OR length({digits}) - position({raw}, '.') <= {scale}) "
            f"AND position({raw}, 'e') = 0 AND position({raw}, 'E') = 0"
        )
        return f"if({exact}, CAST({value}, 'Nullable({kind})'), NULL)"

    def ch_text(col: str) -> str:
        written = f"toDecimalString({col}, {scale})"
        return f"rtrim(rtrim({written}, '0'), '.')" if pg_text is _trimmed else written

    return TypeMapping(
        clickhouse=kind,
        decode=decode,
        pg_text=pg_text,
        ch_text=ch_text,
        load=read_by(decode, load_pg),
        element=decode,
        # Postgres rounds half away from zero, as ClickHouse does for decimals in round();
        # its casts truncate instead.
        narrow=lambda sql: decode(f"toString(round({sql}, {scale}))"),
        widen=lambda col: f"CAST({col}, 'Nullable(Decimal({MOST_DIGITS}, {scale}))')",
    )


def numeric_text(args: tuple[int, ...]) -> TypeMapping:
    """numeric as Postgres shows it, with all digits and what is no number."""
    special = "['NAN', 'POSITIVE_INFINITY', 'NEGATIVE_INFINITY'], ['NaN', 'Infinity', '-Infinity']"

    def decode(raw: str) -> str:
        if len(args) > 1 and args[1] < 0:
            raw = rf"replaceRegexpOne({raw}, '\\.0*$', '')"
        return text().decode(f"transform({raw}, {special}, {raw})")

    return text(decode=decode)


def boolean() -> TypeMapping:
    def read(yes: str, no: str) -> Sql:
        return lambda raw: (
            f"CAST(multiIf({raw} = '{yes}', true, {raw} = '{no}', false, NULL), 'Nullable(Bool)')"
        )

    return TypeMapping(
        clickhouse="Bool",
        decode=read("true", "false"),
        pg_text=show,
        ch_text=lambda col: f"toString({col})",
        load=native("Bool"),
        element=read("t", "f"),
        narrow=lambda sql: f"accurateCastOrNull({sql}, 'Bool')",
    )


def floating(bits: int) -> TypeMapping:
    """real, double precision."""
    read = read_float(bits)
    return TypeMapping(
        clickhouse=f"Float{bits}",
        decode=read,
        pg_text=pg_bits(bits),
        ch_text=ch_bits(bits),
        # Not native: that reader is not exact either.
        load=read_by(read),
        element=read,
        narrow=lambda sql: f"accurateCastOrNull({sql}, 'Float{bits}')",
    )


def read_float(bits: int) -> Callable[[str], str]:
    """From a text, Java's or Postgres', to the nearest float, as Postgres reads it."""

    def read(raw: str) -> str:
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

    return read


def pg_bits(bits: int) -> Sql:
    """A float as its bits, since the two databases print it differently.

    + 0 makes -0 and 0 equal, as they are.
    """
    size = bits // 8
    return lambda col: (
        f"CASE WHEN {col} = 'NaN' THEN 'NaN' "
        f"ELSE encode(float{size}send({col} + 0::float{size}), 'hex') END"
    )


def ch_bits(bits: int) -> Sql:
    """The same in ClickHouse."""
    return lambda col: (
        f"if(isNaN({col}), 'NaN', lower(leftPad(hex(reinterpretAsUInt{bits}"
        f"(toFloat{bits}({col} + 0))), {bits // 4}, '0')))"
    )
