"""Reading a table's shape out of pg_catalog."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import psycopg

from catalog.debezium_key import check_index
from catalog.model import CaptureOptions, CatalogError, Column, SourceTable
from catalog.names import pg_ident, pg_qualified
from catalog.objects import check
from catalog.types import COPY_SETTINGS, mapping_of

_TABLE = """
SELECT c.oid::int8, c.relkind::text, c.relpersistence::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s
"""

_COLUMNS = """
WITH RECURSIVE behind AS (
    SELECT a.attnum, a.atttypid AS oid, a.atttypmod AS modifier, '' AS dimensions
    FROM pg_attribute a WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attnum, coalesce(element.oid, t.typbasetype),
           CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE b.modifier END,
           b.dimensions || CASE WHEN element.oid IS NULL THEN '' ELSE '[]' END
    FROM behind b JOIN pg_type t ON t.oid = b.oid
    LEFT JOIN pg_type element ON element.typarray = t.oid
    WHERE t.typtype = 'd' OR element.oid IS NOT NULL
), base AS (
    SELECT b.attnum, CASE
        WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN format_type(b.oid, b.modifier)
        WHEN t.typtype = 'e' THEN 'enum'
        WHEN t.typtype = 'c' THEN 'composite'
        WHEN t.typtype = 'r' THEN 'range'
        WHEN t.typtype = 'm' THEN 'multirange'
        WHEN e.objid IS NOT NULL THEN t.typname::text
        ELSE 'unknown' END || b.dimensions AS name
    FROM behind b JOIN pg_type t ON t.oid = b.oid
    LEFT JOIN pg_depend e ON e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e'
    WHERE t.typtype <> 'd' AND NOT EXISTS (SELECT FROM pg_type x WHERE x.typarray = t.oid)
)
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
       nullif(base.name, format_type(a.atttypid, a.atttypmod)),
       a.attnum, a.attgenerated = '' AND (a.atthasdef OR a.attidentity <> '')
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
JOIN base USING (attnum)
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

_MISSING = """
SELECT attname, (attmissingval::text::text[])[1] FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND atthasmissing
"""

# Unique indexes that always hold for all rows, with the columns they are made of; the primary key
# first. INCLUDEd columns stand behind the key's and tell nothing apart.
_UNIQUE = """
SELECT i.indisprimary, array_agg(a.attname::text ORDER BY k.place), bool_and(a.attnotnull)
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %s AND k.place <= i.indnkeyatts
  AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid, i.indisprimary
ORDER BY i.indisprimary DESC, i.indexrelid
"""

# The table and, if it is partitioned, every table its rows lie in or pass through.
_FAMILY = """
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relpersistence::text,
       CASE c.relreplident
           WHEN 'd' THEN 'DEFAULT' WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL'
           ELSE coalesce((SELECT format('USING INDEX %%I', x.relname)
                          FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                          WHERE i.indrelid = c.oid AND i.indisreplident), 'NOTHING')
       END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(%s) OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass(%s)))
ORDER BY 2, 3
"""

_KINDS = {
    "v": "a view: capture the tables it reads",
    "m": "a materialized view: its content is in no log; capture the tables it reads",
    "f": "a foreign table: its rows are on another server; capture it there",
    "S": "a sequence, no table",
    "c": "a composite type, no table",
    "i": "an index, no table",
    "I": "an index, no table",
}
_IN_NO_LOG = "unlogged or temporary: its changes are in no log to capture them from"


class NoSuchTable(CatalogError):
    """The source has no table of that name."""


def describe(
    conn: psycopg.Connection[Any],
    qualified: str,
    key: Sequence[str] | None = None,
    as_text: Collection[str] = (),
) -> SourceTable:
    """The columns and the key of `schema.table`: the primary key, or the columns given as `key`.

    The columns `as_text` are to be kept as texts.

    Raises `CatalogError` (one sentence) if it isn't there, can't be captured by its kind, or if
    `key` does not tell its rows apart.
    """
    schema, name = qualified.split(".", 1)
    found = conn.execute(_TABLE, [schema, name]).fetchone()
    if found is None:
        raise NoSuchTable(f"there is no table {qualified} in the source database")
    oid, kind, persistence = found
    if kind in _KINDS:
        raise CatalogError(f"{qualified} is {_KINDS[kind]}")
    if persistence != "p":
        raise CatalogError(f"{qualified} is {_IN_NO_LOG}")
    if kind == "p":
        _check_partitions(conn, qualified)
    columns = tuple(
        Column(
            name=name_,
            pg_type=pg_type,
            nullable=nullable,
            generated=generated,
            base_type=base_type,
            as_text=name_ in as_text,
            number=number,
            defaulted=defaulted,
        )
        for name_, pg_type, nullable, generated, base_type, number, defaulted in conn.execute(
            _COLUMNS, {"oid": oid}
        )
    )
    if any((c.base_type or c.pg_type) == "money" for c in columns):
        check_money(conn, qualified)
    return SourceTable(
        schema_=schema,
        name=name,
        columns=columns,
        key=_key(conn, oid, qualified, columns, key),
        partitioned=kind == "p",
    )


def capturable(conn: psycopg.Connection[Any], options: CaptureOptions) -> SourceTable:
    """What `describe` finds, once nothing there stands against capturing it with `options`.

    Raises `CatalogError` (one sentence) as `describe`, `check` and `check_index` do.
    """
    source = describe(conn, options.table, options.key, options.as_text)
    check(source, options)
    check_index(conn, source)
    return source


def check_money(conn: psycopg.Connection[Any], qualified: str) -> None:
    """Raise `CatalogError` unless money has two decimals here, which lc_monetary decides.

    Money is a number of the smallest unit; streamed and copied it is taken for hundredths.
    """
    found = conn.execute("SELECT '1.234'::numeric::money::numeric::text").fetchone()
    if found is None or found[0] != "1.23":
        raise CatalogError(
            f"{qualified} has a column of type money, in a database whose lc_monetary has not two "
            "decimals: make it numeric, ALTER TABLE … ALTER COLUMN … TYPE numeric(19,2)"
        )


def missing_values(conn: psycopg.Connection[Any], table: SourceTable) -> dict[str, str]:
    """What rows have in columns that were added since, by column, as COPY writes it.

    Postgres gives them a constant default without touching them, so no event tells of it. Not for
    partitioned tables, of which every partition has its own.
    """
    regclass = pg_qualified(table.qualified)
    found: list[tuple[str, str]] = conn.execute(_MISSING, [regclass]).fetchall()
    written = {}
    with conn.transaction():
        for name, value in COPY_SETTINGS:
            conn.execute("SELECT set_config(%s, %s, true)", [name, value])
        columns = {column.name: column for column in table.columns}
        for name, text in found:
            column = columns[name]
            made = mapping_of(column)
            if made is not None and made.nullable is None and not made.in_variant:
                read = f"SELECT %s::{column.pg_type} AS v"
                query = f"SELECT ({made.load.pg('v')})::text FROM ({read}) AS old"
                row = conn.execute(query.encode(), [text]).fetchone()
                assert row is not None
                written[name] = row[0]
    return written


def replica_identities(conn: psycopg.Connection[Any], qualified: str) -> dict[str, str]:
    """The replica identity of a table and of all its partitions, by quoted name.

    The values are what follows `REPLICA IDENTITY` in ALTER TABLE. Partitions don't inherit it: one
    that is made later begins with DEFAULT. Empty if there is no such table.
    """
    return {
        f"{pg_ident(schema)}.{pg_ident(name)}": identity
        for _, schema, name, kind, _, identity in _family(conn, qualified)
        if kind in "rp"
    }


def _family(conn: psycopg.Connection[Any], qualified: str) -> list[tuple[Any, ...]]:
    regclass = pg_qualified(qualified)
    return conn.execute(_FAMILY, [regclass, regclass]).fetchall()


def _check_partitions(conn: psycopg.Connection[Any], qualified: str) -> None:
    for _, schema, name, kind, persistence, _ in _family(conn, qualified):
        fault = _KINDS.get(kind) or (_IN_NO_LOG if persistence != "p" else None)
        if fault:
            raise CatalogError(f"{qualified} has a partition, {schema}.{name}, that is {fault}")


def _key(
    conn: psycopg.Connection[Any],
    oid: int,
    qualified: str,
    columns: tuple[Column, ...],
    wanted: Sequence[str] | None,
) -> tuple[str, ...]:
    unique = conn.execute(_UNIQUE, [oid]).fetchall()
    if wanted is None:
        return tuple(unique[0][1]) if unique and unique[0][0] else ()
    if unknown := sorted(set(wanted) - {column.name for column in columns}):
        raise CatalogError(f"{qualified}: `key` names {', '.join(unknown)}, which is no column")
    fitting = [all_set for _, names, all_set in unique if sorted(names) == sorted(wanted)]
    if not fitting:
        raise CatalogError(
            f"{qualified}: no unique index (valid, immediate, not partial, without expressions) is "
            f"on exactly {', '.join(wanted)}: make one, or leave `key` out to keep the table "
            "as a multiset of rows"
        )
    if not any(fitting):
        raise CatalogError(
            f"{qualified}: `key` may hold only NOT NULL columns, for rows with NULLs are not told "
            f"apart: ALTER TABLE {pg_qualified(qualified)} ALTER COLUMN … SET NOT NULL"
        )
    return tuple(wanted)
