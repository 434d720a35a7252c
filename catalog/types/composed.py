"""Values made of values: arrays, hstore, points."""

from __future__ import annotations

from catalog.names import ch_string
from catalog.types.model import UNAVAILABLE, TypeMapping, read_by, same
from catalog.types.numbers import ch_bits, pg_bits, read_float


def array(element: TypeMapping, delimiter: str = ",") -> TypeMapping:
    """A one-dimensional array that begins at 1; others are none that ClickHouse could hold.

    It is read from Postgres' text of it, streamed (by the converter) or copied.
    delimiter: what Postgres writes between the elements.
    """
    kind = f"Array(Nullable({element.clickhouse}))"
    plain, variant = ch_string(kind), ch_string(f"Variant({kind})")

    def decode(raw: str) -> str:
        # An element is quoted or has none of the characters that mean something. What is left over
        # are delimiters and two braces, or this is no array of one dimension.
        items = rf"""extractAll(ifNull({raw}, ''), '"(?:[^"\\\\]|\\\\.)*"|[^{delimiter}{{}}"]+')"""
        texts = (
            "arrayMap(_item -> multiIf(_item = 'NULL', NULL, startsWith(_item, '\"'), "
            r"replaceRegexpAll(substring(_item, 2, length(_item) - 2), '\\\\(.)', '\\1'), "
            f"_item), {items})"
        )
        made = f"arrayMap(_element -> {element.element('_element')}, {texts})"
        rest = "arraySum(arrayMap(_item -> length(_item) + 1, _items))"
        exact = (
            f"startsWith({raw}, '{{') AND endsWith({raw}, '}}') "
            f"AND length({raw}) = greatest({rest}, 1) + 1 "
            "AND countEqual(_items, 'NULL') = arrayCount(_element -> isNull(_element), _elements)"
        )
        value = f"CAST(CAST(_elements, {plain}), {variant})"
        return (
            f"arrayMap((_items, _elements) -> if({exact}, {value}, NULL), [{items}], [{made}])[1]"
        )

    def pg_text(col: str) -> str:
        # By subscript, for unnest() would take composite elements apart.
        shown = element.pg_text(f"({col})[cdc_place]")
        joined = (
            f"(SELECT coalesce(string_agg(coalesce(octet_length(cdc_element)::text || ':' "
            f"|| cdc_element, '-'), ',' ORDER BY cdc_place), '') FROM (SELECT cdc_place, {shown} "
            f"AS cdc_element FROM generate_subscripts({col}, 1) AS cdc_place) AS cdc_elements)"
        )
        other = f"array_ndims({col}) > 1 OR array_lower({col}, 1) <> 1"
        return f"CASE WHEN {other} THEN {col}::text WHEN {col} IS NOT NULL THEN {joined} END"

    def ch_text(col: str) -> str:
        shown = element.ch_text("_element")
        one = f"ifNull(concat(toString(length({shown})), ':', {shown}), '-')"
        elements = f"variantElement(CAST({col}, {variant}), {plain})"
        joined = f"arrayStringConcat(arrayMap(_element -> {one}, {elements}), ',')"
        return f"if(isNull({col}), NULL, {joined})"

    return TypeMapping(
        clickhouse=kind,
        decode=decode,
        pg_text=pg_text,
        ch_text=ch_text,
        load=read_by(decode),
        element=same,
        narrow=None,
        in_variant=True,
    )


def hstore() -> TypeMapping:
    kind = "Map(String, Nullable(String))"

    def decode(raw: str) -> str:
        value = f"CAST(JSONExtract(ifNull({raw}, ''), '{kind}'), 'Variant({kind})')"
        # Debezium puts the placeholder into an object of its own.
        lost = f'{{"{UNAVAILABLE}":"{UNAVAILABLE}"}}'
        readable = f"startsWith({raw}, '{{') AND {raw} != '{lost}' AND isValidJSON({raw})"
        return f"if({readable}, {value}, NULL)"

    def quoted(sql: str) -> str:
        escaped = rf"replaceAll(replaceAll({sql}, '\\', '\\\\'), '\"', '\\\"')"
        return f"concat('\"', {escaped}, '\"')"

    def ch_text(col: str) -> str:
        # Postgres keeps the keys in order of length, then of bytes.
        pairs = f"variantElement(CAST({col}, 'Variant({kind})'), '{kind}')"
        pairs = f"CAST({pairs}, 'Array(Tuple(String, Nullable(String)))')"
        key, value = "tupleElement(_pair, 1)", "tupleElement(_pair, 2)"
        shown = f"concat({quoted(key)}, '=>', ifNull({quoted(value)}, 'NULL'))"
        ordered = f"arraySort(_pair -> (length({key}), {key}), {pairs})"
        joined = f"arrayStringConcat(arrayMap(_pair -> {shown}, {ordered}), ', ')"
        return f"if(isNull({col}), NULL, {joined})"

    return TypeMapping(
        clickhouse=kind,
        decode=decode,
        pg_text=lambda col: f"{col}::text",
        ch_text=ch_text,
        load=read_by(decode, lambda col: f"{col}::json"),
        element=same,
        narrow=None,
        in_variant=True,
    )


def point() -> TypeMapping:
    kind = "Tuple(x Float64, y Float64)"
    nullable = "Tuple(x Nullable(Float64), y Nullable(Float64))"
    read, pg, ch = read_float(64), pg_bits(64), ch_bits(64)

    def decode(raw: str) -> str:
        parts = rf"extractGroups(ifNull({raw}, ''), '^\\(([^,()]+),([^,()]+)\\)$')"
        # Null for what is missing, for an element that isn't there is ''.
        made = f"arrayMap(_part -> {read('_part')}, {parts})"
        value = f"CAST((assumeNotNull(_made[1]), assumeNotNull(_made[2])), '{kind}')"
        value = f"CAST({value}, 'Variant({kind})')"
        known = "isNotNull(_made[1]) AND isNotNull(_made[2])"
        return f"arrayMap(_made -> if({known}, {value}, NULL), [{made}])[1]"

    return TypeMapping(
        clickhouse=kind,
        decode=decode,
        pg_text=lambda col: f"{pg(f'({col})[0]')} || ',' || {pg(f'({col})[1]')}",
        ch_text=lambda col: (
            f"concat({ch(f'tupleElement({col}, 1)')}, ',', {ch(f'tupleElement({col}, 2)')})"
        ),
        load=read_by(decode),
        element=same,
        narrow=None,
        in_variant=True,
        nullable=nullable,
        null=f"CAST((NULL, NULL), '{nullable}')",
    )
