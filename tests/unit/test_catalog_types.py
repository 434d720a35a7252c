"""The registry; what its SQL does with values is proved in tests/embedded/test_captured_table."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.types import UnsupportedType, mapping, supported_types

DOCUMENT = Path(__file__).parents[2] / "docs" / "types.md"


@pytest.mark.parametrize(
    ("pg_type", "clickhouse"),
    [
        ("integer", "Int32"),
        ("numeric(10,2)", "Decimal(10, 2)"),
        ("numeric(5)", "Decimal(5, 0)"),
        ("numeric(3,-2)", "Decimal(5, 0)"),
        ("numeric(3,5)", "Decimal(5, 5)"),
        ("character varying(255)", "String"),
        ("time(3) without time zone", "Time64(6)"),
        ("timestamp(0) with time zone", "DateTime64(6, 'UTC')"),
        ("timestamp without time zone", "DateTime64(6, 'UTC')"),
    ],
)
def test_a_type_is_known_with_and_without_its_modifier(pg_type: str, clickhouse: str) -> None:
    made = mapping(pg_type)
    assert made is not None
    assert made.clickhouse == clickhouse


@pytest.mark.parametrize(
    "pg_type", ["numeric", "numeric(77,0)", "integer[]", "inventory.mood", '"char"', "interval", ""]
)
def test_a_type_that_is_not_exact_is_not_guessed(pg_type: str) -> None:
    assert mapping(pg_type) is None


def test_the_error_names_every_column_and_what_to_do() -> None:
    said = str(UnsupportedType("a.b", [("x", "interval"), ("y", "numeric")]))
    assert "x (interval), y (numeric)" in said
    assert "docs/types.md" in said


def test_every_type_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in supported_types() if f"`{name}" not in text] == []
