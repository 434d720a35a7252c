"""Reading a table's shape out of pg_catalog."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import psycopg

from catalog.model import CatalogError, Column, SourceTable

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
       nullif(base.name, format_type(a.atttypid, a.atttypmod))
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
JOIN base USING (attnum)
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

_KEY = """
SELECT a.attname
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %s AND i.indisprimary
ORDER BY k.place
"""


class NoSuchTable(CatalogError):
    """The source has no table of that name."""


def describe(
    conn: psycopg.Connection[Any], qualified: str, as_text: Collection[str] = ()
) -> SourceTable:
    """The columns and the primary key of `schema.table`; `as_text` are to be kept as texts.

    Raises `CatalogError` (one sentence) if it isn't there or can't be captured by its kind.
    """
    schema, name = qualified.split(".", 1)
    found = conn.execute(_TABLE, [schema, name]).fetchone()
    if found is None:
        raise NoSuchTable(f"there is no table {qualified} in the source database")
    oid, kind, persistence = found
    if kind != "r":
        raise CatalogError(f"{qualified} is not an ordinary table: capture its tables by name")
    if persistence != "p":
        raise CatalogError(
            f"{qualified} is unlogged or temporary: its changes are in no log to capture them from"
        )
    key = tuple(row[0] for row in conn.execute(_KEY, [oid]))
    if not key:
        raise CatalogError(f"{qualified} has no primary key: add one, rows can't be told apart")
    columns = tuple(
        Column(
            name=name_,
            pg_type=pg_type,
            nullable=nullable,
            generated=generated,
            base_type=base_type,
            as_text=name_ in as_text,
        )
        for name_, pg_type, nullable, generated, base_type in conn.execute(_COLUMNS, {"oid": oid})
    )
    return SourceTable(schema_=schema, name=name, columns=columns, key=key)
