"""Dates, times, timestamps, intervals."""

from __future__ import annotations

from catalog.types.model import TypeMapping, native, read_by, same
from catalog.types.texts import available, text

# Date32 and DateTime64 are only defined from 1900-01-01 to 2299-12-31; outside, they clamp.
_FIRST_DAY, _LAST_DAY = -25567, 120529
_FIRST_MICRO, _LAST_MICRO = _FIRST_DAY * 86_400_000_000, (_LAST_DAY + 1) * 86_400_000_000 - 1


def date() -> TypeMapping:
    def read(raw: str) -> str:
        # Ten characters: neither BC, nor infinity, nor a year of five digits. toDate32OrNull
        # clamps.
        inside = f"length({raw}) = 10 AND {raw} BETWEEN '1900-01-01' AND '2299-12-31'"
        return f"if({inside}, toDate32OrNull({raw}), NULL)"

    return TypeMapping(
        clickhouse="Date32",
        codec="Delta, ZSTD(1)",
        decode=_days,
        pg_text=lambda col: (
            f"CASE WHEN isfinite({col}) THEN ({col} - date '1970-01-01')::text ELSE {col}::text END"
        ),
        ch_text=lambda col: f"toString(toInt32({col}))",
        load=read_by(read),
        element=read,
        narrow=lambda sql: f"accurateCastOrNull({sql}, 'Date32')",
    )


def _days(raw: str) -> str:
    days = f"toInt32OrNull({raw})"
    # toDate32() takes a larger number for seconds and clamps a smaller one.
    return f"if({days} BETWEEN {_FIRST_DAY} AND {_LAST_DAY}, toDate32({days}), NULL)"


def date_text() -> TypeMapping:
    # Beyond what ClickHouse's dates hold, the converter writes Postgres' text.
    return text(decode=lambda raw: _number_or_text(raw, f"toString({_days(raw)})"))


def _number_or_text(raw: str, number: str) -> str:
    return f"if(isNull(toInt64OrNull({raw})), {available(raw)}, {number})"


def time() -> TypeMapping:
    def decode(raw: str) -> str:
        micros = f"toInt64OrNull({raw})"
        # 24:00:00 is a time in Postgres. There is no conversion from microseconds to Time64, so
        # the number is read as the decimal seconds that a Time64 is underneath.
        seconds = f"CAST(reinterpret({micros}, 'Decimal(18, 6)'), 'Nullable(Time64(6))')"
        return f"if({micros} BETWEEN 0 AND 86400000000, {seconds}, NULL)"

    return TypeMapping(
        clickhouse="Time64(6)",
        decode=decode,
        pg_text=lambda col: f"(extract(epoch from {col}) * 1000000)::bigint::text",
        ch_text=lambda col: f"toString(toInt64(toDecimal64({col}, 6) * 1000000))",
        load=native("Time64(6)"),
        element=lambda raw: f"toTime64OrNull({raw}, 6)",
        narrow=lambda sql: f"accurateCastOrNull({sql}, 'Time64(6)')",
    )


def timestamp(with_zone: bool) -> TypeMapping:
    def read(raw: str) -> str:
        # The parser clamps other years, and refuses ones of five digits and BC by itself.
        inside = f"{raw} BETWEEN '1900' AND '23'"
        return f"if({inside}, toDateTime64OrNull({raw}, 6, 'UTC'), NULL)"

    def in_utc(raw: str) -> str:
        return (
            f"if(endsWith({raw}, '+00'), {read(f'substring({raw}, 1, length({raw}) - 3)')}, NULL)"
        )

    return TypeMapping(
        clickhouse="DateTime64(6, 'UTC')",
        codec="Delta, ZSTD(1)",
        decode=_iso if with_zone else _micros,
        pg_text=lambda col: (
            f"CASE WHEN isfinite({col}) THEN "
            f"(extract(epoch from {col}) * 1000000)::numeric(30,0)::text ELSE {col}::text END"
        ),
        ch_text=lambda col: f"toString(toUnixTimestamp64Micro({col}))",
        # The wall clock in UTC: without the '+00'.
        load=read_by(read, (lambda col: f"{col} AT TIME ZONE 'UTC'") if with_zone else same),
        element=in_utc if with_zone else read,
        narrow=lambda sql: f"accurateCastOrNull({sql}, 'DateTime64(6, \\'UTC\\')')",
    )


def _micros(raw: str) -> str:
    value = f"toInt64OrNull({raw})"
    inside = f"{value} BETWEEN {_FIRST_MICRO} AND {_LAST_MICRO}"
    return f"if({inside}, fromUnixTimestamp64Micro({value}, 'UTC'), NULL)"


def _iso(raw: str) -> str:
    # The parser clamps years outside 1900–2299 and guesses at other notations. Debezium
    # writes years beyond 9999 with a sign and more digits, which the fixed columns refuse.
    shape = (
        f"substring({raw}, 1, 4) BETWEEN '1900' AND '2299' "
        f"AND substring({raw}, 5, 1) = '-' AND substring({raw}, 11, 1) = 'T' "
        f"AND endsWith({raw}, 'Z') AND length({raw}) BETWEEN 20 AND 27"
    )
    return f"if({shape}, parseDateTime64BestEffortOrNull({raw}, 6, 'UTC'), NULL)"


def timestamp_text(with_zone: bool) -> TypeMapping:
    def micros(raw: str) -> str:
        return _number_or_text(raw, _without_zeros(f"toString({_micros(raw)})"))

    def iso(raw: str) -> str:
        # '-0043-03-15T…Z' is of 44 BC, for ISO 8601 has a year 0; '+' comes with five digits.
        year = rf"toInt32OrNull(extract({raw}, '^[-+]?([0-9]+)-'))"
        before = f"(startsWith({raw}, '-') OR startsWith({raw}, '0000-'))"
        counted = f"toString(if({before}, 1 + {year}, {year}))"
        counted = f"leftPad({counted}, greatest(4, length({counted})), '0')"
        day = rf"extract({raw}, '^[-+]?[0-9]+(-[0-9]+-[0-9]+)T')"
        clock = _without_zeros(rf"extract({raw}, 'T([0-9:.]+)Z$')")
        shown = f"concat({counted}, {day}, ' ', {clock}, if({before}, '+00 BC', '+00'))"
        return (
            f"multiIf({raw} IN ('infinity', '-infinity'), {raw}, "
            rf"match({raw}, '^[-+]?[0-9]{{4,6}}-[0-9-]{{5}}T[0-9:]{{8}}(\\.[0-9]{{6}})?Z$'), "
            f"{shown}, NULL)"
        )

    return text(decode=iso if with_zone else micros)


def _without_zeros(clock: str) -> str:
    # Postgres writes no more digits of a second than it needs.
    return rf"replaceRegexpOne({clock}, '\\.0+$|(\\.[0-9]*[1-9])0+$', '\\1')"


def interval() -> TypeMapping:
    """Months, days and microseconds, which are what Postgres keeps and compares."""
    fields = ("months", "days", "microseconds")
    types = ("Int32", "Int32", "Int64")
    kind = f"Tuple({', '.join(map(' '.join, zip(fields, types, strict=True)))})"
    nullable = (
        f"Tuple({', '.join(f'{f} Nullable({t})' for f, t in zip(fields, types, strict=True))})"
    )

    def decode(raw: str) -> str:
        parts = (
            rf"extractGroups(ifNull({raw}, ''), '^P(-?[0-9]+)Y(-?[0-9]+)M(-?[0-9]+)DT"
            rf"(-?[0-9]+)H(-?[0-9]+)M(-?[0-9.]+)S$')"
        )
        year, month, day, hour, minute = (f"toInt128OrNull(_parts[{i}])" for i in range(1, 6))
        # Debezium cuts a floating-point second after nine digits: 0.000001 comes as 0.000000999.
        second = "toDecimal128OrNull(_parts[6], 9)"
        wide = (
            f"{year} * 12 + {month}",
            day,
            f"{hour} * 3600000000 + {minute} * 60000000 + toInt128(round({second} * 1000000))",
        )
        made = ", ".join(
            f"accurateCastOrNull({sql}, '{into}')" for sql, into in zip(wide, types, strict=True)
        )
        counted = f"arrayMap(_parts -> ({made}), [{parts}])"
        whole = " OR ".join(f"isNull(tupleElement(_counted, {i}))" for i in (1, 2, 3))
        present = ", ".join(f"assumeNotNull(tupleElement(_counted, {i}))" for i in (1, 2, 3))
        value = f"CAST(CAST(({present}), '{kind}'), 'Variant({kind})')"
        return f"arrayMap(_counted -> if({whole}, NULL, {value}), {counted})[1]"

    def written(col: str) -> str:
        def field(name: str) -> str:
            return f"extract({name} from {col})"

        return (
            f"'P' || {field('year')} || 'Y' || {field('month')} || 'M' || {field('day')} || 'DT' "
            f"|| {field('hour')} || 'H' || {field('minute')} || 'M' || {field('second')} || 'S'"
        )

    return TypeMapping(
        clickhouse=kind,
        decode=decode,
        pg_text=lambda col: (
            f"(extract(year from {col}) * 12 + extract(month from {col}))::bigint::text || ' ' "
            f"|| extract(day from {col})::bigint::text || ' ' "
            f"|| (extract(hour from {col}) * 3600000000 + extract(minute from {col}) * 60000000 "
            f"+ extract(microseconds from {col}))::bigint::text"
        ),
        ch_text=lambda col: (
            "concat("
            + ", ' ', ".join(f"toString(tupleElement({col}, {i}))" for i in (1, 2, 3))
            + ")"
        ),
        load=read_by(decode, written),
        element=same,
        narrow=None,
        in_variant=True,
        nullable=nullable,
        null=f"CAST((NULL, NULL, NULL), '{nullable}')",
    )
