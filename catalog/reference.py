"""Statements kept as plain files: one object a file, made in the order of the files' names."""

from __future__ import annotations

import re
from pathlib import Path

from catalog.objects import Kind, SqlObject

_CREATE = re.compile(
    r"CREATE\s+(?:OR\s+REPLACE\s+)?(?P<kind>TABLE|VIEW|MATERIALIZED\s+VIEW)\s+"
    r"(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>\w+\.\w+)(?P<rest>.*)",
    re.DOTALL,
)
_KINDS: dict[str, Kind] = {
    "TABLE": "table",
    "VIEW": "view",
    "MATERIALIZED VIEW": "materialized_view",
}


def reference_objects(folder: Path) -> list[SqlObject]:
    """The object that each `*.sql` of `folder` makes.

    Raises ValueError for a file that doesn't hold one `CREATE … database.name`.
    """
    return [_object(path) for path in sorted(folder.glob("*.sql"))]


def _object(path: Path) -> SqlObject:
    create = path.read_text(encoding="utf-8").strip().rstrip(";")
    match = _CREATE.search(create)
    if match is None:
        raise ValueError(f"{path.name} holds no CREATE TABLE, VIEW or MATERIALIZED VIEW")
    kind = _KINDS[" ".join(match["kind"].split())]
    return SqlObject(match["name"], kind, create, match["rest"].strip())
