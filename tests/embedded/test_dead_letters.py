"""`./cdc dead-letters` on letters that real messages left in the real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from clickhouse_connect.driver.client import Client

from catalog.model import Column
from catalog.objects import replay_statement
from ops import dead_letters
from ops.dead_letters import Position
from ops.stack import WrongUse
from tests.embedded.captured import ORDERS, Captured, event, order
from tests.embedded.daemon import Daemon


@pytest.fixture
def orders(shared: Daemon) -> Captured:
    return Captured(shared)


@pytest.fixture
def client(shared: Daemon) -> Iterator[Client]:
    made = shared.client()
    yield made
    made.close()


def name(table: Captured) -> str:
    return table.table.source.qualified


def replay(client: Client, table: Captured) -> dead_letters.Replayed:
    statement = replay_statement(table.table, table.options, table.slot)
    return dead_letters.replay(client, name(table), statement)


def test_letters_are_counted_by_reason_and_not_by_value(orders: Captured, client: Client) -> None:
    orders.arrive(*(event("u", order(n, quantity=f"{n}.5"), 2_000 + n) for n in range(3)))
    orders.arrive("not json", event("x", order(), 2_100), event("u", order(5, later=1), 2_200))
    found = dead_letters.groups(client, [name(orders)])
    assert [(each.reason, each.count, each.applied) for each in found] == [
        ("unreadable: quantity", 3, False),
        ("not valid JSON", 1, False),
        ("unknown field: later", 1, True),
        ("unknown op: x", 1, False),
    ]
    assert str(found[1].example) == f"{orders.table.topic}/0/3"
    for each in found:
        now = datetime.now(UTC)
        assert now - timedelta(minutes=1) < each.first_seen <= each.last_seen <= now


def test_a_list_names_every_table_or_the_chosen_one(orders: Captured, client: Client) -> None:
    other = Captured(orders.daemon)
    orders.arrive("one")
    other.arrive("two")
    assert {name(orders), name(other)} <= {each.table for each in dead_letters.groups(client)}
    assert [each.table for each in dead_letters.groups(client, [name(other)])] == [name(other)]
    [letter] = dead_letters.letters(client, [name(other)], 10)
    assert (letter.table, letter.reason, letter.message) == (name(other), "not valid JSON", None)


def test_the_newest_letters_come_first_up_to_the_limit(orders: Captured, client: Client) -> None:
    for text in ("first", "second", "third"):
        orders.arrive(text)
    found = dead_letters.letters(client, [name(orders)], 2)
    assert [each.position.offset for each in found] == [2, 1]


def test_a_letter_is_shown_to_the_byte(orders: Captured, client: Client) -> None:
    message = b'{"op": "\xff\x00\xe4", \n "x": "\'\\\\"}'
    orders.arrive(message)
    position = Position.parse(f"{orders.table.topic}/0/0")
    [letter] = dead_letters.at(client, position)
    assert letter.message == message
    assert "\\\\xff" in letter.model_dump_json()


@pytest.mark.parametrize("text", ["", "topic", "topic/0", "topic/0/x", "topic/0/1/2", "/0/1"])
def test_what_is_no_position_is_wrong_use(text: str) -> None:
    with pytest.raises(WrongUse, match="TOPIC/PARTITION/OFFSET"):
        Position.parse(text)


def test_a_position_without_a_letter_is_wrong_use(orders: Captured, client: Client) -> None:
    with pytest.raises(WrongUse, match="no dead letter at"):
        dead_letters.at(client, Position(topic=orders.table.topic, partition=0, offset=7))


def test_a_replay_says_what_became_rows_and_what_remains(orders: Captured, client: Client) -> None:
    rows = [event("c", order(n, quantity=n, price="1.00", later=n), 2_000 + n) for n in (1, 2)]
    orders.arrive(*rows, "not json")
    assert replay(client, orders).replayed == 0, "nothing changed yet"
    orders.describe([*ORDERS, Column(name="later", pg_type="integer", nullable=True)])
    orders.apply()
    done = replay(client, orders)
    assert (done.replayed, [(left.reason, left.count) for left in done.remaining]) == (
        2,
        [("not valid JSON", 1)],
    )
    assert orders.current(("id", "later")) == [[1, 1], [2, 2]]
    again = replay(client, orders)
    assert (again.replayed, sum(left.count for left in again.remaining)) == (0, 1)
    assert orders.current(("id", "later")) == [[1, 1], [2, 2]]


def test_a_replay_overwrites_nothing_newer(orders: Captured, client: Client) -> None:
    orders.arrive(event("c", order(1, later=1), 2_000), event("u", order(1, quantity=9), 2_001))
    orders.describe([*ORDERS, Column(name="later", pg_type="integer", nullable=True)])
    orders.apply()
    orders.arrive(event("u", order(1, quantity=9, later=7), 2_002))
    assert replay(client, orders).replayed == 1
    assert orders.current(("id", "quantity", "later")) == [[1, 9, 7]]
