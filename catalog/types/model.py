"""What every type says of itself, and the rules that its SQL keeps.

- `decode` takes SQL of type Nullable(String) holding the field of a Debezium message as text and
  yields NULL for whatever the ClickHouse type can't hold *exactly*. ClickHouse's own conversions
  clamp (dates), truncate (decimals) and approximate (floats), so each is guarded.
- `decode` never throws, whatever the text: an exception in the view would stop the table.
- `load` keeps both rules for a value that the initial load copies, `element` for one in an array.
- `pg_text` and `ch_text` give equal text for equal values, so that checksums can be compared.

Formats are those of Debezium 3.7 with decimal.handling.mode=string,
time.precision.mode=microseconds, binary.handling.mode=base64 and the converter in `converter/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from catalog.model import CatalogError, Column
from catalog.names import ch_string

Sql = Callable[[str], str]

# What Debezium writes for a TOASTed value that the change did not carry (REPLICA IDENTITY
# DEFAULT). It must never be taken for a value.
UNAVAILABLE = "__debezium_unavailable_value"

# What a session that copies or streams must have set, that a value's text depends on nothing else.
# No value may hold a blank: they travel in one option of the connector's.
COPY_SETTINGS = (
    ("timezone", "UTC"),
    ("datestyle", "ISO,YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
)


def same(sql: str) -> str:
    """For what needs no conversion."""
    return sql


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
    """From the input column to `TypeMapping.parsed`; NULL for what that can't hold."""


def native(input_type: str) -> Load:
    """For types of which ClickHouse reads every value just as Postgres writes it."""
    return Load(pg=same, input=input_type, ch=same)


def read_by(rule: Sql, pg: Sql = same) -> Load:
    """For types whose text, as COPY or `pg` writes it, is read by a rule."""
    return Load(pg=pg, input="String", ch=rule)


@dataclass(frozen=True)
class TypeMapping:
    """How one Postgres type is stored, decoded and compared."""

    clickhouse: str
    """Of a column that is NOT NULL."""
    decode: Sql
    pg_text: Sql
    ch_text: Sql
    """Of a stored value, whether its column is nullable or not."""
    load: Load
    element: Sql
    """From an element's text in Postgres' text of an array; NULL for what can't be held."""
    narrow: Sql | None
    """From the result of a generated column's expression to `parsed`; NULL if out of range.

    None where a generated column can't be of this type.
    """
    widen: Sql | None = None
    """For arithmetic in generated columns, where ClickHouse throws on overflow."""
    codec: str = "ZSTD(1)"
    plain: str | None = None
    """`clickhouse` in a form that can be Nullable, where it can't."""
    in_variant: bool = False
    """For types that can't be Nullable: NULL is told apart by a Variant of one type."""
    nullable: str | None = None
    """Type of a nullable column; default: as `parsed`."""
    null: str = "NULL"
    """NULL as a value of `nullable`."""

    @property
    def parsed(self) -> str:
        """Type of the decoded value on its way, which may be NULL whatever the column is."""
        wrapper = "Variant" if self.in_variant else "Nullable"
        return f"{wrapper}({self.plain or self.clickhouse})"

    def stored(self, nullable: bool) -> str:
        """Type of the column."""
        return (self.nullable or self.parsed) if nullable else self.clickhouse

    def store(self, value: str, nullable: bool) -> str:
        """From a value of type `parsed` to one of the column's."""
        if nullable and self.nullable is None:
            return value
        if not self.in_variant:
            return value if nullable else f"assumeNotNull({value})"
        present = f"variantElement({value}, {ch_string(self.clickhouse)})"
        if not nullable:
            return present
        return f"if(isNull({value}), {self.null}, CAST({present}, {ch_string(self.stored(True))}))"


class UnsupportedType(CatalogError):
    """Columns whose types have no mapping; the message names them all and what would do."""

    def __init__(self, table: str, columns: Iterable[Column], with_text: Iterable[str]) -> None:
        listed = ", ".join(f"{column.name} ({column.pg_type})" for column in columns)
        as_text = ", ".join(with_text)
        remedy = (
            f"keep as text what can be, `{{table: {table}, as_text: [{as_text}]}}`"
            if as_text
            else "leave them out of the table, or give them a type"
        )
        super().__init__(
            f"{table} can't be captured because of column(s) {listed}: {remedy}; "
            "docs/types.md lists the types"
        )
