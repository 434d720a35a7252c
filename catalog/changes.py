"""What became of a captured table in Postgres since it was last deployed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from catalog.model import Column, SourceTable

_TEXTS = frozenset({"text", "character varying"})


def completed(table: SourceTable, old: SourceTable, missing: Mapping[str, str]) -> SourceTable:
    """The table with what old rows have in the columns that are new since `old` was deployed.

    What was found when a column was new stays: Postgres forgets it as soon as it rewrites the
    table, ClickHouse must not.
    """
    before = _by_number(old)
    return table.model_copy(
        update={
            "columns": tuple(
                column.model_copy(
                    update={
                        "missing": before[column.number].missing
                        if column.number in before
                        else missing.get(column.name)
                    }
                )
                for column in table.columns
            )
        }
    )


def must_load_again(old: SourceTable, new: SourceTable, former: Collection[str]) -> str:
    """Why rows may differ though no event told of it, in a few words; '' if they can't.

    Args:
        new: as `completed()` leaves it.
        former: names of columns that were captured once and are no more; ClickHouse has kept what
            was in them.
    """
    if old.key != new.key:
        return "another key"
    before, present = _by_number(old), _by_number(new)
    taken = {*former, *(column.name for column in old.columns if column.number not in present)}
    for column in new.columns:
        was = before.get(column.number)
        if was is None:
            if column.generated is not None:
                return f"new generated column {column.name}"
            if column.defaulted and column.missing is None:
                return f"new column {column.name}, which Postgres may have filled"
            if column.name in taken:
                return f"new column {column.name}, of the name of an earlier one"
        elif was.name != column.name:
            return f"column {was.name} is called {column.name} now"
        elif _rewritten(was, column):
            return f"column {column.name} is {column.pg_type} now"
    return ""


def former_names(old: SourceTable, new: SourceTable, former: Collection[str]) -> list[str]:
    """`former` as it has to be once `new` is deployed."""
    names = {column.name for column in new.columns}
    return sorted({*former, *(column.name for column in old.columns)} - names)


def _by_number(table: SourceTable) -> dict[int, Column]:
    return {column.number: column for column in table.columns}


def _rewritten(was: Column, now: Column) -> bool:
    """Whether another type may mean other values: Postgres then writes every row anew."""
    if (was.pg_type, was.as_text, was.generated) == (now.pg_type, now.as_text, now.generated):
        return False
    if was.as_text != now.as_text or was.generated != now.generated:
        return True
    old, new = _split(was.pg_type), _split(now.pg_type)
    if old[0] in _TEXTS and new[0] in _TEXTS:
        return False
    # With the same scale only the bound is another.
    return not (old[0] == new[0] == "numeric" and old[1][1:] == new[1][1:])


def _split(pg_type: str) -> tuple[str, list[str]]:
    return re.sub(r"\(.*?\)", "", pg_type), re.findall(r"-?\d+", pg_type)
