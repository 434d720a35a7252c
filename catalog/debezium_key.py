"""What Debezium takes for the key of a table that has no primary key."""

from __future__ import annotations

import re
from typing import Any

import psycopg

from catalog.model import CatalogError, SourceTable

# As pgjdbc's DatabaseMetaData.getIndexInfo tells the unique indexes, which is all that Debezium
# learns of them: columns as they stand in the index's definition, without the outer quotes.
_INDEXES = """
SELECT x.relname, array_agg(trim(both '"' from pg_get_indexdef(x.oid, k.place::int, false))
                            ORDER BY k.place)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
WHERE n.nspname = %s AND t.relname = %s AND i.indisunique
  AND NOT EXISTS (SELECT FROM pg_index p WHERE p.indrelid = i.indrelid AND p.indisprimary)
GROUP BY x.oid, x.relname, i.indisclustered
ORDER BY NOT i.indisclustered, x.relname
"""

# Debezium 3.7 leaves out indexes with an entry that reads so (PostgresConnection's
# FUNCTION_DEFAULT_PATTERN and EXPRESSION_DEFAULT_PATTERN, here without their backtracking; its
# "- " is a range of blanks, not a minus).
_CALL = re.compile(r"[(]?[A-Za-z0-9_.]+\(.*\)")
_EXPRESSION = re.compile(r"\(.+[+ */<>=~!@#%^&|`?].+\)")


def check_index(conn: psycopg.Connection[Any], source: SourceTable) -> None:
    """Raise `CatalogError` if Debezium would take something for the key that is no column.

    It then stops with "is referenced as PRIMARY KEY, but a matching column is not defined".
    """
    columns = {column.name for column in source.columns}
    for index, entries in conn.execute(_INDEXES, [source.schema_, source.name]):
        if any(_CALL.fullmatch(entry) or _EXPRESSION.fullmatch(entry) for entry in entries):
            continue
        if lost := [entry for entry in entries if entry not in columns]:
            raise CatalogError(
                f"{source.qualified} can't be streamed: Debezium takes its unique index {index} "
                "for the key, for there is no primary key, and misreads "
                f"{' '.join(lost[0].split())} in it; give the table a primary key, or leave it out"
            )
        return
