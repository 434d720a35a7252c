"""Tables of unusual shapes: column names of all kinds, keys of all types, no key at all."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any

import pytest

from catalog.model import Column
from tests.embedded.captured import Captured, Row, event
from tests.embedded.daemon import Daemon

ODD = (
    "operation",
    "operation_",
    "operation_name",
    "_lsn",
    "_version",
    "_deleted",
    "_values",
    "_values_0",
    "_message",
    "_sign",
    "_count",
    "_row_exists",
    "_part",
    "message",
    "name",
    "text",
    "a.b",
    "a.c",
    "a_b",
    "Select",
    "from",
    "order",
    "with space",
    'quo"te',
    "back`tick",
    "back\\slash",
    "single'quote",
    "new\nline",
    "$dollar ${brace} {x:String} %s",
    "Größe 😀",
    "x" * 63,
    "ü" * 31,
)


def _odd(key: int, text: str) -> Row:
    return {"id": key} | {name: f"{text} {place}" for place, name in enumerate(ODD)}


@pytest.mark.parametrize("key", [("id",), ()])
def test_every_column_is_shown_under_its_own_name(shared: Daemon, key: tuple[str, ...]) -> None:
    columns = [
        Column(name="id", pg_type="integer", nullable=False),
        *(
            Column(name=name, pg_type="text", nullable=place % 2 == 0)
            for place, name in enumerate(ODD)
        ),
    ]
    table = Captured(shared, columns, key)
    table.arrive(
        event("c", _odd(1, "first"), 2_000),
        event("c", _odd(2, "second"), 2_100),
        event("u", _odd(2, "changed"), 2_200, before=_odd(2, "second")),
        event("c", _odd(3, "third"), 2_300),
        event("d", _odd(3, "third"), 2_400),
    )
    shown = table.rows("SELECT * FROM {t} ORDER BY id")
    assert shown == [list(_odd(1, "first").values()), list(_odd(2, "changed").values())]
    names = table.rows(
        f"SELECT name FROM system.columns WHERE database = '{table.schema}' "
        "AND table = 'orders' ORDER BY position"
    )
    assert [name for (name,) in names] == ["id", *ODD]
    assert table.rows("SELECT `_deleted`, operation, `a.b` FROM {t} WHERE id = 1") == [
        [f"first {ODD.index(name)}" for name in ("_deleted", "operation", "a.b")]
    ]
    assert table.rows(
        "SELECT operation_, operation, `_lsn` FROM {t}_history FINAL WHERE id = 1"
    ) == [["first 0", "c", 2_000]]
    # What is refused is named by the source's own name.
    table.arrive(event("c", _odd(4, "fourth") | {"operation_": None, "a.c": None}, 2_500))
    assert table.reasons() == ["unreadable: operation_ is null, a.c is null"]


def test_columns_with_a_dot_may_be_the_key(shared: Daemon) -> None:
    columns = [
        Column(name="id", pg_type="integer", nullable=False),
        Column(name="a.b", pg_type="text", nullable=False),
        Column(name="a.c", pg_type="text", nullable=False),
    ]
    table = Captured(shared, columns, ("a.b", "a.c"), partition_by="cityHash64(`a.b`) % 4")
    table.arrive(event("c", {"id": 1, "a.b": "x", "a.c": "y"}, 2_000))
    table.arrive(event("u", {"id": 2, "a.b": "x", "a.c": "y"}, 2_100))
    assert table.rows("SELECT id, `a.b` FROM {t}") == [[2, "x"]]


def test_a_generated_column_is_computed_of_columns_named_like_ours(shared: Daemon) -> None:
    columns = [
        Column(name="id", pg_type="integer", nullable=False),
        Column(name="operation", pg_type="integer", nullable=False),
        Column(name="_lsn", pg_type="numeric(10,2)", nullable=False),
        Column(name="total", pg_type="numeric(12,2)", nullable=True, generated="x"),
    ]
    table = Captured(shared, columns, generated={"total": "operation * `_lsn`"})
    table.arrive(event("c", {"id": 1, "operation": 3, "_lsn": "2.50"}, 2_000))
    assert table.rows("SELECT * FROM {t}") == [[1, 3, "2.50", "7.50"]]


_KEYS: list[tuple[str, Any, Any]] = [
    ("text", "it's", ""),
    ("character varying(5)", "ä", "a"),
    ("uuid", "00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    ("numeric(20,3)", "-1.500", "12345678901234567.891"),
    ("timestamp with time zone", "1900-01-01T00:00:00.000000Z", "2299-12-31T23:59:59.999999Z"),
    ("timestamp without time zone", -1, 1_700_000_000_000_001),
    ("bytea", "AAE=", ""),
    ("boolean", True, False),
    ("date", -25_567, 20_000),
    ("time without time zone", 0, 86_400_000_000),
    ("smallint", -(2**15), 2**15 - 1),
    ("bigint", -(2**63), 2**63 - 1),
    ("double precision", -0.5, 1e300),
]


@pytest.mark.parametrize(("pg_type", "one", "other"), _KEYS)
def test_a_key_may_be_of_any_type(shared: Daemon, pg_type: str, one: Any, other: Any) -> None:
    columns = [
        Column(name="k", pg_type=pg_type, nullable=False),
        Column(name="id", pg_type="integer", nullable=False),
        Column(name="n", pg_type="integer", nullable=False),
    ]
    table = Captured(
        shared, columns, ("id", "k"), order_by=["k", "id"], partition_by="cityHash64(k) % 8"
    )

    def row(key: Any, number: int) -> Row:
        return {"k": key, "id": 1, "n": number}

    table.arrive(event("c", row(one, 1), 2_000), event("c", row(other, 2), 2_100))
    table.arrive(event("u", row(one, 3), 2_200), event("d", row(other, 2), 2_300))
    assert table.rows("SELECT n FROM {t}") == [[3]]
    assert table.reasons() == []


KEYLESS = (
    Column(name="a", pg_type="integer", nullable=True),
    Column(name="b", pg_type="text", nullable=True),
    Column(name="f", pg_type="double precision", nullable=True),
)


@pytest.fixture
def bag(shared: Daemon) -> Captured:
    return Captured(shared, KEYLESS, key=())


def _row(a: int | None = 1, b: str | None = "x", f: Any = 0.5) -> Row:
    return {"a": a, "b": b, "f": f}


def _bag(table: Captured) -> list[Any]:
    return sorted(table.rows("SELECT a, b, f FROM {t}"), key=repr)


def test_a_row_without_a_key_is_shown_as_often_as_it_is_there(bag: Captured) -> None:
    twin = _row()
    bag.arrive(event("c", twin, 2_000), event("c", twin, 2_100), event("c", twin, 2_200))
    assert _bag(bag) == [[1, "x", 0.5]] * 3
    bag.arrive(event("d", twin, 2_300))
    assert _bag(bag) == [[1, "x", 0.5]] * 2
    bag.arrive(event("u", _row(2), 2_400, before=twin))
    assert _bag(bag) == [[1, "x", 0.5], [2, "x", 0.5]]
    assert bag.rows(
        "SELECT a, _sign, operation FROM {t}_history FINAL WHERE _lsn >= 2300 "
        "ORDER BY _version, _sign"
    ) == [[1, -1, "d"], [1, -1, "u"], [2, 1, "u"]]
    bag.arrive(event("t", None, 2_500), event("c", _row(3), 2_600))
    assert _bag(bag) == [[3, "x", 0.5]]


def test_rows_of_one_copy_share_a_position_and_are_all_there(bag: Captured) -> None:
    bag.arrive(*[event("c", _row(), 2_000)] * 5, *[event("c", _row(2), 2_000)] * 3)
    assert _bag(bag) == [[1, "x", 0.5]] * 5 + [[2, "x", 0.5]] * 3


def test_nulls_and_special_values_find_their_equals(bag: Captured) -> None:
    special = [_row(None, None, None), _row(None, "", "NaN"), _row(0, None, -0.0), _row(0, "", 0.0)]
    bag.arrive(*(event("c", each, 2_000 + place) for place, each in enumerate(special)))
    assert len(_bag(bag)) == 4
    bag.arrive(*(event("d", each, 3_000 + place) for place, each in enumerate(special)))
    assert _bag(bag) == []
    assert bag.reasons() == []


def test_a_random_workload_in_any_order_and_repeated_is_the_same_multiset(bag: Captured) -> None:
    chance = random.Random(11)
    there: list[Row] = []
    events = []
    for lsn in range(2_000, 2_100):
        kind = chance.choice("ccud" if there else "c")
        row = _row(
            chance.choice([None, 1, 2]), chance.choice([None, "", "x"]), chance.choice([0.5, None])
        )
        if kind == "c":
            there.append(row)
            events.append(event("c", row, lsn))
        else:
            old = there.pop(chance.randrange(len(there)))
            if kind == "u":
                there.append(row)
                events.append(event("u", row, lsn, before=old))
            else:
                events.append(event("d", old, lsn))
    placed = list(enumerate(events))
    chance.shuffle(placed)
    for offset, each in placed:
        bag.offset = itertools.count(offset)
        bag.arrive(each)
    expected = sorted(([row["a"], row["b"], row["f"]] for row in there), key=repr)
    assert _bag(bag) == expected
    # Everything once more, as after a killed consumer.
    bag.offset = itertools.count()
    bag.arrive(*events)
    assert _bag(bag) == expected
    bag.daemon.ask(f"OPTIMIZE TABLE {bag.schema}.orders_final FINAL")
    assert _bag(bag) == expected
    assert Counter(map(repr, expected)).most_common(1)[0][1] > 1, "no row was there twice"


def test_a_change_without_the_old_row_is_a_letter(bag: Captured) -> None:
    bag.arrive(event("c", _row(1), 2_000))
    # The identity was not FULL: nothing tells which row was changed.
    bag.arrive(event("u", _row(2), 2_100, before=None))
    for _ in range(2):
        assert bag.reasons() == ["no before"]
        bag.replay()


def test_a_column_added_to_a_table_without_a_key_loses_nothing(bag: Captured) -> None:
    bag.arrive(event("c", _row(1), 2_000), event("c", _row(2), 2_100))
    old, new = _row(1) | {"new": None}, _row(3) | {"new": 1}
    bag.arrive(event("u", new, 2_200, before=old))
    assert bag.reasons() == ["unknown field: new"]
    assert [row[0] for row in _bag(bag)] == [2, 3]
    bag.describe([*KEYLESS, Column(name="new", pg_type="integer", nullable=True)], ())
    bag.apply()
    for _ in range(2):
        bag.replay()
        assert bag.reasons() == []
        assert bag.rows("SELECT a, new FROM {t} ORDER BY a") == [[2, None], [3, 1]]
    bag.arrive(event("d", new, 2_300), event("d", _row(2) | {"new": None}, 2_400))
    assert bag.rows("SELECT count() FROM {t}") == [[0]]


def test_a_row_changed_to_what_cannot_be_held_stays_a_letter(bag: Captured) -> None:
    bag.arrive(event("c", _row(1), 2_000))
    bag.arrive(event("u", _row(2**31), 2_100, before=_row(1)))
    for _ in range(2):
        assert bag.reasons() == ["unreadable: a=2147483648"]
        bag.replay()
