"""What a captured table's SQL makes of Debezium's messages, in the real daemon.

Most tests put a stand-in for the queue (see `Captured`); the last ones feed the real Kafka engine
from librdkafka's mock cluster. Connector and broker are real in the tests of the whole chain.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from typing import Any

import pytest
from confluent_kafka import Producer
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from catalog.model import Column
from catalog.types import mapping
from tests.embedded.captured import ORDERS, SLOT, Captured, event, every_operation, order, raw
from tests.embedded.daemon import Daemon, until


@pytest.fixture
def orders(shared: Daemon) -> Captured:
    return Captured(shared)


def test_every_operation_is_in_the_view_and_in_the_history(orders: Captured) -> None:
    orders.arrive(*every_operation())
    assert orders.current() == [[1, 3, "31.50", "n"], [2, 4, "42.00", "n"]]
    assert orders.rows(
        "SELECT id, operation_name, _deleted, _txid FROM {t}_history ORDER BY _lsn"
    ) == [
        [1, "READ", 0, 2_200],
        [2, "CREATE", 0, 2_700],
        [2, "UPDATE", 0, 2_800],
        [3, "CREATE", 0, 2_900],
        [3, "DELETE", 1, 3_000],
    ]
    assert orders.reasons() == []


def test_redelivery_in_any_order_changes_nothing(orders: Captured) -> None:
    events = [
        event("r", order(1), 1_500),
        event("u", order(1, quantity=4), 2_000),
        event("c", order(2), 2_100),
        event("t", None, 2_200),
        event("c", order(2, quantity=5), 2_300),
        event("c", order(3), 2_400),
        event("d", order(3), 2_500),
    ]
    orders.arrive(*events)
    shown, changes = orders.current(), orders.history()
    assert [row[:2] for row in shown] == [[2, 5]]
    shuffled = random.Random(7)
    for _ in range(3):
        shuffled.shuffle(events)
        orders.arrive(*events)
        for each in events:
            orders.arrive(each)
        assert orders.current() == shown
        assert orders.history() == changes
    orders.daemon.ask(f"OPTIMIZE TABLE {orders.schema}.orders_final FINAL")
    assert orders.current() == shown
    assert orders.reasons() == []


def test_a_snapshot_row_never_beats_a_streamed_one(orders: Captured) -> None:
    orders.arrive(event("u", order(1, quantity=4), SLOT + 1), event("d", order(2), SLOT + 2))
    orders.arrive(event("r", order(1), 9_000), event("r", order(2), 9_000))
    assert [row[:2] for row in orders.current()] == [[1, 4]]


def test_a_key_change_moves_the_row(orders: Captured) -> None:
    orders.arrive(event("c", order(1), 2_000))
    orders.arrive(event("d", order(1), 2_100), event("c", order(8), 2_100))
    assert [row[0] for row in orders.current()] == [8]
    assert orders.history() == [[1, 2_000, "c"], [1, 2_100, "d"], [8, 2_100, "c"]]


def test_a_truncate_empties_the_view_and_keeps_the_history(orders: Captured) -> None:
    orders.arrive(event("r", order(1), 1_500), event("c", order(2), 2_000), event("t", None, 2_500))
    assert orders.current() == []
    orders.arrive(event("c", order(2), 3_000), event("c", order(1), 2_400))
    assert [row[0] for row in orders.current()] == [2]
    assert len(orders.history()) == 4


def test_rows_of_an_older_slot_are_gone_once_the_new_ones_snapshot_is_there(
    orders: Captured,
) -> None:
    orders.arrive(event("r", order(1), 1_500), event("c", order(2), 2_000))
    orders.slot = 5_000
    orders.apply()
    # A snapshot row that the old slot left in the topic must not pass for one of the new.
    orders.arrive(event("r", order(1), 1_500), event("r", order(2), 5_500))
    assert [row[0] for row in orders.current()] == [1, 2]
    orders.daemon.ask(
        f"INSERT INTO cdc.loads (source, lsn) VALUES ('{orders.schema}.orders', {orders.slot})"
    )
    assert [row[0] for row in orders.current()] == [2]


def test_a_logical_message_is_no_change(orders: Captured) -> None:
    orders.arrive(event("m", None, 2_000, message={"prefix": "x", "content": "aGk="}))
    assert (orders.history(), orders.reasons()) == ([], [])


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


_EVENT = event("c", order(), 2_000)
_REFUSED: list[tuple[Any, str]] = [
    ("{not json", "not valid JSON"),
    ("", "not valid JSON"),
    (b"\xff\xfe\x00", "not valid JSON"),
    ('{"op":"c"} {"op":"c"}', "not valid JSON"),
    ('["c", 1]', "not a JSON object"),
    ('["m"]', "not a JSON object"),
    ("{}", "no op"),
    (event("x", order(), 2_000), "unknown op: x"),
    (event("c", None, 2_000), "no after"),
    (_EVENT | {"op": "d"}, "no before"),
    (_EVENT | {"source": {"ts_ms": 1}}, "no source.lsn"),
    (_EVENT | {"source": None}, "no source.lsn"),
    (_EVENT | {"source": {"lsn": 1, "ts_ms": 1}}, "no source.sequence"),
    (
        _EVENT | {"source": {"lsn": 1, "sequence": '[null,"1"]', "ts_ms": 1}},
        "no source.ts_ms or ts_ms, or not of the last eight years",
    ),
    (_EVENT | {"ts_ms": None}, "no source.ts_ms or ts_ms, or not of the last eight years"),
    (event("t", None, 2_000, source=None), "no source.lsn"),
    (event("c", _without(order(), "note"), 2_000), "missing field: note"),
    (event("c", {"total": "1"}, 2_000), "missing field: id, quantity, price, note"),
    (event("c", order(quantity=None), 2_000), "unreadable: quantity is null"),
    (event("c", order(id="x", price="1.555"), 2_000), "unreadable: id=x, price=1.555"),
    (event("c", order(quantity=1.5), 2_000), "unreadable: quantity=1.5"),
    (event("c", order(quantity=2**31), 2_000), "unreadable: quantity=2147483648"),
    (
        event("c", order(note="__debezium_unavailable_value"), 2_000),
        "unreadable: note=__debezium_unavailable_value",
    ),
    (
        event("c", order(quantity=2**31 - 1, price="99999999.99"), 2_000),
        "unreadable: total can't be computed",
    ),
]


def test_a_refused_message_is_kept_raw_with_its_reason(orders: Captured) -> None:
    messages = [message for message, _ in _REFUSED]
    orders.arrive(event("c", order(5), 1_900), *messages, event("c", order(6), 2_100))
    found = orders.rows(
        "SELECT offset, topic, reason, hex(message), applied FROM cdc.dead_letters FINAL "
        "WHERE source = '{s}' ORDER BY offset"
    )
    assert found == [
        [offset, orders.table.topic, reason, raw(message).hex().upper(), 0]
        for offset, (message, reason) in enumerate(_REFUSED, start=1)
    ]
    assert [row[0] for row in orders.current()] == [5, 6]
    assert len(orders.history()) == 2


def test_fields_in_another_order_are_read_by_name(orders: Captured) -> None:
    row = dict(reversed(order(1, total="31.50").items()))
    orders.arrive(event("c", row, 2_000))
    assert orders.current() == [[1, 3, "31.50", "n"]]


def test_a_column_added_in_postgres_loses_nothing(orders: Captured) -> None:
    orders.arrive(event("c", order(1, gift="yes"), 2_000), event("c", order(2), 1_900))
    assert [row[0] for row in orders.current()] == [1, 2]
    assert orders.reasons() == ["unknown field: gift"]
    orders.arrive(event("c", order(3, gift="old"), 2_100), event("u", order(3, gift="new"), 2_200))
    orders.describe([*ORDERS, Column(name="gift", pg_type="text", nullable=True)])
    orders.apply()
    orders.arrive(event("u", order(3, gift="newest"), 2_300))
    orders.replay()
    assert orders.current(["id", "gift"]) == [[1, "yes"], [2, None], [3, "newest"]]
    assert orders.reasons() == []
    assert orders.rows(
        "SELECT id, gift FROM {t}_history FINAL WHERE gift IS NOT NULL ORDER BY _version"
    ) == [[1, "yes"], [3, "old"], [3, "new"], [3, "newest"]]


def test_a_replay_keeps_what_is_still_refused(orders: Captured) -> None:
    orders.arrive("{broken", event("c", order(price=None), 2_000))
    before = orders.reasons()
    orders.replay()
    orders.replay()
    assert orders.reasons() == before == ["not valid JSON", "unreadable: price is null"]


def test_a_redelivered_dead_letter_is_counted_once(orders: Captured) -> None:
    orders.arrive("{broken")
    orders.offset = itertools.count()
    orders.arrive("{broken")
    assert orders.reasons() == ["not valid JSON"]


def test_the_current_state_is_exact_across_partitions(shared: Daemon) -> None:
    orders = Captured(shared, partition_by="id % 4")
    orders.arrive(*[event("c", order(key), 2_000 + key) for key in range(20)])
    orders.arrive(*[event("d", order(key), 3_000 + key) for key in range(0, 20, 2)])
    assert [row[0] for row in orders.current()] == list(range(1, 20, 2))


# Postgres type, Debezium's field, and the canonical text that both sides are compared by; None
# where ClickHouse can't hold the value and the message must become a dead letter.
_DAY = 86_400_000_000
_VALUES: list[tuple[str, Any, str | None]] = [
    *[("smallint", n, str(n)) for n in (-(2**15), 0, 2**15 - 1)],
    ("smallint", 2**15, None),
    *[("integer", n, str(n)) for n in (-(2**31), 2**31 - 1)],
    ("integer", "1.0", None),
    *[("bigint", n, str(n)) for n in (-(2**63), 2**53 + 1, 2**63 - 1)],
    ("bigint", 2**63, None),
    ("numeric(10,2)", "-99999999.99", "-99999999.99"),
    ("numeric(10,2)", "0.10", "0.10"),
    ("numeric(10,2)", "5", "5.00"),
    *[("numeric(10,2)", text, None) for text in ("100000000.00", "0.001", "1e2", "NaN", "", " 1")],
    ("numeric(9)", "999999999", "999999999"),
    ("numeric(38,0)", "9" * 38, "9" * 38),
    ("numeric(76,10)", "-" + "9" * 66 + "." + "9" * 10, "-" + "9" * 66 + "." + "9" * 10),
    ("numeric(3,5)", "0.00999", "0.00999"),
    ("numeric(3,-2)", "99900", "99900"),
    ("boolean", True, "true"),
    ("boolean", False, "false"),
    ("boolean", "yes", None),
    *[("text", text, text) for text in ("", "ä\n\t'\\\"", "😀", "null", "12345678901234567890.10")],
    ("text", "__debezium_unavailable_value", None),
    ("character varying(5)", "a ", "a "),
    ("character(3)", "a  ", "a"),
    ("json", '{"a": 1.0,  "b":null}', '{"a": 1.0,  "b":null}'),
    ("jsonb", "null", "null"),
    *[("date", n, str(n)) for n in (-25567, -1, 0, 20777, 65536, 120529)],
    *[("date", n, None) for n in (-25568, 120530, 2**31 - 1, -(2**31), "2020-01-01")],
    *[("time without time zone", n, str(n)) for n in (0, 1, _DAY - 1, _DAY)],
    ("time(3) without time zone", 5_000, "5000"),
    *[("time(3) without time zone", n, None) for n in (-1, _DAY + 1)],
    *[
        ("timestamp without time zone", n, str(n))
        for n in (-25567 * _DAY, -1, 1_755_000_000_123_456, 120530 * _DAY - 1)
    ],
    *[
        ("timestamp without time zone", n, None)
        for n in (-25567 * _DAY - 1, 120530 * _DAY, 2**63 - 1, -(2**63))
    ],
    ("timestamp with time zone", "1900-01-01T00:00:00Z", str(-25567 * _DAY)),
    ("timestamp with time zone", "1969-12-31T23:59:59.999999Z", "-1"),
    ("timestamp with time zone", "2299-12-31T23:59:59.999999Z", str(120530 * _DAY - 1)),
    ("timestamp with time zone", "2025-02-28T12:00:00.5Z", "1740744000500000"),
    *[
        ("timestamp with time zone", text, None)
        for text in (
            "1899-12-31T23:59:59.999999Z",
            "2300-01-01T00:00:00Z",
            "+12025-01-01T00:00:00Z",
            "-0044-03-15T00:00:00Z",
            "infinity",
            "2025-02-28",
            "2025-13-45T00:00:00Z",
        )
    ],
    *[
        ("uuid", u, u)
        for u in (
            "61f0c404-5cb3-11e7-907b-a6006ad3dba0",
            f"{0:08x}-0000" + "-0000" * 2 + "-" + "0" * 12,
        )
    ],
    ("uuid", "61f0c404-5cb3-11e7-907b-a6006ad3dbaX", None),
    ("double precision", 0.1, "3fb999999999999a"),
    ("double precision", 5e-324, "0000000000000001"),
    ("double precision", 1.7976931348623157e308, "7fefffffffffffff"),
    ("double precision", 1e20, "4415af1d78b58c40"),
    ("double precision", -0.0, "0000000000000000"),
    ("double precision", "NaN", "NaN"),
    ("double precision", "-Infinity", "fff0000000000000"),
    ("double precision", "1e400", None),
    ("double precision", "x", None),
    ("real", 0.1, "3dcccccd"),
    ("real", 3.4028235e38, "7f7fffff"),
    ("real", 1.4e-45, "00000001"),
    ("real", "Infinity", "7f800000"),
    ("real", 1e300, None),
    ("bytea", "", ""),
    ("bytea", "AP8=", "00ff"),
    ("bytea", "!!", None),
    ("bytea", "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==", None),
]


def test_every_value_is_exact_or_a_dead_letter(shared: Daemon) -> None:
    kinds = {pg_type: f"c{n}" for n, pg_type in enumerate(dict.fromkeys(t for t, _, _ in _VALUES))}
    texts = []
    for pg_type, name in kinds.items():
        made = mapping(pg_type)
        assert made is not None, pg_type
        texts.append(made.ch_text(name))
    table = Captured(
        shared,
        [
            Column(name="id", pg_type="integer", nullable=False),
            *(Column(name=name, pg_type=pg_type, nullable=True) for pg_type, name in kinds.items()),
        ],
    )
    empty = dict.fromkeys(kinds.values())
    table.arrive(
        *[
            event("c", {"id": n} | empty | {kinds[pg_type]: value}, 2_000 + n)
            for n, (pg_type, value, _) in enumerate(_VALUES)
        ]
    )
    found = {row[0]: row[1:] for row in table.rows(f"SELECT id, {', '.join(texts)} FROM {{t}}")}
    expected = {
        n: [text if name == kinds[pg_type] else None for name in kinds.values()]
        for n, (pg_type, _, text) in enumerate(_VALUES)
        if text is not None
    }
    assert found == expected
    letters = table.rows("SELECT offset FROM cdc.dead_letters FINAL WHERE source = '{s}'")
    assert {n for (n,) in letters} == set(range(len(_VALUES))) - expected.keys()


def test_names_that_need_quotes_are_quoted(shared: Daemon) -> None:
    name = 'it\'s `a` \\ "b" $x'
    table = Captured(
        shared,
        [
            Column(name="id", pg_type="integer", nullable=False),
            Column(name=name, pg_type="text", nullable=False),
        ],
        key=("id", name),
    )
    table.arrive(event("c", {"id": 1, name: "x"}, 2_000), event("c", {"id": 2, name: None}, 2_000))
    assert table.rows("SELECT * FROM {t}") == [[1, "x"]]
    assert table.reasons() == [f"unreadable: {name} is null"]


_scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["9" * 80, "1e999", "NaN", "-", "\0", "c", "d", "2020-01-01T00:00:00Z"]),
)
_json = st.recursive(
    _scalar,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
_row = st.fixed_dictionaries(
    {},
    optional={name: st.one_of(_json, _scalar) for name in order()}
    | {"total": _json, "gift": _json},
)
_good_row = st.builds(
    lambda key, changed: order(key) | changed,
    st.integers(-(2**31), 2**31 - 1),
    st.dictionaries(st.sampled_from([*order(), "gift"]), _scalar, max_size=1),
)
_messages = st.one_of(
    st.binary(max_size=40),
    _json,
    st.builds(
        lambda op, row, lsn, changed: event(op, row, lsn) | changed,
        st.sampled_from(["c", "u", "d", "r", "t", "m", "", "q"]),
        st.one_of(_good_row, _good_row, _row, st.none()),
        st.integers(0, 2**64),
        st.dictionaries(
            st.sampled_from(["before", "after", "source", "op", "ts_ms"]), _json, max_size=1
        ),
    ),
)


@pytest.fixture(scope="module")
def fuzzed(shared: Daemon) -> Captured:
    table = Captured(shared)
    # X_parsed keeps nothing: this remembers what came out of it.
    shared.ask(
        f"CREATE MATERIALIZED VIEW {table.schema}.seen ENGINE = MergeTree ORDER BY _offset AS "
        "SELECT _offset, _applied, _suspect, operation, id, _version "
        f"FROM {table.schema}.orders_parsed"
    )
    return table


# Without shrinking: every step of it is a conversation with the daemon.
@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(messages=st.lists(_messages, min_size=20, max_size=60))
def test_whatever_arrives_nothing_throws_and_nothing_is_dropped(
    fuzzed: Captured, messages: list[Any]
) -> None:
    first = next(fuzzed.offset) + 1
    sent = [m if isinstance(m, bytes | dict) else json.dumps(m) for m in messages]
    fuzzed.arrive(*sent)
    seen = fuzzed.rows(
        f"SELECT _offset, _applied, _suspect, operation FROM {fuzzed.schema}.seen "
        f"WHERE _offset >= {first}"
    )
    ignored = sum(isinstance(m, dict) and m.get("op") == "m" for m in messages)
    assert len({row[0] for row in seen}) == len(seen)
    assert len(messages) - ignored <= len(seen) <= len(messages)
    assert all(applied or suspect or operation == "t" for _, applied, suspect, operation in seen)
    letters = fuzzed.rows(
        "SELECT offset, reason FROM cdc.dead_letters FINAL "
        f"WHERE source = '{{s}}' AND offset >= {first}"
    )
    assert sorted(offset for offset, _ in letters) == sorted(row[0] for row in seen if row[2])
    assert all(reason for _, reason in letters)
    twice = {row[0] for row in seen if row[1] and row[2]}
    assert {offset for offset, reason in letters if reason.startswith("unknown field")} == twice
    assert fuzzed.rows(
        f"SELECT count() FROM (SELECT DISTINCT id, _version FROM {fuzzed.schema}.seen "
        "WHERE _applied)"
    ) == fuzzed.rows("SELECT count() FROM {t}_history FINAL")


def test_the_kafka_engine_brings_every_message_and_a_poison_one_stops_nothing(
    shared: Daemon,
) -> None:
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock"})
    [broker] = producer.list_topics(timeout=10).brokers.values()
    table = Captured(shared, bootstrap=f"{broker.host}:{broker.port}")
    values: list[Any] = [json.dumps(event("c", order(n), 2_000 + n)) for n in range(50)]
    values[10:10] = ["garbage", None, "[1]", "{broken", '{"x":1} trailing', b"\xff\xfe", "null"]
    values.append(None)
    for value in values:
        producer.produce(table.table.topic, key=b"k", value=value, partition=0)
    assert producer.flush(10) == 0
    try:
        for _ in until(30):
            if table.rows("SELECT count() FROM {t}") == [[50]]:
                break
        time.sleep(0.5)
        assert [row[0] for row in table.current()] == list(range(50))
        letters = table.rows(
            "SELECT offset, hex(message) FROM cdc.dead_letters FINAL "
            "WHERE source = '{s}' ORDER BY offset"
        )
        poison = {n: v for n, v in enumerate(values) if 10 <= n < 17 and v is not None}
        assert letters == [
            [n, (v if isinstance(v, bytes) else v.encode()).hex().upper()]
            for n, v in poison.items()
        ]
    finally:
        # The mock cluster ends with the producer; a consumer left behind would only fill the log.
        shared.ask(f"DROP TABLE {table.schema}.orders_queue SYNC")
