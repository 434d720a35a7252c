"""What a table's change in Postgres asks for: nothing, a default for old rows, or a new load."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.changes import completed, former_names, must_load_again
from catalog.model import CaptureOptions, Column, SourceTable, capture
from catalog.objects import KafkaSettings, table_objects

ID = Column(name="id", pg_type="integer", nullable=False, number=1)
NOTE = Column(name="note", pg_type="text", nullable=True, number=2)


def _table(*columns: Column, key: tuple[str, ...] = ("id",)) -> SourceTable:
    return SourceTable(schema_="s", name="t", columns=columns, key=key)


def _column(number: int, **said: Any) -> Column:
    described = {"name": "n", "pg_type": "integer", "nullable": True, "number": number} | said
    return Column.model_validate(described)


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (_column(3), ""),
        (_column(3, nullable=False), ""),
        (_column(3, nullable=False, defaulted=True, missing="7"), ""),
        (_column(3, nullable=False, defaulted=True), "which Postgres may have filled"),
        (_column(3, generated="id * 2"), "new generated column n"),
        (_column(3, name="former"), "of the name of an earlier one"),
        (_column(3, name="note"), ""),
    ],
)
def test_a_new_column_is_loaded_where_old_rows_may_have_got_a_value(
    column: Column, why: str
) -> None:
    reason = must_load_again(_table(ID), _table(ID, column), ["former"])
    assert reason.endswith(why), reason
    assert bool(reason) == bool(why)


@pytest.mark.parametrize(
    ("was", "now", "again"),
    [
        ("character varying(5)", "text", False),
        ("character varying(5)", "character varying(9)", False),
        ("numeric(10,2)", "numeric(12,2)", False),
        ("numeric(10,2)", "numeric(12,3)", True),
        ("numeric(10,2)", "numeric", True),
        ("integer", "bigint", True),
        ("integer", "text", True),
        ("character(5)", "text", True),
        ("timestamp without time zone", "timestamp with time zone", True),
    ],
)
def test_another_type_is_loaded_where_postgres_wrote_the_rows_anew(
    was: str, now: str, again: bool
) -> None:
    old, new = (_table(ID, _column(3, pg_type=each)) for each in (was, now))
    assert bool(must_load_again(old, new, [])) == again


def test_what_makes_other_rows_of_the_same_events_is_loaded() -> None:
    old = _table(ID, NOTE)
    renamed = NOTE.model_copy(update={"name": "remark"})
    assert must_load_again(old, _table(ID, renamed), []) == "column note is called remark now"
    assert must_load_again(old, _table(ID, NOTE, key=("note",)), []) == "another key"
    as_text = NOTE.model_copy(update={"as_text": True})
    assert must_load_again(old, _table(ID, as_text), [])
    dropped_and_made = NOTE.model_copy(update={"number": 3})
    former = former_names(old, _table(ID), [])
    assert former == ["note"]
    assert must_load_again(_table(ID), _table(ID, dropped_and_made), former)
    assert must_load_again(old, _table(ID, dropped_and_made), [])
    assert former_names(_table(ID), _table(ID, dropped_and_made), former) == []


def test_dropping_a_column_or_a_not_null_asks_for_nothing() -> None:
    assert must_load_again(_table(ID, NOTE), _table(ID), []) == ""
    strict = NOTE.model_copy(update={"nullable": False})
    assert must_load_again(_table(ID, NOTE), _table(ID, strict), []) == ""
    assert must_load_again(_table(ID, strict), _table(ID, NOTE), []) == ""


def test_what_old_rows_have_stays_known_when_postgres_forgets_it() -> None:
    added = _column(3, nullable=False, defaulted=True)
    first = completed(_table(ID, added), _table(ID), {"n": "7"})
    assert first.columns[1].missing == "7"
    assert completed(_table(ID, added), first, {}) == first
    # A column that was there when the table was first captured has its values in its rows.
    assert completed(_table(ID, added), _table(ID, added), {"n": "7"}) == _table(ID, added)


def test_old_rows_get_the_value_by_the_rule_of_copied_ones() -> None:
    price = _column(3, name="price", pg_type="numeric(5,2)", nullable=False, missing="1.50")
    table = _table(ID, price)
    options = CaptureOptions(table="s.t")
    made = table_objects(capture(table, options, "p"), options, KafkaSettings("k:1"), 0)
    [final] = [each for each in made if each.name == "s.t_final"]
    kind = dict(final.columns)["price"]
    assert kind.startswith("Decimal(5, 2) DEFAULT ")
    assert "CAST('1.50', 'Nullable(String)')" in kind
    assert kind.endswith(" CODEC(ZSTD(1))")
