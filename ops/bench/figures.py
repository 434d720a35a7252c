"""The arithmetic: from what was written and what was seen to latencies and rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Commit:
    """A transaction. at: when its COMMIT was sent. rows: changed. first, last: ids it inserted.

    Times are seconds of one clock, whose zero means nothing.
    """

    at: float
    rows: int
    first: int
    last: int


@dataclass(frozen=True)
class Seen:
    """An answer of ClickHouse that showed more than the one before.

    after: when the question before it was asked, which did not show it yet. at: when the answer was
    there. high: the highest id in it.
    """

    after: float
    at: float
    high: int


@dataclass(frozen=True)
class Latency:
    """Seconds from a commit to its being visible: no more than `most`, no less than `least`."""

    most: float
    least: float
    rows: int


def latencies(commits: Sequence[Commit], seen: Sequence[Seen]) -> list[Latency]:
    """One for each commit, by the answer that first showed all of it.

    Both in the order of time. Raises ValueError where a commit was never seen: leaving it out
    would make the figures better than they are.
    """
    found = []
    answers = iter(seen)
    answer = next(answers, None)
    for commit in commits:
        while answer is not None and answer.high < commit.last:
            answer = next(answers, None)
        if answer is None:
            raise ValueError(f"id {commit.last} was committed and never seen")
        least = max(0.0, answer.after - commit.at)
        found.append(Latency(answer.at - commit.at, least, commit.rows))
    return found


def quantile(weighted: Sequence[tuple[float, int]], share: float) -> float:
    """The smallest value that at least `share` of the weight does not exceed (nearest rank).

    Raises ValueError without any weight.
    """
    total = sum(weight for _, weight in weighted)
    if total <= 0:
        raise ValueError("no values to take a quantile of")
    passed = 0
    for value, weight in sorted(weighted):
        passed += weight
        if passed >= share * total:
            return value
    return max(value for value, _ in weighted)


@dataclass(frozen=True)
class Arrival:
    """When the rows of some commits became visible, in seconds from a given moment.

    steady: rows a second between the first and the last answer that showed some of them, None
    where one answer showed all.
    """

    first: float
    last: float
    steady: float | None


def arrival(commits: Sequence[Commit], seen: Sequence[Seen], began: float) -> Arrival:
    """Raises ValueError where nothing of it was seen.

    What the first answer showed is left out of `steady`: when it began to arrive is not known.
    """
    ours = [each for each in seen if commits[0].first <= each.high <= commits[-1].last]
    if not ours:
        raise ValueError("nothing of it was seen")
    rows = sum(commit.rows for commit in commits)
    # Ids are those of inserts alone: each stands for its share of the updates.
    each_id = rows / (commits[-1].last - commits[0].first + 1)
    first, last = ours[0], ours[-1]
    took = last.at - first.at
    steady = (last.high - first.high) * each_id / took if took > 0 else None
    return Arrival(first.at - began, last.at - began, steady)


def used(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was used between two samples; a process that came between is counted from its start."""
    return {name: max(0.0, value - before.get(name, 0.0)) for name, value in after.items()}


def shown(value: str | int | float | None) -> str:
    """A cell for people: thousands apart, three digits that mean something, – for none."""
    if value is None:
        return "–"
    if isinstance(value, float):
        if value == 0 or abs(value) >= 100:
            return f"{value:,.0f}"
        return f"{value:.2f}" if abs(value) < 1 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value
