"""One line of configuration, and where its table goes."""

from __future__ import annotations

import pytest

from catalog.model import CapturedTable, CatalogError, Column, SourceTable, capture, parse_options

SOURCE = SourceTable(
    schema_="inventory",
    name="order items",
    columns=(Column(name="id", pg_type="integer", nullable=False),),
    key=("id",),
)


def test_a_line_is_a_name_or_a_mapping() -> None:
    assert parse_options("inventory.orders") == parse_options({"table": "inventory.orders"})
    full = {"table": "a.b", "generated": {"c": " x + 1 "}, "target": "d.e", "order_by": ["k"]}
    assert parse_options(full).generated == {"c": "x + 1"}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("orders", "captured table orders: `table` must be two names with a dot"),
        ({"table": "a.b", "colour": 1}, "captured table a.b: `colour` is not an option (there are"),
        ({"target": "a.b"}, "`table` is missing"),
        ({"table": "a.b", "generated": {"c": ""}}, "captured table a.b: `generated.c`"),
        ({"table": "a.b", "generated": "c"}, "captured table a.b: `generated`"),
        (7, "captured table 7: write `schema.table` or a mapping"),
        (None, "captured table None: write"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(entry: object, said: str) -> None:
    with pytest.raises(CatalogError) as error:
        parse_options(entry)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_captured_table_survives_json() -> None:
    table = capture(SOURCE, parse_options("inventory.order_items"), "postgres-server")
    assert CapturedTable.model_validate_json(table.model_dump_json()) == table


def test_the_topic_is_named_as_debezium_names_it() -> None:
    options = parse_options({"table": "inventory.order_items", "target": "shop.items"})
    table = capture(SOURCE, options, "postgres-server")
    assert table.topic == "postgres-server.inventory.order_items"
    assert (table.target, table.group) == ("shop.items", "clickhouse.shop.items")
