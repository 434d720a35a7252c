"""Random tables: columns of every type under names of every kind, keyed in every way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.names import ch_ident, pg_ident, pg_qualified
from tests.property.types import Builtin, Made, Type, any_type, builtin, keyed, made_types
from tests.property.values import HASHED, KEYS, Chance

NAMES = (
    "id",
    "select",
    "Mixed Case",
    'a "quote"',
    '"all quoted"',
    "'single'",
    "`back`",
    "it's",
    "a.dot",
    "back\\slash",
    "tick`",
    "größe",
    "😀",
    "$dollar",
    "%s",
    "{brace}",
    "a,b",
    "x;y",
    "operation",
    "_lsn",
    "_version",
    "_deleted",
    "source_ts_ms",
    "_message",
    "before",
    "after",
    "op",
    "_keys",
    "n",
    "user",
)
KINDS = ("primary", "primary", "primary", "deferrable", "unique", "partitioned", "none")
QUOTE = '"'
KEY_VALUES = 7  # of each column of a key: few, so that workloads meet


Row = tuple[str | None, ...]


def literal(text: str | None, of: Type) -> str:
    """A value, given as Postgres reads it, for a statement."""
    if text is None:
        return "NULL"
    return "'" + text.replace("'", "''") + f"'::{of.sql}"


@dataclass(frozen=True)
class Column:
    """choices: what a key's column may hold."""

    name: str
    of: Type
    nullable: bool
    choices: tuple[str, ...] = ()

    def value(self, chance: Chance) -> str | None:
        if self.nullable and chance.random() < 0.25:
            return None
        return chance.choice(self.choices) if self.choices else self.of.value(chance)


@dataclass(frozen=True)
class Table:
    """name: `schema.table`. kind: how its rows are told apart. doubled: a generated column."""

    name: str
    kind: str
    columns: tuple[Column, ...]
    key: tuple[Column, ...]
    doubled: str | None

    @property
    def quoted(self) -> str:
        return pg_qualified(self.name)

    @property
    def names(self) -> str:
        return ", ".join(pg_ident(column.name) for column in self.columns)

    @property
    def listed_key(self) -> str:
        return ", ".join(pg_ident(column.name) for column in self.key)

    @property
    def create(self) -> str:
        lines = [
            f"{pg_ident(column.name)} {column.of.sql}{'' if column.nullable else ' NOT NULL'}"
            for column in self.columns
        ]
        if self.doubled:
            lines.append(
                f"doubled bigint GENERATED ALWAYS AS (2 * {pg_ident(self.doubled)}::bigint) STORED"
            )
        if self.kind in ("primary", "partitioned"):
            lines.append(f"PRIMARY KEY ({self.listed_key})")
        if self.kind == "deferrable":
            lines.append(f"PRIMARY KEY ({self.listed_key}) DEFERRABLE INITIALLY DEFERRED")
        made = f"CREATE TABLE {self.quoted} ({', '.join(lines)})"
        if self.kind == "unique":
            return f"{made}; CREATE UNIQUE INDEX ON {self.quoted} ({self.listed_key})"
        if self.kind != "partitioned":
            return made
        parts = "".join(
            f"; CREATE TABLE {pg_qualified(f'{self.name} {n}')} PARTITION OF {self.quoted} "
            f"FOR VALUES WITH (MODULUS 3, REMAINDER {n})"
            for n in range(3)
        )
        return f"{made} PARTITION BY HASH ({self.listed_key}){parts}"

    def row(self, chance: Chance) -> Row:
        return tuple(column.value(chance) for column in self.columns)

    def rows(self, chance: Chance, count: int) -> list[Row]:
        """At most `count` rows, no two of one key."""
        rows = [self.row(chance) for _ in range(count)]
        places = [self.columns.index(column) for column in self.key]
        if not places:
            return rows
        return list({tuple(row[place] for place in places): row for row in rows}.values())

    def values(self, rows: Iterable[Row]) -> str:
        """Rows as they stand in a statement."""
        return ", ".join(
            "("
            + ", ".join(
                literal(text, column.of) for text, column in zip(row, self.columns, strict=True)
            )
            + ")"
            for row in rows
        )

    @property
    def options(self) -> dict[str, Any]:
        """The table's entry in `cdc:tables`."""
        made: dict[str, Any] = {"table": self.name}
        if self.kind == "unique":
            made["key"] = [column.name for column in self.key]
        if self.doubled:
            made["generated"] = {"doubled": f"2 * toInt64({ch_ident(self.doubled)})"}
        return made


@dataclass(frozen=True)
class Schema:
    """name: of the schema, and of the types and tables in it."""

    name: str
    types: tuple[Made, ...]
    tables: tuple[Table, ...]

    @property
    def create(self) -> list[str]:
        """The statements that make it and what is in it."""
        made = [f"CREATE SCHEMA {pg_ident(self.name)}", *(each.create for each in self.types)]
        return [*filter(None, made), *(table.create for table in self.tables)]


def random_schema(chance: Chance, name: str, count: int) -> Schema:
    """A schema of some types of its own and `count` tables."""
    types = tuple(made_types(chance, name, NAMES))
    made = tuple(_table(chance, name, number, types) for number in range(count))
    return Schema(name, types, made)


def _table(chance: Chance, schema: str, number: int, types: Sequence[Made]) -> Table:
    kind = chance.choice(KINDS)
    names = chance.sample(NAMES, chance.choice((2, 4, 8, 12, 16)))
    if kind == "unique":  # refused with a quote, at which Debezium would stop
        names[:3] = [each.replace(QUOTE, " ") for each in names[:3]]
    key = tuple(
        Column(name, of, False, tuple(of.value(chance) for _ in range(KEY_VALUES)))
        for name in names[: chance.choice((1, 1, 2, 3))]
        for of in [_key_type(chance, HASHED if kind == "partitioned" else KEYS, types)]
    )
    others = [
        Column(name, any_type(chance, types), chance.random() < 0.6) for name in names[len(key) :]
    ]
    columns = [*key, *others]
    chance.shuffle(columns)
    integers = [
        each.name
        for each in columns
        if isinstance(each.of, Builtin) and each.of.name in ("smallint", "integer")
    ]
    return Table(
        # A name's odd part must not be all that tells two topics apart. See docs/configuration.md
        # for names that can't be captured.
        name=f"{schema}.{number} {chance.choice(NAMES).replace('.', ' ').strip(QUOTE)}",
        kind=kind,
        columns=tuple(columns),
        key=() if kind == "none" else key,
        doubled=chance.choice(integers) if integers and chance.random() < 0.5 else None,
    )


def _key_type(chance: Chance, names: Sequence[str], types: Sequence[Made]) -> Type:
    own = keyed(types, names)
    return chance.choice(own) if chance.random() < 0.3 else builtin(chance, names)
