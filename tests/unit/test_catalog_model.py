"""One line of configuration, and where its table goes."""

from __future__ import annotations

import pytest

from catalog.model import (
    CapturedTable,
    CatalogError,
    Column,
    SourceTable,
    capture,
    parse_options,
    refuse_clashes,
)
from catalog.objects import SUFFIXES

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
        ("a.b.c", "a name that holds a dot itself is not supported"),
        ({"table": "a.b", "key": []}, "captured table a.b: `key`"),
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


def test_no_consumer_group_holds_what_clickhouse_takes_for_a_macro() -> None:
    options = parse_options({"table": "inventory.order_items", "target": "shop.{shard}"})
    assert capture(SOURCE, options, "pg").group == "clickhouse.shop.%7Bshard%7D"


@pytest.mark.parametrize("name", ['shop.The "Order" Items', "größe.\\ü'", "Select.from where\n;"])
def test_any_characters_but_a_second_dot_make_a_name(name: str) -> None:
    assert parse_options(name).table == name


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (["a.x y", "a.x-y", "a.x?y"], "a.x y and a.x?y would share the topic pg.a.x_y"),
        (
            ["a.b", {"table": "a.c", "target": "a.b"}],
            "a.b and a.c would both make a.b in ClickHouse: give one of them another `target`",
        ),
        (["a.b", "a.b_final"], "a.b and a.b_final would both make a.b_final in ClickHouse"),
        (["cdc.b"], "cdc.b: `target` can't be in database cdc"),
        ([{"table": "a.b", "target": "system.b"}], "can't be in database system"),
        ([f"{'n' * 63}.{'ü' * 31}"], "too long for ClickHouse's files: give it a shorter `target`"),
    ],
)
def test_tables_that_would_write_to_one_place_are_refused(tables: list[object], said: str) -> None:
    with pytest.raises(CatalogError) as error:
        refuse_clashes([parse_options(each) for each in tables], "pg", SUFFIXES)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_longest_names_of_plain_letters_fit() -> None:
    refuse_clashes([parse_options(f"{'n' * 63}.{'t' * 63}")], "pg", SUFFIXES)


def test_names_that_differ_only_in_case_do_not_clash() -> None:
    refuse_clashes(map(parse_options, ["a.Orders", "a.orders", "A.orders"]), "pg", SUFFIXES)


def test_a_partitioned_table_is_read_with_its_partitions_and_no_other_with_its_heirs() -> None:
    assert SOURCE.rows == 'ONLY "inventory"."order items"'
    partitioned = SOURCE.model_copy(update={"partitioned": True})
    assert partitioned.rows == '"inventory"."order items"'
