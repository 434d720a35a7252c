"""The objects of a table; what they do is proved in tests/embedded/test_captured_table."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.model import CatalogError, Column, SourceTable, capture, is_ours, parse_options
from catalog.objects import (
    KafkaSettings,
    SqlObject,
    check,
    object_names,
    replay_statement,
    table_objects,
)

COLUMNS = (
    Column(name="region", pg_type="text", nullable=False),
    Column(name="id", pg_type="bigint", nullable=False),
    Column(name="price", pg_type="numeric(10,2)", nullable=True),
)
TOTAL = Column(name="total", pg_type="numeric(12,2)", nullable=True, generated="(price * 2)")


def _source(*more: Column) -> SourceTable:
    return SourceTable(schema_="shop", name="orders", columns=COLUMNS + more, key=("region", "id"))


def _objects(source: SourceTable, kafka: KafkaSettings, **options: Any) -> dict[str, SqlObject]:
    parsed = parse_options({"table": "shop.orders", **options})
    made = table_objects(capture(source, parsed, "pg"), parsed, kafka, 4_711)
    return {each.name: each for each in made}


@pytest.mark.parametrize("target", [None, "elsewhere.o"])
def test_the_names_are_known_before_the_columns_are(target: str | None) -> None:
    options = parse_options({"table": "shop.orders", "target": target})
    captured = capture(_source(), options, "pg")
    made = table_objects(captured, options, KafkaSettings("k:1"), 1)
    assert object_names("shop.orders", target) == [(each.name, each.kind) for each in made]


def test_nothing_flows_before_everything_stands() -> None:
    made = list(_objects(_source(), KafkaSettings("k:1")))
    assert made[-2:] == ["shop.orders_queue", "shop.orders_mv"]


def test_a_nullable_column_and_no_other_is_nullable() -> None:
    columns = dict(_objects(_source(), KafkaSettings("k:1"))["shop.orders_final"].columns)
    assert columns["id"].startswith("Int64 ")
    assert columns["price"].startswith("Nullable(Decimal(10, 2)) ")


def test_the_history_is_kept_by_key_and_version_and_the_state_by_key() -> None:
    made = _objects(_source(), KafkaSettings("k:1"), order_by=["id", "region"])
    assert "ORDER BY (`region`, `id`, `_version`)" in made["shop.orders_history"].body
    assert "ORDER BY (`id`, `region`)" in made["shop.orders_final"].body


def test_the_queue_reads_as_it_is_told() -> None:
    kafka = KafkaSettings(
        "a:1,b:2", flush_ms=99, consumers=3, extra={"kafka_sasl_password": "it's"}
    )
    body = _objects(_source(), kafka)["shop.orders_queue"].body
    for setting in (
        "kafka_broker_list = 'a:1,b:2'",
        "kafka_topic_list = 'pg.shop.orders'",
        "kafka_group_name = 'clickhouse.shop.orders'",
        "kafka_flush_interval_ms = 99",
        "kafka_num_consumers = 3",
        "kafka_sasl_password = 'it\\'s'",
    ):
        assert setting in body


def test_a_replay_takes_the_way_of_the_messages() -> None:
    options = parse_options("shop.orders")
    captured = capture(_source(), options, "pg")
    made = table_objects(captured, options, KafkaSettings("k:1"), 4_711)[-1]
    replay = replay_statement(captured, options, 4_711)
    assert "TO `shop`.`orders_read` AS" in made.create
    assert replay.startswith("INSERT INTO `shop`.`orders_read` ")
    read = made.body[made.body.index("    tupleElement(") : made.body.index("FROM `shop`")]
    assert read in replay
    assert "FROM cdc.dead_letters FINAL" in replay


@pytest.mark.parametrize(
    ("more", "options", "said"),
    [
        ((TOTAL,), {}, "generated: {total: (price * 2)}"),
        ((), {"generated": {"price": "1"}}, "`generated` names price, which is no generated"),
        ((), {"generated": {"nope": "1"}}, "`generated` names nope, which is no generated"),
        ((), {"order_by": ["id"]}, "exactly the key's columns: region, id"),
        ((), {"partition_by": "toYYYYMM(created)"}, "`<column or call> % <n>`"),
        ((), {"partition_by": "id % 51"}, "from 1 to 50"),
        ((), {"partition_by": "id % 0"}, "from 1 to 50"),
        ((), {"partition_by": "id + id % 4"}, "`<column or call> % <n>`"),
        ((), {"partition_by": "price % 4"}, "only the key's columns (region, id)"),
        ((), {"partition_by": "1 % 4"}, "only the key's columns"),
        (
            (
                Column(name="x", pg_type="numeric(90,2)", nullable=True),
                Column(name="y", pg_type="regclass", nullable=True),
            ),
            {},
            "x (numeric(90,2)), y (regclass): keep as text what can be, "
            "`{table: shop.orders, as_text: [x]}`",
        ),
        ((), {"as_text": ["nope"]}, "`as_text` names nope, which is no column"),
        (
            (Column(name="x", pg_type="uuid", nullable=True, as_text=True),),
            {"as_text": ["x"]},
            "`as_text` names x (uuid), of which every value is kept anyway",
        ),
        (
            (Column(name="x", pg_type="integer[]", nullable=True, generated="'{}'"),),
            {"generated": {"x": "[]"}},
            "x is generated and of type integer[], which can't be computed",
        ),
    ],
)
def test_what_cannot_be_exact_is_refused_in_one_sentence(
    more: tuple[Column, ...], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(CatalogError) as error:
        check(_source(*more), parse_options({"table": "shop.orders", **options}))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_key_that_is_not_in_the_stream_is_refused() -> None:
    """A change of it would leave the row that was: Debezium writes it as any other."""
    options = parse_options({"table": "shop.orders", "generated": {"total": "price * 2"}})
    source = _source(TOTAL)
    check(source, options)
    for key in (("total",), ("region", "total")):
        with pytest.raises(CatalogError, match="its key holds the generated column total, which"):
            check(source.model_copy(update={"key": key}), options)


@pytest.mark.parametrize("columns", [(), (TOTAL,)])
def test_a_table_of_which_nothing_is_in_the_stream_is_refused(columns: tuple[Column, ...]) -> None:
    options = parse_options({"table": "shop.orders", "generated": {"total": "2"}})
    source = _source().model_copy(update={"columns": columns, "key": ()})
    with pytest.raises(CatalogError, match="no columns in the stream, so none of its rows"):
        check(source, options)


@pytest.mark.parametrize("partition", ["id % 16", "cityHash64(region, id) % 50", "`id` % 4"])
def test_a_bounded_function_of_the_key_may_partition(partition: str) -> None:
    made = _objects(_source(), KafkaSettings("k:1"), partition_by=partition)
    assert f"PARTITION BY {partition}" in made["shop.orders_final"].body


def test_no_name_of_ours_is_left_to_a_column_of_the_source() -> None:
    ours = {
        name
        for each in _objects(_source(), KafkaSettings("k:1")).values()
        for name, _ in each.columns
        if each.kind == "table" and name not in {column.name for column in COLUMNS}
    }
    assert {"operation", "_version", "_message"} < ours
    assert all(is_ours(name) for name in ours)


def test_a_column_is_stored_under_a_name_that_a_later_one_does_not_change() -> None:
    names = ["id", "operation", "operation_", "_lsn", "_", "a.b", "a_b", "a_b_", "Größe"]
    columns = tuple(Column(name=name, pg_type="text", nullable=True) for name in names)

    def stored(count: int) -> list[str]:
        source = SourceTable(schema_="s", name="t", columns=columns[:count], key=("id",))
        return list(source.stored.values())

    assert stored(len(names)) == [
        "id",
        "operation_",
        "operation__",
        "_lsn_",
        "_",
        "a_b_",
        "a_b",
        "a_b__",
        "Größe",
    ]
    for count in range(len(names)):
        assert stored(count) == stored(len(names))[:count]


@pytest.mark.parametrize(
    "changed",
    [
        *({"name": name} for name in ('"orders"', 'Order "Items"', '"', "o''s", "o``s")),
        {"schema_": '"shop'},
    ],
)
def test_a_name_that_debezium_reads_as_another_is_refused(changed: dict[str, str]) -> None:
    """Each was seen to stop Debezium 3.7's own reader of names, or to come out as another."""
    with pytest.raises(CatalogError, match="rename it, or leave it out") as error:
        check(_source().model_copy(update=changed), parse_options("shop.orders"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ['The "Order" Items', "it's", "'orders'", "tick`", "back\\slash"])
def test_other_quotes_are_part_of_a_name(name: str) -> None:
    check(_source().model_copy(update={"name": name}), parse_options("shop.orders"))


def test_without_a_key_nothing_can_be_ordered_or_partitioned_by_it() -> None:
    keyless = _source().model_copy(update={"key": ()})
    check(keyless, parse_options("shop.orders"))
    for option in ({"order_by": ["id"]}, {"partition_by": "id % 4"}):
        with pytest.raises(CatalogError, match="has no key that `order_by` or `partition_by`"):
            check(keyless, parse_options({"table": "shop.orders", **option}))
