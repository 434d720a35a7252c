"""Quoting."""

from __future__ import annotations

import pytest

from catalog.names import ch_ident, ch_qualified, ch_string, pg_ident, pg_qualified


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
