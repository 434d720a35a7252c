"""Quoting."""

from __future__ import annotations

import pytest

from catalog.names import (
    ch_ident,
    ch_qualified,
    ch_string,
    java_pattern,
    key_columns,
    pg_ident,
    pg_qualified,
    topic_name,
)


def test_no_name_ends_its_own_quotes() -> None:
    assert pg_ident('a"b') == '"a""b"'
    assert ch_ident("a`b\\") == "`a\\`b\\\\`"
    assert ch_string("it's \\") == "'it\\'s \\\\'"


def test_schema_and_table_are_quoted_apart() -> None:
    assert pg_qualified("shop.Orders") == '"shop"."Orders"'
    assert ch_qualified("shop.Orders") == "`shop`.`Orders`"


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_no_database_can_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        pg_ident(name)
    with pytest.raises(ValueError, match="is not a name"):
        ch_ident(name)


@pytest.mark.parametrize(
    ("table", "topic"),
    [
        ("shop.Order-Items_2", "pg.shop.Order-Items_2"),
        ('shop.Order "Items"', "pg.shop.Order__Items_"),
        ("süd.größe\\", "pg.s_d.gr__e_"),
        # Java counts UTF-16: two units, two replacements (seen on Debezium 3.7).
        ("shop.😀", "pg.shop.__"),
    ],
)
def test_a_topic_is_named_as_debezium_replaces_characters(table: str, topic: str) -> None:
    assert topic_name("pg", table) == topic


def test_no_name_ends_its_own_pattern_in_debeziums_lists() -> None:
    assert java_pattern("shop.Orders") == r"(?-i)shop\.Orders"
    tricky = java_pattern("shop.a,b;c:d [e]\\ü")
    assert tricky == r"(?-i)shop\.a\x{2c}b\x{3b}c\x{3a}d\x{20}\x{5b}e\x{5d}\x{5c}\x{fc}"
    assert not set(",;: ") & set(tricky)


def test_key_columns_are_listed_by_table() -> None:
    listed = key_columns({"shop.a b": ("x", "y,z"), "shop.c": ("id",)})
    assert listed == r"(?-i)shop\.a\x{20}b:x,y\x{2c}z;(?-i)shop\.c:id"
