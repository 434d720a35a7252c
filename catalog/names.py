"""Quoting of identifiers and literals; everything that enters a statement passes through here."""

from __future__ import annotations

import re


def pg_ident(name: str) -> str:
    """Quote one Postgres identifier (rule: PostgreSQL manual, 4.1.1)."""
    return '"' + _printable(name).replace('"', '""') + '"'


def pg_qualified(qualified: str) -> str:
    """Quote `schema.table` for Postgres."""
    return ".".join(pg_ident(part) for part in qualified.split(".", 1))


def ch_ident(name: str) -> str:
    """Quote one ClickHouse identifier (rule: ClickHouse manual, SQL syntax, identifiers)."""
    return "`" + _printable(name).replace("\\", "\\\\").replace("`", "\\`") + "`"


def ch_qualified(qualified: str) -> str:
    """Quote `database.table` for ClickHouse."""
    return ".".join(ch_ident(part) for part in qualified.split(".", 1))


def ch_string(value: str) -> str:
    """A ClickHouse string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def topic_name(prefix: str, qualified: str) -> str:
    """The topic Debezium writes `qualified` to: what Kafka forbids in a name becomes `_`."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"{prefix}.{qualified}")


def _printable(name: str) -> str:
    # Neither database can hold a NUL in a name; quoting would only move the error further away.
    if not name or "\0" in name:
        raise ValueError(f"{name!r} is not a name: it is empty or holds a NUL")
    return name
