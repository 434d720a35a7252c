"""What an existing server has to have, and what is missing there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]
UserIs = Literal["administrator", "owner", "reader"]


@dataclass(frozen=True)
class Plan:
    """What the stack is going to need there.

    Args:
        user_is: what the given user may do (docs/configuration.md, `cdc:sourceUser`).
        mark: the comment by which this stack knows its own objects.
        role: the connector's login, unless it is the given user.
        tables: `schema.table` of each captured table.
        unkeyed: those of them for which no `key` is configured.
    """

    user_is: UserIs
    mark: str
    slot: str
    publication: str
    role: str
    tables: Sequence[str] = ()
    unkeyed: Sequence[str] = ()


@dataclass(frozen=True)
class Need:
    """Something that is missing. remedy: in words; statements: to be run as they are."""

    lacks: str
    remedy: str = ""
    statements: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What the server says of itself and of the given user. managed: telling roles it has."""

    user: str
    database: str
    superuser: bool
    createrole: bool
    replication: bool
    version: int
    managed: frozenset[str]
    settings: Mapping[str, str]
    ours: bool  # the publication bears this stack's mark
    slot: tuple[str, str, bool] | None  # plugin, database, active


def value(conn: Connection, statement: str, *arguments: object, **parameters: object) -> Any:
    """The first column of the first row, None without a row; parameters by place or by name."""
    row = conn.execute(statement.encode(), arguments or parameters or None).fetchone()
    return None if row is None else row[0]


def names(conn: Connection, statement: str, **parameters: object) -> list[str]:
    """The first column of every row."""
    return [row[0] for row in conn.execute(statement.encode(), parameters)]


def listed(what: str, names: Sequence[str]) -> str:
    """`tables a, b`: at most ten of them, and how many more there are."""
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"{what}{'s' if len(names) != 1 else ''} {shown}" if names else f"no {what}"
