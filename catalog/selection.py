"""Which tables are captured: names, patterns and whole schemas, with what is left out of them.

A pattern is a shell's glob in either part of `schema.table`: `*` any text, `?` one character,
`[ab]` one of these (Python's fnmatch, case counts). An entry without any of `*?[` is a name, and
so is one that has them only as `[*]`, `[?]` and `[[]`, which stand for the characters themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import psycopg

from catalog.model import CaptureOptions, CatalogError, parse_options

GLOB = frozenset("*?[")
_ITSELF = re.compile(r"\[([*?[])\]")

# What a pattern can mean: not the parts of a partitioned table, which are captured through it,
# nothing of the system's or of an extension's, and not the schema of our heartbeat.
_TABLES = """
SELECT n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND n.nspname <> 'cdc'
  AND NOT EXISTS (
      SELECT FROM pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname
"""


@dataclass(frozen=True)
class Entry:
    """One entry of the configured list; without a pattern its `table` is the table's own name.

    excluded: globs of table names, without the schema.
    """

    options: CaptureOptions
    is_pattern: bool
    excluded: tuple[str, ...] = ()

    def matches(self, schema: str, table: str) -> bool:
        in_schema, named = self.options.table.split(".", 1)
        return (
            fnmatchcase(schema, in_schema)
            and fnmatchcase(table, named)
            and not any(fnmatchcase(table, glob) for glob in self.excluded)
        )


def parse_selection(listed: object) -> tuple[Entry, ...]:
    """Read the configured list of tables.

    Raises `CatalogError` with one sentence that names the entry and the mistake.
    """
    if not isinstance(listed, list) or not listed:
        raise CatalogError("list at least one table, like `- inventory.orders`")
    entries = tuple(_entry(each) for each in listed)
    names = [entry.options.table for entry in entries]
    if twice := {name for name in names if names.count(name) > 1}:
        raise CatalogError(f"listed twice: {', '.join(sorted(twice))}")
    return entries


def named(entries: Iterable[Entry]) -> tuple[CaptureOptions, ...]:
    """The tables of a list without patterns.

    Raises `CatalogError` for a pattern: it needs a source that can be asked beforehand.
    """
    if patterns := [entry.options.table for entry in entries if entry.is_pattern]:
        raise CatalogError(
            f"{', '.join(patterns)}: a pattern needs a server that is there before the stack is "
            "(cdc:source); name the tables"
        )
    return tuple(entry.options for entry in entries)


def tables_of(conn: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """(schema, table) of everything that a pattern can mean, in order of name."""
    return [(schema, table) for schema, table in conn.execute(_TABLES)]


def expand(
    entries: Sequence[Entry], tables: Iterable[tuple[str, str]]
) -> tuple[CaptureOptions, ...]:
    """The tables that `entries` mean among `tables`, in the list's order, then by name.

    A table's options come from the entry that names it, else from the first pattern it matches.
    Raises `CatalogError` naming every pattern that matches nothing.
    """
    present = sorted(tables)
    by_name = {entry.options.table for entry in entries if not entry.is_pattern}
    found: dict[str, CaptureOptions] = {}
    empty = []
    for entry in entries:
        if not entry.is_pattern:
            found[entry.options.table] = entry.options
            continue
        matched = [f"{schema}.{table}" for schema, table in present if entry.matches(schema, table)]
        if not matched:
            empty.append(entry)
        for name in matched:
            if name not in by_name:
                found.setdefault(name, entry.options.model_copy(update={"table": name}))
    if empty:
        raise CatalogError(
            "; ".join(_nothing(entry, present) for entry in empty)
            + " (names are compared with their case; views and the parts of partitioned tables "
            "don't count)"
        )
    return tuple(found.values())


def _nothing(entry: Entry, tables: Sequence[tuple[str, str]]) -> str:
    in_schema = entry.options.table.split(".", 1)[0]
    there = sum(fnmatchcase(schema, in_schema) for schema, _ in tables)
    but = f", excluded {', '.join(entry.excluded)}" if entry.excluded else ""
    return f"{entry.options.table}{but} matches none of {there} table(s) in {in_schema}"


def _entry(value: object) -> Entry:
    if not isinstance(value, Mapping):
        return _of(parse_options(value))
    given = dict(value)
    excluded = given.pop("exclude", ())
    if "schema" in given:
        if "table" in given:
            raise CatalogError(f"captured table {given['table']}: `table` or `schema`, not both")
        given["table"] = f"{given.pop('schema')}.*"
    entry = _of(parse_options(given), tuple(excluded) if isinstance(excluded, list) else ())
    if excluded and not all(isinstance(each, str) for each in entry.excluded or (None,)):
        raise CatalogError(f"{entry.options.table}: `exclude` is a list of table names or patterns")
    if entry.excluded and not entry.is_pattern:
        raise CatalogError(f"{entry.options.table}: `exclude` is for patterns and schemas")
    if entry.is_pattern and entry.options.target is not None:
        raise CatalogError(f"{entry.options.table}: `target` is for one table, not for a pattern")
    return entry


def _of(options: CaptureOptions, excluded: tuple[str, ...] = ()) -> Entry:
    if GLOB & set(_ITSELF.sub("", options.table)):
        return Entry(options, True, excluded)
    name = _ITSELF.sub(r"\1", options.table)
    return Entry(options.model_copy(update={"table": name}), False, excluded)
