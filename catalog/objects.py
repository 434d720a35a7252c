"""The ClickHouse objects of a captured table, in the order they are made.

X_queue → X_mv → X_parsed ─┬→ X_history_mv   → X_history
(Kafka)          (Null)    ├→ X_final_mv     → X_final ← X (view: the current rows)
                           ├→ X_dead_mv      → cdc.dead_letters
                           └→ X_truncates_mv → cdc.truncates
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Literal

from catalog.model import CapturedTable, CaptureOptions, CatalogError, Column, SourceTable
from catalog.names import ch_ident, ch_qualified, ch_string
from catalog.types import TypeMapping, UnsupportedType, mapping

Kind = Literal["database", "table", "queue", "materialized_view", "view"]

_TEMPLATES = Path(__file__).parent.parent / "sql" / "clickhouse"
_TIME = "DateTime64(3, 'UTC')"

# Columns beside the source's own, with why they are compressed so: positions and times grow.
_META: tuple[tuple[str, str], ...] = (
    ("operation", "LowCardinality(String) CODEC(ZSTD(1))"),
    ("operation_name", "LowCardinality(String) CODEC(ZSTD(1))"),
    ("source_ts_ms", f"{_TIME} CODEC(Delta, ZSTD(1))"),
    ("processing_ts_ms", f"{_TIME} CODEC(Delta, ZSTD(1))"),
    ("_lsn", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("_txid", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("_version", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("_deleted", "UInt8 CODEC(ZSTD(1))"),
    ("_partition", "UInt32 CODEC(ZSTD(1))"),
    ("_offset", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("_synced_at", f"{_TIME} DEFAULT now64(3, 'UTC') CODEC(Delta, ZSTD(1))"),
)
# The checked row on its way; never stored, so without codecs.
_PARSED: tuple[tuple[str, str], ...] = (
    ("operation", "String"),
    ("source_ts_ms", _TIME),
    ("processing_ts_ms", _TIME),
    ("_lsn", "UInt64"),
    ("_txid", "UInt64"),
    ("_version", "UInt64"),
    ("_deleted", "UInt8"),
    ("_dated", "UInt8"),
    ("_applied", "UInt8"),
    ("_suspect", "UInt8"),
    ("_replayed", "UInt8"),
    ("_topic", "LowCardinality(String)"),
    ("_partition", "UInt64"),
    ("_offset", "UInt64"),
    ("_message", "String"),
)
# Names that parse.sql works with; ClickHouse would take a source column of that name for them.
_INTERNAL = (
    "_head _image _keys _values _expected _source_ms _made "
    "_raw_message _error _timestamp _timestamp_ms _key _headers"
)
RESERVED = frozenset([name for name, _ in (*_META, *_PARSED)] + _INTERNAL.split())

# `<column or call> % <n>`: ClickHouse refuses a block that touches more than 100 partitions and the
# consumer would read it again for ever; a remainder can be negative, so n is half of that. A bare
# `a + b % n` would not be bounded.
_PARTITION = re.compile(r"(?P<key>\w+|`[^`]+`|\w*\((?:[^()]|\([^()]*\))*\))\s*%\s*(?P<count>\d+)")
_MAX_PARTITIONS = 50
# A column's name in an expression: quoted, or a word that is not called.
_WORD = re.compile(r"`((?:[^`\\]|\\.)+)`|\b([A-Za-z_]\w*)\b(?!\s*\()")


@dataclass(frozen=True)
class KafkaSettings:
    """How the queue reads its topic; the times are milliseconds."""

    bootstrap: str
    flush_ms: int = 250
    poll_timeout_ms: int = 100
    max_block_size: int = 65536
    consumers: int = 1
    extra: dict[str, str] = field(default_factory=dict)
    """Further `kafka_…` settings, e.g. kafka_security_protocol and kafka_sasl_username."""


@dataclass(frozen=True)
class SqlObject:
    """One object: `create` makes it; `columns` and `body` let a provider see drift."""

    name: str
    kind: Kind
    create: str
    body: str = ""
    columns: tuple[tuple[str, str], ...] = ()


_SUFFIXES: tuple[tuple[str, Kind], ...] = (
    ("_parsed", "table"),
    ("_history", "table"),
    ("_final", "table"),
    ("_history_mv", "materialized_view"),
    ("_final_mv", "materialized_view"),
    ("_dead_mv", "materialized_view"),
    ("_truncates_mv", "materialized_view"),
    ("", "view"),
    ("_queue", "queue"),
    ("_mv", "materialized_view"),
)

SUFFIXES = tuple(suffix for suffix, _ in _SUFFIXES)


def object_names(qualified: str, target: str | None = None) -> list[tuple[str, Kind]]:
    """Names and kinds of what `table_objects` makes, in its order, known before the source is."""
    name = target or qualified
    return [
        (name.split(".", 1)[0], "database"),
        *((name + suffix, kind) for suffix, kind in _SUFFIXES),
    ]


def platform_objects() -> list[SqlObject]:
    """What all tables share: the database `cdc`, its dead letters and truncates."""
    return [
        _database("cdc"),
        _table(
            "cdc.dead_letters",
            (
                ("source", "LowCardinality(String)"),
                ("reason", "String CODEC(ZSTD(1))"),
                ("applied", "UInt8"),
                ("topic", "LowCardinality(String)"),
                ("partition", "UInt32"),
                ("offset", "UInt64 CODEC(Delta, ZSTD(1))"),
                ("message", "String CODEC(ZSTD(3))"),
                ("_synced_at", f"{_TIME} DEFAULT now64(3, 'UTC')"),
                ("_version", "UInt64 DEFAULT toUnixTimestamp64Micro(now64(6))"),
                ("_deleted", "UInt8 DEFAULT 0"),
            ),
            _sql("dead_letters"),
        ),
        _table(
            "cdc.truncates",
            (
                ("source", "LowCardinality(String)"),
                ("lsn", "UInt64"),
                ("txid", "UInt64"),
                ("source_ts_ms", _TIME),
                ("_synced_at", f"{_TIME} DEFAULT now64(3, 'UTC')"),
            ),
            _sql("truncates"),
        ),
    ]


def table_objects(
    captured: CapturedTable, options: CaptureOptions, kafka: KafkaSettings, slot_lsn: int
) -> list[SqlObject]:
    """The objects of one table, in creation order; the queue's view last, for it starts the flow.

    `slot_lsn` is the log position at which the slot was created, a lower bound of every streamed
    change. Raises `CatalogError` (one sentence) if the table can't be captured as configured.
    """
    source = captured.source
    check(source, options)
    types = _types(source)
    names = {suffix: captured.target + suffix for suffix, _ in _SUFFIXES}
    stored = (
        *(
            (c.name, f"{_stored_type(c, types)} CODEC({types[c.name].codec})")
            for c in source.columns
        ),
        *_META,
    )
    parsed = (
        *((c.name, f"Nullable({types[c.name].clickhouse})") for c in source.columns),
        *_PARSED,
    )
    order = options.order_by or source.key
    partition = f"PARTITION BY {options.partition_by}" if options.partition_by else ""
    from_parsed = {
        "parsed": ch_qualified(names["_parsed"]),
        "source_name": ch_string(source.qualified),
    }
    rows = _sql(
        "history_mv",
        columns="\n".join(f"    {_from_parsed(c)}," for c in source.columns),
        **from_parsed,
    )
    current = _sql(
        "current",
        columns=",\n".join(f"    {ch_ident(c.name)}" for c in source.columns),
        final=ch_qualified(names["_final"]),
        slot_lsn=str(slot_lsn),
        source_name=from_parsed["source_name"],
    )
    queue = _sql(
        "queue",
        bootstrap=ch_string(kafka.bootstrap),
        topic=ch_string(captured.topic),
        group=ch_string(captured.group),
        consumers=str(kafka.consumers),
        flush_ms=str(kafka.flush_ms),
        poll_timeout_ms=str(kafka.poll_timeout_ms),
        max_block_size=str(kafka.max_block_size),
    ) + "".join(f",\n    {key} = {ch_string(value)}" for key, value in kafka.extra.items())
    messages = _sql("queue_mv", queue=ch_qualified(names["_queue"]))
    return [
        _database(captured.database),
        _table(names["_parsed"], parsed, _sql("parsed")),
        _table(names["_history"], stored, _sql("history", key=_list(source.key))),
        _table(names["_final"], stored, _sql("final", order=_list(order), partition=partition)),
        _feed(names["_history_mv"], names["_history"], rows),
        _feed(names["_final_mv"], names["_final"], rows),
        _feed(
            names["_dead_mv"], "cdc.dead_letters", _dead_letters(source, options, names["_parsed"])
        ),
        _feed(names["_truncates_mv"], "cdc.truncates", _sql("truncates_mv", **from_parsed)),
        SqlObject(
            name=names[""],
            kind="view",
            create=f"CREATE OR REPLACE VIEW {ch_qualified(names[''])} AS\n{current}",
            body=current,
        ),
        _table(names["_queue"], (("message", "String"),), queue, kind="queue"),
        _feed(names["_mv"], names["_parsed"], _parse(source, options, slot_lsn, messages)),
    ]


def replay_statement(captured: CapturedTable, options: CaptureOptions, slot_lsn: int) -> str:
    """Send the table's dead letters through the same checks again.

    Those in order now become rows (with their own versions, so nothing newer is overwritten) and
    leave `cdc.dead_letters`; the others stay with their present reason.
    """
    letters = _sql("replay_source", source_name=ch_string(captured.source.qualified))
    target = ch_qualified(captured.target + "_parsed")
    into = _list(_parsed_names(captured.source))
    return f"INSERT INTO {target} ({into})\n{_parse(captured.source, options, slot_lsn, letters)}"


def check(source: SourceTable, options: CaptureOptions) -> None:
    """Raise `CatalogError` with one sentence if `source` can't be captured with `options`."""
    table = source.qualified
    columns = {column.name: column for column in source.columns}
    taken = sorted(RESERVED & columns.keys())
    if taken:
        raise CatalogError(
            f"{table} has column(s) {', '.join(taken)}, a name the platform uses itself: "
            "rename them or capture a table without them"
        )
    for column in source.columns:
        if column.generated is not None and column.name not in options.generated:
            raise CatalogError(
                f"{table}.{column.name} is generated ({column.generated}) and not in the stream: "
                f"add its ClickHouse expression, `{{table: {table}, generated: "
                f"{{{column.name}: {column.generated}}}}}`"
            )
    for name in options.generated:
        if name not in columns or columns[name].generated is None:
            raise CatalogError(f"{table}: `generated` names {name}, which is no generated column")
    if not source.key:
        raise CatalogError(
            f"{table} has no primary key: name the columns of a unique index on NOT NULL columns, "
            f"`{{table: {table}, key: [column, …]}}`"
        )
    if options.order_by is not None and sorted(options.order_by) != sorted(source.key):
        raise CatalogError(
            f"{table}: `order_by` must hold exactly the key's columns: {', '.join(source.key)}"
        )
    if options.partition_by is not None:
        _check_partition(source, options.partition_by)
    _types(source)


def _check_partition(source: SourceTable, expression: str) -> None:
    match = _PARTITION.fullmatch(expression)
    words = {quoted or plain for quoted, plain in _WORD.findall(match["key"])} if match else set()
    if match is None or not 1 <= int(match["count"]) <= _MAX_PARTITIONS:
        raise CatalogError(
            f"{source.qualified}: `partition_by` must be `<column or call> % <n>` with n "
            f"from 1 to {_MAX_PARTITIONS}, like `{source.key[0]} % 16`; got {expression!r}"
        )
    if not words or not words <= set(source.key):
        raise CatalogError(
            f"{source.qualified}: `partition_by` may use only the key's columns "
            f"({', '.join(source.key)}), or versions of a row would never meet; got {expression!r}"
        )


def _types(source: SourceTable) -> dict[str, TypeMapping]:
    found = {column.name: mapping(column.pg_type) for column in source.columns}
    unknown = [(c.name, c.pg_type) for c in source.columns if found[c.name] is None]
    if unknown:
        raise UnsupportedType(source.qualified, unknown)
    return {name: made for name, made in found.items() if made is not None}


def _parse(source: SourceTable, options: CaptureOptions, slot_lsn: int, messages: str) -> str:
    columns = _decoded(source, options)
    return _sql(
        "parse",
        outputs=_list(_parsed_names(source)),
        columns="\n".join(f"        {c.value} AS {ch_ident(c.name)}," for c in columns),
        unreadable=" OR ".join(f"({c.unreadable})" for c in columns),
        required=_required(source),
        known=_known(source),
        slot_lsn=str(slot_lsn),
        image=_sql("image", required=_required(source), source=messages),
    )


def _dead_letters(source: SourceTable, options: CaptureOptions, parsed: str) -> str:
    refused = f"            SELECT * FROM {ch_qualified(parsed)} WHERE _suspect OR _replayed"
    return _sql(
        "dead_mv",
        reasons=",\n".join(
            f"            if({c.unreadable}, concat({ch_string(c.name)}, {c.shown}), '')"
            for c in _decoded(source, options)
        ),
        required=_required(source),
        known=_known(source),
        source_name=ch_string(source.qualified),
        image=_sql("image", required=_required(source), source=refused),
    )


@dataclass(frozen=True)
class _Decoded:
    """SQL of one column: its value, when that is unreadable, and what a reason shows then."""

    name: str
    value: str
    unreadable: str
    shown: str


def _decoded(source: SourceTable, options: CaptureOptions) -> list[_Decoded]:
    types = _types(source)
    carried = [column for column in source.columns if column.generated is None]
    position = {column.name: i for i, column in enumerate(carried, start=1)}
    decoded = []
    for column in source.columns:
        made = types[column.name]
        if column.name in position:
            raw = f"_values[{position[column.name]}]"
            value = made.decode(raw)
            shown = f"ifNull(concat('=', substringUTF8({raw}, 1, 60)), ' is null')"
        else:
            raw = _generated(options.generated[column.name], carried, types)
            # A lambda, for the rule names its argument many times: copied, the expression would be
            # planned as often, and planning is done for every block.
            value = f"arrayMap(_made -> {made.narrow('_made')}, [{raw}])[1]"
            shown = "' can''t be computed'"
        unreadable = f"isNull({ch_ident(column.name)})"
        if column.nullable:
            unreadable += f" AND isNotNull({raw})"
        decoded.append(_Decoded(column.name, value, unreadable, shown))
    return decoded


def _required(source: SourceTable) -> str:
    return _array([column.name for column in source.columns if column.generated is None])


def _known(source: SourceTable) -> str:
    return _array([column.name for column in source.columns])


def _parsed_names(source: SourceTable) -> list[str]:
    return [*(column.name for column in source.columns), *(name for name, _ in _PARSED)]


def _generated(expression: str, carried: list[Column], types: dict[str, TypeMapping]) -> str:
    # ClickHouse throws where a product of decimals overflows, which would stop the table. Inside
    # the lambda the decimals carry 76 digits under their own names.
    words = {quoted or plain for quoted, plain in _WORD.findall(expression)}
    wide = [
        (ch_ident(column.name), widen(ch_ident(column.name)))
        for column in carried
        if column.name in words and (widen := types[column.name].widen) is not None
    ]
    if not wide:
        return f"({expression})"
    names = ", ".join(name for name, _ in wide)
    arrays = ", ".join(f"[{value}]" for _, value in wide)
    return f"arrayMap(({names}) -> ({expression}), {arrays})[1]"


def _stored_type(column: Column, types: dict[str, TypeMapping]) -> str:
    kind = types[column.name].clickhouse
    return f"Nullable({kind})" if column.nullable else kind


def _from_parsed(column: Column) -> str:
    ident = ch_ident(column.name)
    return ident if column.nullable else f"assumeNotNull({ident}) AS {ident}"


def _sql(template: str, **values: str) -> str:
    text = (_TEMPLATES / f"{template}.sql").read_text(encoding="utf-8")
    return Template(text).substitute(values).rstrip("\n")


def _list(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(map(ch_ident, names))


def _array(names: list[str]) -> str:
    return f"[{', '.join(map(ch_string, names))}]"


def _database(name: str) -> SqlObject:
    return SqlObject(name, "database", f"CREATE DATABASE IF NOT EXISTS {ch_ident(name)}")


def _table(
    name: str, columns: tuple[tuple[str, str], ...], body: str, kind: Kind = "table"
) -> SqlObject:
    listed = ",\n".join(f"    {ch_ident(column)} {kind_}" for column, kind_ in columns)
    create = f"CREATE TABLE IF NOT EXISTS {ch_qualified(name)}\n(\n{listed}\n)\n{body}"
    return SqlObject(name, kind, create, body, columns)


def _feed(name: str, target: str, body: str) -> SqlObject:
    create = (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {ch_qualified(name)} "
        f"TO {ch_qualified(target)} AS\n{body}"
    )
    return SqlObject(name, "materialized_view", create, body)
