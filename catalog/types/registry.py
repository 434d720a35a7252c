"""Which types there are. Adding one is adding a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from catalog.model import CatalogError, Column
from catalog.types import composed, numbers, texts, times
from catalog.types.model import TypeMapping, UnsupportedType

Args = tuple[int, ...]
Builder = Callable[[Args], TypeMapping | None]


def mapping_of(column: Column) -> TypeMapping | None:
    """The mapping of a column, or None if its type has none."""
    return mapping(column.base_type or column.pg_type, as_text=column.as_text)


def mapping(pg_type: str, *, as_text: bool = False) -> TypeMapping | None:
    """The mapping of a type as format_type() or `Column.base_type` names it; None if there is none.

    `as_text` asks for a String with the text that Postgres shows (with `COPY_SETTINGS`), for types
    of which ClickHouse's own can't hold every value.
    """
    if pg_type.endswith("[]"):
        if as_text:
            return texts.array_text()
        # An element's text is what is inside the array's: some types are kept as that.
        name, args = _split(pg_type[:-2])
        element = texts.text() if name in _TEXT_IN_ARRAYS else _build(_REGISTRY, name, args)
        if element is None or name in _NOT_IN_ARRAYS:
            return None
        # pg_type.typdelim, of which no other type has another.
        return composed.array(element, delimiter=";" if name == "box" else ",")
    name, args = _split(pg_type)
    if as_text:
        return _build(_AS_TEXT, name, args)
    return _build(_REGISTRY, name, args)


def mappings(table: str, columns: Iterable[Column]) -> dict[str, TypeMapping]:
    """Each column's mapping, by name.

    Raises CatalogError, naming all columns that have none and what would do.
    """
    found = {column: mapping_of(column) for column in columns}
    unknown = [column for column, made in found.items() if made is None]
    needless = [f"{c.name} ({c.pg_type})" for c in unknown if c.as_text and _kept_whole(c)]
    if needless:
        raise CatalogError(
            f"{table}: `as_text` names {', '.join(needless)}, of which every value is kept anyway: "
            "take it out"
        )
    if unknown:
        texts_of = [
            c.name for c in unknown if mapping(c.base_type or c.pg_type, as_text=True) is not None
        ]
        raise UnsupportedType(table, unknown, texts_of)
    return {column.name: made for column, made in found.items() if made is not None}


def supported_types() -> list[str]:
    """Names in the registry, for messages and documentation."""
    return sorted(_REGISTRY)


def _kept_whole(column: Column) -> bool:
    return mapping(column.base_type or column.pg_type) is not None


def _build(registry: dict[str, Builder], name: str, args: Args) -> TypeMapping | None:
    builder = registry.get(name)
    return builder(args) if builder else None


_MODIFIER = re.compile(r"\((-?\d+(?:,-?\d+)*)\)")


def _split(pg_type: str) -> tuple[str, Args]:
    """Name and modifier: `time(3) with time zone` → `time with time zone`, 3."""
    found = _MODIFIER.search(pg_type)
    name = _MODIFIER.sub("", pg_type)
    if name.startswith("interval "):  # interval day to second: its fields are those of any
        name = "interval"
    return name, tuple(int(arg) for arg in found[1].split(",")) if found else ()


def _always(made: TypeMapping) -> Builder:
    return lambda _args: made


def _all(made: TypeMapping, *names: str) -> dict[str, Builder]:
    return dict.fromkeys(names, _always(made))


# Types that Debezium, or the converter, sends as the text that Postgres shows.
_SHOWN = _all(
    texts.text(),
    *("text", "character varying", "name", '"char"', "citext", "ltree"),
    *("json", "jsonb", "tsvector", "cidr", "macaddr", "macaddr8"),
    *("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"),
    *("bit", "bit varying", "time with time zone"),
    *("line", "lseg", "box", "path", "polygon", "circle"),
)
# Types it doesn't know. The last four names stand for all of their kind (`Column.base_type`).
_BYTES = _all(
    texts.sent_as_bytes(),
    *("tsquery", "jsonpath", "pg_lsn", "txid_snapshot", "pg_snapshot", "tid"),
    *("int4multirange", "int8multirange", "nummultirange"),
    *("tsmultirange", "tstzmultirange", "datemultirange"),
    *("cube", "seg", "lquery", "ltxtquery"),
)
_OF_THE_DATABASE = _all(texts.of_the_database(), "composite", "range", "multirange")

_REGISTRY: dict[str, Builder] = {
    **_all(numbers.integer(16), "smallint"),
    **_all(numbers.integer(32), "integer"),
    **_all(numbers.integer(64), "bigint"),
    **_all(numbers.unsigned(32), "oid"),
    **_all(numbers.unsigned(32, sent_as_bytes=True), "xid"),
    **_all(numbers.unsigned(64, sent_as_bytes=True), "xid8"),
    "numeric": numbers.numeric,
    **_all(numbers.money(), "money"),
    **_all(numbers.boolean(), "boolean"),
    **_all(numbers.floating(32), "real"),
    **_all(numbers.floating(64), "double precision"),
    **_all(texts.blank_padded(), "character", "bpchar"),
    **_SHOWN,
    **_BYTES,
    **_OF_THE_DATABASE,
    **_all(texts.written_by("inet_out"), "inet"),
    **_all(texts.written_by("xml_out"), "xml"),
    **_all(texts.uuid(), "uuid"),
    **_all(texts.bytea(), "bytea"),
    **_all(texts.enum(), "enum"),
    **_all(times.date(), "date"),
    **_all(times.time(), "time without time zone"),
    **_all(times.timestamp(with_zone=False), "timestamp without time zone"),
    **_all(times.timestamp(with_zone=True), "timestamp with time zone"),
    **_all(times.interval(), "interval"),
    **_all(composed.hstore(), "hstore"),
    **_all(composed.point(), "point"),
}

_TEXT_IN_ARRAYS = frozenset({*_BYTES, *_OF_THE_DATABASE, "enum", "interval", "hstore", "point"})
# Its text in an array depends on the server's locale.
_NOT_IN_ARRAYS = frozenset({"money"})

# Types that hold more than ClickHouse's, and `unknown` ones, which have no row above.
_AS_TEXT: dict[str, Builder] = {
    "numeric": numbers.numeric_text,
    **_all(times.date_text(), "date"),
    **_all(times.timestamp_text(with_zone=False), "timestamp without time zone"),
    **_all(times.timestamp_text(with_zone=True), "timestamp with time zone"),
    **_all(texts.sent_as_bytes(), "unknown"),
}
