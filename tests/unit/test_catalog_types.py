"""The registry; what its SQL does with values is proved in tests/embedded/test_types.py."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from catalog.introspect import check_money
from catalog.model import CatalogError, Column
from catalog.types import mapping, mapping_of, supported_types

DOCUMENT = Path(__file__).parents[2] / "docs" / "types.md"


@pytest.mark.parametrize(
    ("pg_type", "stored", "nullable"),
    [
        ("integer", "Int32", "Nullable(Int32)"),
        ("oid", "UInt32", "Nullable(UInt32)"),
        ("numeric", "Decimal(76, 38)", "Nullable(Decimal(76, 38))"),
        ("numeric(10,2)", "Decimal(10, 2)", "Nullable(Decimal(10, 2))"),
        ("numeric(5)", "Decimal(5, 0)", "Nullable(Decimal(5, 0))"),
        ("numeric(3,-2)", "Decimal(5, 0)", "Nullable(Decimal(5, 0))"),
        ("numeric(3,5)", "Decimal(5, 5)", "Nullable(Decimal(5, 5))"),
        ("money", "Decimal(19, 2)", "Nullable(Decimal(19, 2))"),
        ("character varying(255)", "String", "Nullable(String)"),
        ("time(3) without time zone", "Time64(6)", "Nullable(Time64(6))"),
        ("time(3) with time zone", "String", "Nullable(String)"),
        (
            "timestamp(0) with time zone",
            "DateTime64(6, 'UTC')",
            "Nullable(DateTime64(6, 'UTC'))",
        ),
        (
            "interval day to second(3)",
            "Tuple(months Int32, days Int32, microseconds Int64)",
            "Tuple(months Nullable(Int32), days Nullable(Int32), microseconds Nullable(Int64))",
        ),
        ("enum", "LowCardinality(String)", "LowCardinality(Nullable(String))"),
        ("integer[]", "Array(Nullable(Int32))", "Variant(Array(Nullable(Int32)))"),
        ("bit(3)[]", "Array(Nullable(String))", "Variant(Array(Nullable(String)))"),
        ("enum[]", "Array(Nullable(String))", "Variant(Array(Nullable(String)))"),
        (
            "numeric(4,1)[]",
            "Array(Nullable(Decimal(4, 1)))",
            "Variant(Array(Nullable(Decimal(4, 1))))",
        ),
        ("hstore", "Map(String, Nullable(String))", "Variant(Map(String, Nullable(String)))"),
    ],
)
def test_a_type_is_known_with_and_without_its_modifier(
    pg_type: str, stored: str, nullable: str
) -> None:
    made = mapping(pg_type)
    assert made is not None
    assert (made.stored(False), made.stored(True)) == (stored, nullable)


@pytest.mark.parametrize(
    "pg_type",
    ["numeric(77,0)", "inventory.mood", "unknown", "regclass", "oidvector", "money[]", "geometry"],
)
def test_a_type_that_is_not_exact_is_not_guessed(pg_type: str) -> None:
    assert mapping(pg_type) is None


@pytest.mark.parametrize(
    "pg_type", ["numeric(77,0)", "numeric", "date", "timestamp(3) with time zone", "unknown"]
)
def test_what_its_own_type_may_not_hold_can_be_text(pg_type: str) -> None:
    made = mapping(pg_type, as_text=True)
    assert made is not None
    assert made.clickhouse == "String"


@pytest.mark.parametrize("pg_type", ["integer", "uuid", "text", "regclass", "geometry"])
def test_text_is_not_offered_where_it_says_no_more(pg_type: str) -> None:
    assert mapping(pg_type, as_text=True) is None


@pytest.mark.parametrize(("shown", "fine"), [("1.23", True), ("1", False), ("1.234", False)])
def test_money_is_refused_where_it_has_not_two_decimals(shown: str, fine: bool) -> None:
    # A stand-in: no machine has all locales.
    connection = Mock()
    connection.execute.return_value.fetchone.return_value = (shown,)
    if fine:
        check_money(connection, "shop.prices")
    else:
        with pytest.raises(CatalogError, match=r"shop\.prices has a column of type money"):
            check_money(connection, "shop.prices")


def test_a_domain_is_what_is_behind_it() -> None:
    column = Column(name="a", pg_type="shop.price", nullable=True, base_type="numeric(8,2)")
    made = mapping_of(column)
    assert made is not None
    assert made.clickhouse == "Decimal(8, 2)"


def test_every_type_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in supported_types() if f"`{name}" not in text] == []
