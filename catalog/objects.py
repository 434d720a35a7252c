"""The ClickHouse objects of a captured table, in the order they are made.

X_queue → X_mv → X_read → X_decoded_mv → X_decoded → X_parsed_mv → X_parsed
(Kafka)          (Null)                  (Null)                    (Null)

X_parsed ─┬→ X_history_mv → X_history
          ├→ X_final_mv   → X_final ← X (view: the current rows)
          └→ X_aside_mv   → X_aside ─┬→ X_dead_mv      → cdc.dead_letters
                            (Null)   └→ X_truncates_mv → cdc.truncates
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from catalog.model import CapturedTable, CaptureOptions, CatalogError, Column, SourceTable
from catalog.names import ch_ident, ch_qualified, ch_string
from catalog.parsing import LOADED, TIME, WORD, Parser, sql
from catalog.types import TypeMapping
from catalog.types.registry import mappings

Kind = Literal["database", "table", "distributed", "queue", "materialized_view", "view"]

# Columns beside the source's own, with why they are compressed so: positions and times grow.
_META: tuple[tuple[str, str], ...] = (
    ("operation", "LowCardinality(String) CODEC(ZSTD(1))"),
    ("operation_name", "LowCardinality(String) CODEC(ZSTD(1))"),
    ("source_ts_ms", f"{TIME} CODEC(Delta, ZSTD(1))"),
    ("processing_ts_ms", f"{TIME} CODEC(Delta, ZSTD(1))"),
    ("_lsn", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("_txid", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("_version", "UInt128 CODEC(ZSTD(1))"),
    ("_deleted", "UInt8 CODEC(ZSTD(1))"),
    ("_partition", "UInt32 CODEC(ZSTD(1))"),
    ("_offset", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("_synced_at", f"{TIME} DEFAULT now64(3, 'UTC') CODEC(Delta, ZSTD(1))"),
)
_SIGN = (("_sign", "Int8 CODEC(ZSTD(1))"),)
# What tells the changes of a table without a key apart.
_CHANGE = ("_version", "_partition", "_offset", "_sign")

# `<column or call> % <n>`: ClickHouse refuses a block that touches more than 100 partitions and the
# consumer would read it again for ever; a remainder can be negative, so n is half of that. A bare
# `a + b % n` would not be bounded.
_PARTITION = re.compile(r"(?P<key>\w+|`[^`]+`|\w*\((?:[^()]|\([^()]*\))*\))\s*%\s*(?P<count>\d+)")
_MAX_PARTITIONS = 50


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
    """One object: `create` makes it; `columns` and `body` let a provider see drift.

    shard_by: on a cluster, which of its shards a row of this table lies on; empty where every node
    has all of it.
    """

    name: str
    kind: Kind
    create: str
    body: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    shard_by: str = ""


_SUFFIXES: tuple[tuple[str, Kind], ...] = (
    ("_read", "table"),
    ("_decoded", "table"),
    ("_parsed", "table"),
    ("_aside", "table"),
    ("_history", "table"),
    ("_final", "table"),
    ("_decoded_mv", "materialized_view"),
    ("_parsed_mv", "materialized_view"),
    ("_history_mv", "materialized_view"),
    ("_final_mv", "materialized_view"),
    ("_aside_mv", "materialized_view"),
    ("_dead_mv", "materialized_view"),
    ("_truncates_mv", "materialized_view"),
    ("", "view"),
    ("_queue", "queue"),
    ("_mv", "materialized_view"),
)

# With those of a cluster (catalog.cluster), so that a table's name fits either.
LOCAL = "_local"
SUFFIXES = (*(suffix for suffix, _ in _SUFFIXES), f"_history{LOCAL}", f"_final{LOCAL}")


def object_names(qualified: str, target: str | None = None) -> list[tuple[str, Kind]]:
    """Names and kinds of what `table_objects` makes, in its order, known before the source is."""
    name = target or qualified
    return [
        (name.split(".", 1)[0], "database"),
        *((name + suffix, kind) for suffix, kind in _SUFFIXES),
    ]


def platform_objects() -> list[SqlObject]:
    """What all tables share: the database `cdc`, its dead letters, truncates and loads."""
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
                ("_synced_at", f"{TIME} DEFAULT now64(3, 'UTC')"),
                ("_version", "UInt64 DEFAULT toUnixTimestamp64Micro(now64(6))"),
                ("_deleted", "UInt8 DEFAULT 0"),
            ),
            sql("dead_letters"),
        ),
        _table(
            "cdc.truncates",
            (
                ("source", "LowCardinality(String)"),
                ("lsn", "UInt64"),
                ("version", "UInt128"),
                ("txid", "UInt64"),
                ("source_ts_ms", TIME),
                ("_synced_at", f"{TIME} DEFAULT now64(3, 'UTC')"),
            ),
            sql("truncates"),
        ),
        _table(
            "cdc.loads",
            (
                ("source", "LowCardinality(String)"),
                ("lsn", "UInt64"),
                ("stream", "String"),
                ("rows", "UInt64"),
                ("began_at", TIME),
                ("finished_at", f"{TIME} DEFAULT now64(3, 'UTC')"),
            ),
            sql("loads"),
        ),
        _table(
            "cdc.load_ranges",
            (
                ("source", "LowCardinality(String)"),
                ("lsn", "UInt64"),
                ("stream", "String"),
                ("incarnation", "String"),
                ("began_at", TIME),
                ("relation", "String"),
                ("first", "UInt64"),
                ("end", "UInt64"),
                ("rows", "UInt64"),
                ("done", "UInt8"),
                ("_synced_at", f"{TIME} DEFAULT now64(3, 'UTC')"),
            ),
            sql("load_ranges"),
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
    parser = Parser(source, options, slot_lsn)
    names = {suffix: captured.target + suffix for suffix, _ in _SUFFIXES}
    quoted = {suffix: ch_qualified(name) for suffix, name in names.items()}
    source_name = ch_string(source.qualified)
    columns = source.stored
    stored = (
        *(
            (
                columns[c.name],
                f"{made.stored(c.nullable)}{_for_old_rows(c, made)} CODEC({made.codec})",
            )
            for c in source.columns
            if (made := parser.types[c.name])
        ),
        *_META,
        *(() if source.key else _SIGN),
    )
    rows = sql(
        "history_mv",
        columns="\n".join(
            f"    {parser.types[c.name].store(name, c.nullable)} AS {name},"
            for c in source.columns
            if (name := ch_ident(columns[c.name]))
        ),
        sign="" if source.key else ",\n    _sign",
        parsed=quoted["_parsed"],
    )
    current = sql(
        "current" if source.key else "current_multiset",
        columns=",\n".join(
            f"    _rows.{ch_ident(stored)} AS {ch_ident(name)}" for name, stored in columns.items()
        ),
        stored=",\n".join(f"        {ch_ident(stored)}" for stored in columns.values()),
        final=quoted["_final"],
        floor=sql("floor", source_name=source_name),
        source_name=source_name,
    )
    queue = sql(
        "queue",
        bootstrap=ch_string(kafka.bootstrap),
        topic=ch_string(captured.topic),
        group=ch_string(captured.group),
        consumers=str(kafka.consumers),
        flush_ms=str(kafka.flush_ms),
        poll_timeout_ms=str(kafka.poll_timeout_ms),
        max_block_size=str(kafka.max_block_size),
    ) + "".join(f",\n    {key} = {ch_string(value)}" for key, value in kafka.extra.items())
    truncates = sql("truncates_mv", source_name=source_name, aside=quoted["_aside"])
    through = sql("pass")
    history = sql("history", order=_history_order(source))
    # All versions of a row on one shard, where they meet; the message is what a change without a
    # key has.
    shard = _hash([columns[name] for name in source.key] or ("_partition", "_offset"))
    return [
        _database(captured.database),
        _table(names["_read"], parser.columns_read(), through),
        _table(names["_decoded"], parser.columns_decoded(), through),
        _table(names["_parsed"], parser.columns_parsed(), through),
        _table(names["_aside"], parser.columns_aside(), through),
        _table(names["_history"], stored, history, shard_by=shard),
        _table(names["_final"], stored, _final(source, options), shard_by=shard),
        _feed(names["_decoded_mv"], names["_decoded"], parser.decode(quoted["_read"])),
        _feed(names["_parsed_mv"], names["_parsed"], parser.name(quoted["_decoded"])),
        _feed(names["_history_mv"], names["_history"], rows),
        _feed(names["_final_mv"], names["_final"], rows),
        _feed(names["_aside_mv"], names["_aside"], parser.aside(quoted["_parsed"])),
        _feed(names["_dead_mv"], "cdc.dead_letters", parser.dead_letters(quoted["_aside"])),
        _feed(names["_truncates_mv"], "cdc.truncates", truncates),
        SqlObject(
            name=names[""],
            kind="view",
            create=f"CREATE OR REPLACE VIEW {quoted['']} AS\n{current}",
            body=current,
        ),
        _table(names["_queue"], (("message", "String"),), queue, kind="queue"),
        _feed(names["_mv"], names["_read"], parser.messages(_FROM_QUEUE, quoted["_queue"])),
    ]


# A message and its origin, from the queue and from the dead letters.
_FROM_QUEUE = (
    "if(_error = '', message, _raw_message) AS _message",
    "_topic",
    "_partition",
    "_offset",
    "toUInt8(0) AS _replayed",
)
_FROM_LETTERS = (
    "message AS _message",
    "topic AS _topic",
    "partition AS _partition",
    "offset AS _offset",
    "toUInt8(1) AS _replayed",
)


def replay_statement(captured: CapturedTable, options: CaptureOptions, slot_lsn: int) -> str:
    """Send the table's dead letters through the same checks again.

    Those in order now become rows (with their own versions, so nothing newer is overwritten) and
    leave `cdc.dead_letters`; the others stay with their present reason.
    """
    parser = Parser(captured.source, options, slot_lsn)
    name = ch_string(captured.source.qualified)
    # A loaded row is no message; it is loaded again instead.
    letters = parser.messages(
        _FROM_LETTERS,
        "(SELECT * FROM cdc.dead_letters FINAL "
        f"WHERE source = {name} AND topic != {ch_string(LOADED)})",
    )
    target = ch_qualified(captured.target + "_read")
    return f"INSERT INTO {target} ({_list([name for name, _ in parser.columns_read()])})\n{letters}"


# Debezium 3.7 quotes a table's two names and reads them again: such ones stop the stream, or
# come back as others.
_MISREAD = re.compile(r"""^"|"\Z|''|``""")


def check(source: SourceTable, options: CaptureOptions) -> None:
    """Raise `CatalogError` with one sentence if `source` can't be captured with `options`."""
    table = source.qualified
    if any(_MISREAD.search(name) for name in (source.schema_, source.name)):
        raise CatalogError(
            f"{table} can't be streamed under its name: Debezium misreads schemas and tables "
            "that begin or end with a double quote, or hold two single quotes or two backticks in "
            "a row; rename it, or leave it out"
        )
    columns = {column.name: column for column in source.columns}
    if all(column.generated is not None for column in source.columns):
        raise CatalogError(
            f"{table} has no columns in the stream, so none of its rows: leave it out"
        )
    if computed := [name for name in source.key if columns[name].generated is not None]:
        # Debezium could not tell a row that changes its key from one that keeps it.
        raise CatalogError(
            f"{table}: its key holds the generated column {computed[0]}, which is not in the "
            "stream: name the columns of another unique index as `key`, or leave the table out"
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
    if not source.key and (options.order_by or options.partition_by):
        raise CatalogError(
            f"{table} has no key that `order_by` or `partition_by` could use: leave them out, or "
            "name the columns of a unique index as `key`"
        )
    if not source.key and options.initial_load == "stream":
        raise CatalogError(
            f"{table} has no key, so nothing tells a row of a snapshot from the same in the "
            "stream: leave out `initial_load: stream`, and its rows are copied"
        )
    if options.order_by is not None and sorted(options.order_by) != sorted(source.key):
        raise CatalogError(
            f"{table}: `order_by` must hold exactly the key's columns: {', '.join(source.key)}"
        )
    if options.partition_by is not None:
        _check_partition(source, options.partition_by)
    _check_types(source, options)


def _check_partition(source: SourceTable, expression: str) -> None:
    match = _PARTITION.fullmatch(expression)
    words = {quoted or plain for quoted, plain in WORD.findall(match["key"])} if match else set()
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


def _check_types(source: SourceTable, options: CaptureOptions) -> None:
    columns = {column.name for column in source.columns}
    if unknown := sorted(set(options.as_text) - columns):
        raise CatalogError(f"{source.qualified}: `as_text` names {unknown[0]}, which is no column")
    types = mappings(source.qualified, source.columns)
    for column in source.columns:
        if column.generated is not None and types[column.name].narrow is None:
            raise CatalogError(
                f"{source.qualified}.{column.name} is generated and of type {column.pg_type}, "
                "which can't be computed in ClickHouse: capture the table without it"
            )


def _history_order(source: SourceTable) -> str:
    key = [source.stored[name] for name in source.key]
    return _list([*key, "_version"] if key else _CHANGE)


def _final(source: SourceTable, options: CaptureOptions) -> str:
    if not source.key:
        return sql("final_multiset")
    order = [source.stored[name] for name in options.order_by or source.key]
    partition = options.partition_by and f"PARTITION BY {_renamed(options.partition_by, source)}"
    return sql("final", order=_list(order), partition=partition or "")


def _renamed(expression: str, source: SourceTable) -> str:
    """The expression over the columns as they are stored."""

    def stored(found: re.Match[str]) -> str:
        name = source.stored.get(found[1] or found[2])
        return found[0] if name in (None, found[1], found[2]) else ch_ident(name)

    return WORD.sub(stored, expression)


def _for_old_rows(column: Column, made: TypeMapping) -> str:
    if column.missing is None:
        return ""
    text = f"CAST({ch_string(column.missing)}, {ch_string(f'Nullable({made.load.input})')})"
    return f" DEFAULT {made.load.ch(text)}"


def _hash(columns: Sequence[str]) -> str:
    return f"cityHash64({_list(columns)})"


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(ch_ident, names))


def _database(name: str) -> SqlObject:
    return SqlObject(name, "database", f"CREATE DATABASE IF NOT EXISTS {ch_ident(name)}")


def _table(
    name: str,
    columns: tuple[tuple[str, str], ...],
    body: str,
    kind: Kind = "table",
    shard_by: str = "",
) -> SqlObject:
    listed = ",\n".join(f"    {ch_ident(column)} {kind_}" for column, kind_ in columns)
    create = f"CREATE TABLE IF NOT EXISTS {ch_qualified(name)}\n(\n{listed}\n)\n{body}"
    return SqlObject(name, kind, create, body, columns, shard_by)


def _feed(name: str, target: str, body: str) -> SqlObject:
    create = (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {ch_qualified(name)} "
        f"TO {ch_qualified(target)} AS\n{body}"
    )
    return SqlObject(name, "materialized_view", create, body)
