"""The captured table: what the source looks like, what was asked for, where it goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from catalog.names import topic_name

# One dot splits schema and table. More dots would make topic and object names ambiguous.
_QUALIFIED = r"^[^.\s]+\.[^.\s]+$"


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


class SourceTable(_Frozen):
    """A table of the source as pg_catalog describes it."""

    schema_: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = Field(description="columns of the primary key, in its order")

    @property
    def qualified(self) -> str:
        """`schema.table`."""
        return f"{self.schema_}.{self.name}"


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
    target: Qualified | None = Field(
        default=None, description="`database.table` in ClickHouse; default: as the source"
    )
    partition_by: Expression | None = Field(
        default=None, description="of the current-state table, a bounded function of the key"
    )
    order_by: tuple[str, ...] | None = Field(
        default=None, description="the key's columns in another order"
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
        group=f"clickhouse.{target}",
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
            parts.append(f"`{field}` must be two names with a dot, like inventory.orders")
        else:
            parts.append(f"`{field}`: {item['msg'].lower()}")
    return "; ".join(parts)
