"""Random types: Postgres' own, and those that a database makes for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from catalog.names import pg_ident
from tests.property.values import (
    ARGUMENTS,
    EXTENSIONS,
    KEYS,
    VALUES,
    WORDS,
    Arguments,
    Chance,
    quoted,
    range_of,
    several,
    unicode,
    value,
)

EXTENSIONS_SCHEMA = "an extension's"


class Type(Protocol):
    """sql: as it stands in a statement."""

    @property
    def sql(self) -> str: ...

    def value(self, chance: Chance) -> str: ...


class Made(Type, Protocol):
    """create: the statement that makes it."""

    @property
    def create(self) -> str: ...


@dataclass(frozen=True)
class Builtin:
    """name: the registry's."""

    name: str
    arguments: Arguments = ()

    @property
    def sql(self) -> str:
        if self.name in EXTENSIONS:
            return f"{pg_ident(EXTENSIONS_SCHEMA)}.{self.name}"
        return f"{self.name}({','.join(map(str, self.arguments))})" if self.arguments else self.name

    def value(self, chance: Chance) -> str:
        return value(chance, self.name, self.arguments)


@dataclass(frozen=True)
class Enum:
    sql: str
    labels: tuple[str, ...]

    @property
    def create(self) -> str:
        listed = ", ".join("'" + label.replace("'", "''") + "'" for label in self.labels)
        return f"CREATE TYPE {self.sql} AS ENUM ({listed})"

    def value(self, chance: Chance) -> str:
        return chance.choice(self.labels)


@dataclass(frozen=True)
class Composite:
    sql: str
    fields: tuple[tuple[str, Type], ...]

    @property
    def create(self) -> str:
        listed = ", ".join(f"{pg_ident(name)} {each.sql}" for name, each in self.fields)
        return f"CREATE TYPE {self.sql} AS ({listed})"

    def value(self, chance: Chance) -> str:
        # NULL in all fields is another value than NULL, though it IS NULL.
        without = chance.choice((0.1, 0.1, 1.0))
        fields = [
            "" if chance.random() < without else quoted(each.value(chance))
            for _, each in self.fields
        ]
        return f"({','.join(fields)})"


@dataclass(frozen=True)
class Range:
    sql: str
    multirange: str
    subtype: Builtin | Enum

    @property
    def create(self) -> str:
        return (
            f"CREATE TYPE {self.sql} AS RANGE "
            f"(subtype = {self.subtype.sql}, multirange_type_name = {self.multirange})"
        )

    def value(self, chance: Chance) -> str:
        order: Callable[[str], Any]
        if isinstance(self.subtype, Enum):
            order = self.subtype.labels.index
        else:
            order = SUBTYPES[self.subtype.name]
        return range_of(chance, self.subtype.value, order)


@dataclass(frozen=True)
class Multirange:
    """Made with its range."""

    of: Range
    create = ""

    @property
    def sql(self) -> str:
        return self.of.multirange

    def value(self, chance: Chance) -> str:
        return "{" + several(chance, self.of.value) + "}"


@dataclass(frozen=True)
class Domain:
    sql: str
    behind: Type

    @property
    def create(self) -> str:
        return f"CREATE DOMAIN {self.sql} AS {self.behind.sql}"

    def value(self, chance: Chance) -> str:
        return self.behind.value(chance)


@dataclass(frozen=True)
class Array:
    element: Type

    @property
    def sql(self) -> str:
        return f"{self.element.sql}[]"

    def value(self, chance: Chance) -> str:
        def item(chance: Chance) -> str:
            return "NULL" if chance.random() < 0.2 else quoted(self.element.value(chance))

        # Two boxes have commas between their points.
        box = isinstance(one := behind(self.element), Builtin) and one.name == "box"
        return "{" + several(chance, item, ";" if box else ",") + "}"


# What a range can be made of, each with a key by which Postgres puts its values in order: texts by
# their bytes, in a database of the locale C.
SUBTYPES: dict[str, Callable[[str], Any]] = {
    "smallint": int,
    "bigint": int,
    "double precision": lambda text: (text.lower() == "nan", float(text) + 0.0),
    "text": lambda text: text.encode(),
    "date": str,
    "time without time zone": str,
    "timestamp with time zone": str,
    "uuid": str,
}


def builtin(chance: Chance, names: Sequence[str]) -> Builtin:
    name = chance.choice(names)
    return Builtin(name, chance.choice(ARGUMENTS.get(name, ((),))))


def any_type(chance: Chance, made: Sequence[Made]) -> Type:
    """Postgres' own, one of the types made, or an array of either."""
    one: Type = builtin(chance, tuple(VALUES))
    if made and chance.random() < 0.4:
        one = chance.choice(made)
    return Array(one) if chance.random() < 0.3 and _in_arrays(one) else one


def _in_arrays(one: Type) -> bool:
    """Not money, nor arrays: these are refused (docs/types.md)."""
    one = behind(one)
    return not isinstance(one, Array) and not (isinstance(one, Builtin) and one.name == "money")


def made_types(chance: Chance, schema: str, names: Sequence[str]) -> list[Made]:
    """Some of each kind, in the order in which they can be made: each may be of those before it."""
    # Arrays of types with a dot in their names are dead letters (docs/types.md, limits).
    odd = [name for name in names if "." not in name]
    free = [f"{pg_ident(schema)}.{pg_ident(name)}" for name in chance.sample(odd, len(odd))]
    enum = Enum(free.pop(), _labels(chance))
    of_enum = Range(free.pop(), free.pop(), enum)
    range_ = Range(free.pop(), free.pop(), Builtin(chance.choice(tuple(SUBTYPES))))
    made: list[Made] = [enum, range_, Multirange(range_), of_enum, Multirange(of_enum)]
    made.append(Domain(free.pop(), builtin(chance, KEYS)))
    made.append(Domain(free.pop(), enum))
    for _ in range(3):
        fields = chance.sample(names, chance.randint(1, 6))
        made.append(
            Composite(free.pop(), tuple((field, any_type(chance, made)) for field in fields))
        )
        made.append(Domain(free.pop(), any_type(chance, made)))
    return made


def behind(one: Type) -> Type:
    """Of a domain, what it is made of."""
    while isinstance(one, Domain):
        one = one.behind
    return one


def keyed(made: Sequence[Made], names: Sequence[str]) -> list[Made]:
    """Enums and domains over them or over types of these names: rows can be told apart by them."""
    return [
        each
        for each in made
        for one in [behind(each)]
        if isinstance(one, Enum) or (isinstance(one, Builtin) and one.name in names)
    ]


def _labels(chance: Chance) -> tuple[str, ...]:
    words = [*chance.sample(WORDS, 5), *(unicode(chance, 15) for _ in range(3))]
    return tuple(dict.fromkeys(words))
