"""A list of names, patterns and schemas means the same tables every time."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.model import CatalogError
from catalog.selection import expand, named, parse_selection

TABLES = [
    ("sales", "order_lines"),
    ("sales", "Order_Case"),
    ("hr", "people"),
    ("hr", "audit_2025"),
    ("sales", "orders"),
    ("hr", "audit_2024"),
    ("sales", "customers"),
]


def _expanded(*listed: Any) -> list[str]:
    return [options.table for options in expand(parse_selection(list(listed)), TABLES)]


def test_a_pattern_means_the_matching_tables_in_order_of_name() -> None:
    assert _expanded("sales.order*") == ["sales.order_lines", "sales.orders"]
    assert _expanded("*.[po]*") == ["hr.people", "sales.order_lines", "sales.orders"]


def test_a_schema_means_all_its_tables_but_the_excluded() -> None:
    entry = {"schema": "hr", "exclude": ["audit_*"]}
    assert _expanded(entry) == ["hr.people"]
    assert _expanded("hr.*") == _expanded({"schema": "hr"})


def test_the_order_in_which_the_source_answers_does_not_matter() -> None:
    entries = parse_selection(["*.*"])
    assert expand(entries, TABLES) == expand(entries, list(reversed(TABLES)))


def test_a_tables_own_entry_wins_over_every_pattern_wherever_it_stands() -> None:
    own = {"table": "sales.orders", "generated": {"total": "a * b"}}
    for listed in (["sales.*", own], [own, "sales.*"]):
        found = {each.table: each for each in expand(parse_selection(listed), TABLES)}
        assert found["sales.orders"].generated == {"total": "a * b"}
        assert found["sales.customers"].generated == {}
        assert len(found) == 4


def test_a_table_of_two_patterns_takes_the_options_of_the_first() -> None:
    first = {"table": "sales.order*", "order_by": ["b", "a"]}
    found = {each.table: each for each in expand(parse_selection([first, "sales.*"]), TABLES)}
    assert found["sales.orders"].order_by == ("b", "a")
    assert found["sales.customers"].order_by is None


def test_an_exclusion_counts_for_its_own_entry_only() -> None:
    entry = {"schema": "hr", "exclude": ["people"]}
    assert "hr.people" in _expanded(entry, "hr.people")


def test_a_name_is_taken_as_it_is_though_the_source_has_no_such_table() -> None:
    assert _expanded("sales.nothing") == ["sales.nothing"]


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        (["sales.zzz*"], r"sales\.zzz\* matches none of 4 table"),
        ([{"schema": "shop"}], r"shop\.\* matches none of 0 table"),
        ([{"schema": "hr", "exclude": ["*"]}], r"hr\.\*, excluded \* matches none of 3"),
    ],
)
def test_a_pattern_that_matches_nothing_is_named(listed: list[Any], sentence: str) -> None:
    with pytest.raises(CatalogError, match=sentence):
        _expanded(*listed)


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        ([], "list at least one table"),
        (["sales.*", {"schema": "sales"}], r"listed twice: sales\.\*"),
        ([{"table": "a.b", "schema": "a"}], "not both"),
        ([{"table": "a.b", "exclude": ["c"]}], "`exclude` is for patterns"),
        ([{"schema": "a", "exclude": "c"}], "`exclude` is a list"),
        ([{"schema": "a", "exclude": [1]}], "`exclude` is a list"),
        ([{"schema": "a", "target": "b.c"}], "`target` is for one table"),
        ([{"schema": "a", "colour": "red"}], "`colour` is not an option"),
    ],
)
def test_a_wrong_entry_is_named(listed: list[Any], sentence: str) -> None:
    with pytest.raises(CatalogError, match=sentence):
        parse_selection(listed)


def test_a_pattern_needs_a_source_that_can_be_asked() -> None:
    assert [each.table for each in named(parse_selection(["a.b"]))] == ["a.b"]
    with pytest.raises(CatalogError, match=r"a\.\*: a pattern needs a server"):
        named(parse_selection(["a.*"]))


def test_a_character_of_patterns_in_brackets_is_itself_and_makes_a_name() -> None:
    entries = parse_selection(["sales.a[*]b", {"table": "hr.[[]x] [?]", "target": "hr.x"}])
    assert [options.table for options in named(entries)] == ["sales.a*b", "hr.[x] ?"]
    assert [options.table for options in expand(entries, TABLES)] == ["sales.a*b", "hr.[x] ?"]
    assert parse_selection(["sales.[*][ab]"])[0].is_pattern
