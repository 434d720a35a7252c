"""Copied rows on their way into a captured table, beside streamed ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import requests

from catalog.loading import Loading, Pages
from catalog.model import Column
from ops.backfill.copying import SETTINGS
from ops.backfill.errors import BackfillError
from ops.backfill.target import Load, Range, Target
from ops.backfill.under_way import under_way
from tests.embedded.captured import Captured, event, order
from tests.embedded.daemon import ADMIN, Daemon

AT_MS = 1_790_000_000_000
RESERVED = (
    Column(name="id", pg_type="integer", nullable=False),
    Column(name="operation", pg_type="text", nullable=False),
    Column(name="_lsn", pg_type="text", nullable=True),
)


@pytest.fixture
def orders(shared: Daemon) -> Captured:
    return Captured(shared)


def _target(captured: Captured, stream: str = "1") -> Target:
    connection = {"host": "127.0.0.1", "port": captured.daemon.port}
    login = {"user": ADMIN[0], "password": ADMIN[1]}
    return Target({**connection, **login}, captured.table, stream)


def _load(captured: Captured, lsn: int, *rows: str, place: int = 0) -> None:
    """Rows as COPY writes them, columns separated by `|` here."""
    statement = Loading(captured.table, captured.options).insert(lsn, AT_MS, place)
    data = (f"{row}\n".replace("|", "\t").encode() for row in rows)
    _target(captured).insert(statement, data, SETTINGS)


def _finish(captured: Captured, lsn: int) -> None:
    _target(captured).finish(Load(lsn, AT_MS, "", ()), 0)


def test_copied_rows_become_rows_and_history_with_what_is_computed(orders: Captured) -> None:
    _load(orders, 2_000, r"1|3|10.50|n", r"2|4|0.01|\N", r"3|1|9.99|a\tb\\")
    assert orders.current() == [
        [1, 3, "31.50", "n"],
        [2, 4, "0.04", None],
        [3, 1, "9.99", "a\tb\\"],
    ]
    assert orders.history() == [[1, 2_000, "r"], [2, 2_000, "r"], [3, 2_000, "r"]]
    assert orders.reasons() == []


def test_a_streamed_change_wins_whenever_it_comes(orders: Captured) -> None:
    orders.arrive(event("u", order(1, note="later"), 2_500), event("d", order(2), 2_600))
    _load(orders, 2_000, "1|3|10.50|old", "2|3|10.50|old", "3|3|10.50|old")
    orders.arrive(event("u", order(3, note="later"), 2_700))
    shown = [[1, "later"], [3, "later"]]
    assert orders.current(["id", "note"]) == shown
    _finish(orders, 2_000)
    assert orders.current(["id", "note"]) == shown


def test_a_finished_load_replaces_all_that_was_there_and_only_then(orders: Captured) -> None:
    orders.arrive(event("c", order(1), 1_500), event("c", order(2), 1_600))
    _load(orders, 2_000, "1|3|10.50|new")
    assert [row[0] for row in orders.current()] == [1, 2], "nothing goes before it is whole"
    _finish(orders, 2_000)
    assert orders.current(["id", "note"]) == [[1, "new"]]
    orders.arrive(event("c", order(9), 1_700))
    assert [row[0] for row in orders.current()] == [1], "what comes late from before is void"


def test_a_range_that_is_copied_again_changes_nothing(orders: Captured) -> None:
    for _ in range(2):
        _load(orders, 2_000, "1|3|10.50|n", "2|3|10.50|n")
    assert len(orders.current()) == len(orders.history()) == 2


def test_a_row_that_can_not_be_taken_whole_is_a_dead_letter_until_a_load_takes_it(
    orders: Captured,
) -> None:
    _load(orders, 2_000, "1|3|10.50|n", r"2|3|NaN|why?", r"\N|3|1.00|n")
    assert [row[0] for row in orders.current()] == [1]
    letters = orders.rows(
        "SELECT reason, topic, offset, message FROM cdc.dead_letters FINAL "
        "WHERE source = '{s}' ORDER BY message"
    )
    assert [letter[:3] for letter in letters] == [
        ["unreadable: id is null", "initial load", 2_000],
        ["unreadable: price=NaN", "initial load", 2_000],
    ]
    assert '"row":{"id":"2","quantity":"3","price":"NaN","note":"why?"}' in letters[1][3]
    orders.replay()
    assert len(orders.reasons()) == 2, "no message that could be replayed"
    _finish(orders, 2_000)
    assert len(orders.reasons()) == 2
    _load(orders, 3_000, "1|3|10.50|n", "2|3|1.00|well")
    _finish(orders, 3_000)
    assert orders.reasons() == []
    assert [row[0] for row in orders.current()] == [1, 2]


def test_columns_named_like_ours_are_copied_under_their_own_names(shared: Daemon) -> None:
    captured = Captured(shared, RESERVED)
    _load(captured, 2_000, r"1|mine|\N", "2|r|0/16")
    assert captured.current(["id", "operation", "_lsn"]) == [[1, "mine", None], [2, "r", "0/16"]]


@pytest.mark.parametrize("words", [("_in1",), ("_in1", "_in1", "z"), ("_in1", "Nullable(String)")])
def test_a_first_row_that_reads_like_the_header_is_a_row(
    shared: Daemon, words: tuple[str, ...]
) -> None:
    """`_in1` is what the only column of a copy is called on its way."""
    captured = Captured(shared, [Column(name="word", pg_type="text", nullable=False)], key=())
    _load(captured, 2_000, *words)
    _finish(captured, 2_000)
    shown = captured.rows("SELECT word FROM {t} ORDER BY word")
    assert [word for (word,) in shown] == sorted(words)
    assert captured.reasons() == []


def test_equal_rows_without_a_key_count_once_each_when_the_load_is_finished(
    shared: Daemon,
) -> None:
    captured = Captured(shared, RESERVED[:1], key=())
    captured.arrive(event("c", {"id": 7}, 1_500), event("c", {"id": 1}, 2_500))
    _load(captured, 2_000, "1", "1", "2", place=0)
    _load(captured, 2_000, "1", "1", place=1)
    assert captured.current(["id"]) == [[1], [7]], "what is copied is not shown twice"
    _finish(captured, 2_000)
    assert captured.current(["id"]) == [[1], [1], [1], [1], [1], [2]]
    captured.arrive(event("d", {"id": 1}, 2_600), event("d", {"id": 2}, 2_600))
    assert captured.current(["id"]) == [[1]] * 4


def test_a_load_goes_on_with_the_ranges_that_are_left(orders: Captured) -> None:
    target = _target(orders)
    assert target.unfinished() is None
    ranges = tuple(Range(Pages('"s"."t"', at, at + 10)) for at in (0, 10, 20))
    target.begin(Load(2_000, AT_MS, "here", ranges))
    target.done(Load(2_000, AT_MS, "here", ranges), ranges[1].pages, 7)
    found = target.unfinished()
    assert found is not None
    assert (found.lsn, found.at_ms, found.incarnation, found.rows) == (2_000, AT_MS, "here", 7)
    assert [each.pages.first for each in found.ranges if not each.done] == [0, 20]
    assert _target(orders, stream="2").unfinished() is None, "another slot: nothing of it counts"
    with closing(orders.daemon.client()) as client:
        seen = under_way(client)[f"{orders.schema}.orders"]
    assert (seen.rows, round(seen.share, 2)) == (7, 0.33)
    assert str(seen).startswith("loading 33%")
    target.finish(found, 9)
    assert target.unfinished() is None


def test_a_table_that_was_left_out_and_comes_back_is_loaded_again(orders: Captured) -> None:
    target = _target(orders)
    assert not target.loaded()
    _load(orders, 2_000, "1|3|10.50|n")
    _finish(orders, 2_000)
    assert target.loaded()
    assert not _target(orders, stream="2").loaded()
    target.forget()
    assert not target.loaded()
    assert len(orders.current()) == 1, "its rows stay as they were"


def test_what_clickhouse_says_is_what_the_user_reads(orders: Captured) -> None:
    orders.daemon.ask(f"DROP TABLE {orders.schema}.orders_parsed SYNC")
    with pytest.raises(BackfillError, match=rf"{orders.schema}\.orders: ClickHouse said: .*parsed"):
        _load(orders, 2_000, "1|3|10.50|n")


def test_data_that_breaks_off_is_an_error(orders: Captured) -> None:
    def broken() -> Iterator[Any]:
        yield b"1\t3\t10.50\tn\n"
        raise BackfillError("the source went away")

    statement = Loading(orders.table, orders.options).insert(2_000, AT_MS, 0)
    with pytest.raises((BackfillError, requests.RequestException)):
        _target(orders).insert(statement, broken(), SETTINGS)
    assert orders.current() == []
