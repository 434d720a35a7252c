"""The workload's pure parts; against a real database it is proven in tests/local."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.workload import LARGEST_TRANSACTION, LONGEST_BURST_SECONDS, Pacer, run, transaction_size


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 50_000), st.lists(st.integers(1, 500), min_size=1, max_size=200))
def test_the_rate_is_held_over_any_sequence_of_transactions(rate: int, sizes: list[int]) -> None:
    clock = _Clock()
    pacer = Pacer(rate, clock)
    for size in sizes:
        clock.now += pacer.delay(size)
    assert clock.now - 100.0 == pytest.approx(sum(sizes) / rate)


def test_a_stall_is_made_up_for_by_one_burst_only() -> None:
    clock = _Clock()
    pacer = Pacer(1_000, clock)
    clock.now += 60.0
    sent = 0
    while pacer.delay(10) == 0.0:
        sent += 10
    assert sent == pytest.approx(LONGEST_BURST_SECONDS * 1_000, abs=10)


def test_without_a_rate_nothing_waits() -> None:
    assert Pacer(None).delay(1_000_000) == 0.0


@given(st.integers(), st.one_of(st.none(), st.integers(1, 10**6)), st.integers(1, 10**6))
def test_a_transaction_never_exceeds_what_is_left(seed: int, rate: int | None, left: int) -> None:
    assert 1 <= transaction_size(random.Random(seed), rate, left) <= min(left, LARGEST_TRANSACTION)


def test_a_low_rate_makes_single_row_transactions() -> None:
    rng = random.Random(1)
    assert {transaction_size(rng, 20, None) for _ in range(100)} == {1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 1, "mix": {"truncate"}}, "mix takes insert, update, delete"),
        ({"rows": 1, "mix": set()}, "at least one"),
        ({}, "say when the workload ends"),
        ({"rows": 1, "rate": 0}, "at least 1 row per second"),
    ],
)
def test_wrong_use_is_told_before_anything_is_connected(
    arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run("host=nowhere.invalid", **arguments)  # type: ignore[arg-type]
