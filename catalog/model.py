"""The captured table: what the source looks like, what was asked for, where it goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from catalog.names import ch_file_name, consumer_group, pg_qualified, topic_name

# One dot splits schema and table. More dots would make topic and object names ambiguous.
_QUALIFIED = r"^[^.]+\.[^.]+$"
# What the platform calls columns of its own; all its other names begin with an underscore and don't
# end with one.
OURS = frozenset({"operation", "operation_name", "source_ts_ms", "processing_ts_ms"})
# Databases of ClickHouse's own and of this platform.
_TAKEN_DATABASES = frozenset({"cdc", "system", "information_schema", "INFORMATION_SCHEMA"})
# A dropped table's file is called `database.table.UUID.sql`, in at most 255 bytes.
_LONGEST_TARGET = 255 - len("..sql") - 36


class CatalogError(Exception):
    """A table can't be captured as configured; the message is one sentence for the operator."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Frozen):
    """A column of the source, in `attnum` order."""

    name: str
    pg_type: str = Field(description="as format_type() writes it, e.g. `numeric(10,2)`")
    nullable: bool
    generated: str | None = Field(default=None, description="Postgres expression, if STORED")
    base_type: str | None = Field(
        default=None,
        description="what is behind a type of the database's own: a domain's type, `enum`, "
        "`composite`, `range`, `multirange`, an extension's name for it, or `unknown`",
    )
    as_text: bool = Field(default=False, description="kept as the text that Postgres shows")
    number: int = Field(default=0, description="attnum, which a renamed column keeps")
    defaulted: bool = Field(
        default=False, description="has a default, so old rows may have a value since it was added"
    )
    missing: str | None = Field(
        default=None,
        description="what rows have that are older than the column, as COPY writes it; None for "
        "NULL and for columns that were there from the beginning",
    )


class SourceTable(_Frozen):
    """A table of the source as pg_catalog describes it."""

    schema_: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = Field(
        description="columns of the primary key, in its order, or those configured as `key`; "
        "without any the table is a multiset of rows"
    )
    partitioned: bool = Field(
        default=False, description="its rows lie in partitions; captured as one table"
    )

    @property
    def qualified(self) -> str:
        """`schema.table`."""
        return f"{self.schema_}.{self.name}"

    @property
    def stored(self) -> dict[str, str]:
        """What each column is called where its values are kept, X_final and X_history.

        Its own name, unless the platform uses that itself, or ClickHouse reads something into it:
        a dot makes arrays of equal length of columns that share what is before it. A column that
        is added later changes no other's name.
        """
        names: dict[str, str] = {}
        for column in self.columns:
            name = column.name.replace(".", "_")
            if "." in column.name or is_ours(name):
                name += "_"
            while name in names.values():
                name += "_"
            names[column.name] = name
        return names

    @property
    def rows(self) -> str:
        """What to select from in Postgres: a partitioned table with its partitions, any other
        without the tables that inherit from it, which are tables of their own.
        """
        return ("" if self.partitioned else "ONLY ") + pg_qualified(self.qualified)


def is_ours(column: str) -> bool:
    """Whether a column of that name may be one of the platform's or of ClickHouse's own."""
    return column in OURS or (column.startswith("_") and not column.endswith("_"))


Qualified = Annotated[str, StringConstraints(pattern=_QUALIFIED)]
Expression = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class CaptureOptions(_Frozen):
    """One line of configuration: which table, and what can't be read from the source."""

    table: Qualified
    generated: dict[str, Expression] = Field(
        default_factory=dict,
        description="ClickHouse expression for each generated column: Postgres before 18 leaves "
        "them out of the stream",
    )
    as_text: tuple[str, ...] = Field(
        default=(),
        description="columns kept as the text Postgres shows, for values (NaN, infinity, years "
        "beyond 2299, arrays of arrays) that their ClickHouse type can't hold",
    )
    key: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="columns of a unique index that tell the rows apart; default: the primary key",
    )
    target: Qualified | None = Field(
        default=None, description="`database.table` in ClickHouse; default: as the source"
    )
    partition_by: Expression | None = Field(
        default=None, description="of the current-state table, a bounded function of the key"
    )
    order_by: tuple[str, ...] | None = Field(
        default=None, description="the key's columns in another order"
    )
    initial_load: Literal["copy", "stream"] = Field(
        default="copy",
        description="how existing rows come: copied beside the stream, or through it, as "
        "Debezium's snapshot",
    )


class CapturedTable(_Frozen):
    """A table on its way: source, topic, target and the consumer group that carries it."""

    source: SourceTable
    topic: str
    database: str
    table: str
    group: str

    @property
    def target(self) -> str:
        """`database.table` in ClickHouse."""
        return f"{self.database}.{self.table}"


def parse_options(value: object) -> CaptureOptions:
    """Read one entry of the configured table list.

    `value` is `schema.table` or a mapping with the fields of `CaptureOptions`.
    Raises `CatalogError` with one sentence that names the entry and the mistake.
    """
    entry = {"table": value} if isinstance(value, str) else value
    if not isinstance(entry, Mapping):
        raise CatalogError(
            f"captured table {value!r}: write `schema.table` or a mapping with `table:`"
        )
    try:
        return CaptureOptions.model_validate(dict(entry))
    except ValidationError as error:
        raise CatalogError(f"captured table {_label(entry)}: {_sentence(error)}") from error


def capture(source: SourceTable, options: CaptureOptions, topic_prefix: str) -> CapturedTable:
    """Where `source` goes: `postgres-server.inventory.orders` → `inventory`.`orders`."""
    target = options.target or source.qualified
    database, table = target.split(".", 1)
    return CapturedTable(
        source=source,
        topic=topic_name(topic_prefix, source.qualified),
        database=database,
        table=table,
        group=consumer_group(target),
    )


def refuse_clashes(
    tables: Iterable[CaptureOptions], topic_prefix: str, suffixes: Iterable[str]
) -> None:
    """Raise `CatalogError` if two tables would write to one topic or one ClickHouse object.

    `suffixes` are those of the objects made of a table (`catalog.objects`).
    """
    topics, objects = defaultdict(list), defaultdict(list)
    for options in tables:
        topics[topic_name(topic_prefix, options.table)].append(options.table)
        target = options.target or options.table
        database = target.split(".", 1)[0]
        if database in _TAKEN_DATABASES:
            raise CatalogError(
                f"{options.table}: `target` can't be in database {database}, which is not for "
                "captured tables: name another, like `target: source_cdc.heartbeat`"
            )
        for suffix in sorted(suffixes):
            objects[target + suffix].append(options.table)
            if len(ch_file_name(target + suffix)) > _LONGEST_TARGET:
                raise CatalogError(
                    f"{options.table}: the names of its objects, like {target + suffix}, are too "
                    "long for ClickHouse's files: give it a shorter `target`"
                )
    for topic, names in topics.items():
        if len(names) > 1:
            raise CatalogError(
                f"{' and '.join(names)} would share the topic {topic}, because a topic's name "
                "can't hold every character: capture one of them, or rename it in Postgres"
            )
    for name, names in objects.items():
        if len(names) > 1:
            raise CatalogError(
                f"{' and '.join(names)} would both make {name} in ClickHouse: "
                "give one of them another `target`"
            )


def _label(entry: Mapping[Any, Any]) -> str:
    return str(entry.get("table", dict(entry)))


def _sentence(error: ValidationError) -> str:
    allowed = ", ".join(CaptureOptions.model_fields)
    parts = []
    for item in error.errors():
        field = ".".join(str(step) for step in item["loc"]) or "entry"
        if item["type"] == "extra_forbidden":
            parts.append(f"`{field}` is not an option (there are: {allowed})")
        elif item["type"] == "missing":
            parts.append(f"`{field}` is missing")
        elif item["type"] == "string_pattern_mismatch":
            parts.append(
                f"`{field}` must be two names with a dot, like inventory.orders; a name that holds "
                "a dot itself is not supported"
            )
        else:
            parts.append(f"`{field}`: {item['msg'].lower()}")
    return "; ".join(parts)
