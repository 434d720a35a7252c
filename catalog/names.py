"""Quoting of identifiers and literals; everything that enters a statement passes through here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence


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


def consumer_group(target: str) -> str:
    """The group in which ClickHouse reads the topic of the table `target`.

    Without braces: ClickHouse would take what is between them for one of its macros.
    """
    return "clickhouse." + re.sub("[{}]", lambda found: f"%{ord(found[0]):X}", target)


def ch_file_name(qualified: str) -> str:
    """The two names as ClickHouse writes them in a file's name: unusual bytes as %XX."""
    return "".join(
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or byte == 95) else f"%{byte:02X}"
        for part in qualified.split(".", 1)
        for byte in part.encode()
    )


def topic_name(prefix: str, qualified: str) -> str:
    """The topic Debezium writes `qualified` to: what Kafka forbids in a name becomes `_`.

    A character beyond the first 65,536 becomes two: Debezium counts as Java does, in UTF-16.
    """
    return re.sub(
        r"[^A-Za-z0-9._-]",
        lambda found: "_" * (len(found[0].encode("utf-16-le")) // 2),
        f"{prefix}.{qualified}",
    )


def java_pattern(name: str) -> str:
    """A Java regular expression that matches exactly `name`, for Debezium's lists.

    Every unusual character but the dot is written as its number: the lists are split at commas,
    semicolons and colons and trimmed before they are read as expressions. Debezium ignores the case
    of letters unless it is told not to, and would take `Orders` for `orders` as well.
    """
    return "(?-i)" + _numbered(name)


def key_columns(keys: Mapping[str, Sequence[str]]) -> str:
    """Debezium's `message.key.columns`: the columns that tell rows apart, by `schema.table`."""
    return ";".join(
        f"{java_pattern(table)}:{','.join(map(_numbered, columns))}"
        for table, columns in keys.items()
    )


def _numbered(name: str) -> str:
    return re.sub(
        r"\W",
        lambda found: r"\." if found[0] == "." else f"\\x{{{ord(found[0]):x}}}",
        name,
        flags=re.ASCII,
    )


def _printable(name: str) -> str:
    # Neither database can hold a NUL in a name; quoting would only move the error further away.
    if not name or "\0" in name:
        raise ValueError(f"{name!r} is not a name: it is empty or holds a NUL")
    return name
