"""The first load of a table's existing rows: how fast Debezium's own snapshot brings them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ops.bench import source
from ops.bench.figures import Arrival, Commit, arrival, used
from ops.bench.lane import Lane, Style, lane
from ops.bench.latency import PATIENCE
from ops.bench.model import Cell, Section, columns
from ops.bench.rig import BENCH, Rig
from ops.bench.throughput import POLL_SECONDS
from ops.bench.watch import Watch

TABLE = "load"
SNAPSHOT = Style({"snapshot.mode": "initial_only"})


@dataclass(frozen=True)
class Figures:
    """One way of loading. micros: processor time of the services for a row, in microseconds."""

    arrival: Arrival
    micros: float


def measure(rig: Rig) -> list[Section]:
    """The same rows, loaded each way."""
    rows = rig.sizes.load_rows
    with lane(rig, TABLE, [TABLE], SNAPSHOT) as made:
        rig.progress("filling, rows", 0, rows)
        source.fill(rig.source, made.tables[0].source.qualified, rows)
        found = {"Debezium's snapshot": _snapshot(rig, made, rows)}
        made.check()
    return [_section(rows, found)]


def _snapshot(rig: Rig, made: Lane, rows: int) -> Figures:
    target = f"{made.tables[0].target}_final"
    with Watch(rig.deployed.clickhouse, target, POLL_SECONDS) as watch:
        rig.progress("Debezium's snapshot", 0, None)
        before, began = rig.cpu(), time.perf_counter()
        made.start()
        watch.wait(rows, PATIENCE)
        return Figures(
            arrival([Commit(began, rows, 1, rows)], watch.seen, began), _micros(rig, before, rows)
        )


def _micros(rig: Rig, before: dict[str, float], rows: int) -> float:
    spent = used(before, rig.cpu())
    return sum(seconds for name, seconds in spent.items() if name != BENCH) * 1e6 / rows


def _section(rows: int, found: dict[str, Figures]) -> Section:
    lines: list[list[Cell]] = [
        [name, each.arrival.last, rows / each.arrival.last, each.arrival.steady, each.micros]
        for name, each in found.items()
    ]
    return Section(
        name="load",
        title=f"First load of {rows:,} rows",
        method=(
            "A table of 11 columns, filled and vacuumed before. Debezium's snapshot: a connector "
            "with this stack's settings and snapshot.mode=initial_only, through a topic and a "
            "queue of its own, from its registration until all rows are visible; “steady” leaves "
            "out all until the first rows are. Counts and sums of both sides are compared."
        ),
        columns=columns(
            "way", "until all, s", "rows/s", "steady, rows/s", "all four, CPU µs a row"
        ),
        rows=lines,
    )
