"""The first load of a table's existing rows: copied beside the stream, and by Debezium."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from catalog.model import CaptureOptions, capture
from catalog.names import ch_qualified
from catalog.objects import table_objects
from ops.backfill.run import Backfill
from ops.backfill.target import Target
from ops.bench import source
from ops.bench.figures import Commit, arrival, used
from ops.bench.lane import Lane, Style, lane
from ops.bench.latency import PATIENCE
from ops.bench.model import BenchError, Cell, Section, columns
from ops.bench.names import PREFIX
from ops.bench.rig import SERVICES, Rig
from ops.bench.throughput import POLL_SECONDS
from ops.bench.watch import Watch

TABLE = "load"
DEBEZIUM = "Debezium's snapshot"
SNAPSHOT = Style({"snapshot.mode": "initial_only"})


@dataclass(frozen=True)
class Figures:
    """One way of loading. steady: rows a second once they came, where that differs.

    cpu: seconds, of the services and, for a copy, of the process that copies.
    """

    seconds: float
    steady: float | None
    cpu: float


def measure(rig: Rig) -> list[Section]:
    """The same rows, loaded each way, into tables of their own."""
    rows = rig.sizes.load_rows
    with lane(rig, TABLE, [TABLE], SNAPSHOT) as made:
        rig.progress("filling, rows", 0, rows)
        source.fill(rig.source, made.tables[0].source.qualified, rows)
        found = {DEBEZIUM: _snapshot(rig, made, rows)}
        made.check()
        for workers in sorted({1, rig.deployed.load_workers}):
            found[f"copy, {workers} worker(s)"] = _copy(rig, made, workers)
    return [_section(rows, found)]


def _snapshot(rig: Rig, made: Lane, rows: int) -> Figures:
    target = f"{made.tables[0].target}_final"
    with Watch(rig.deployed.clickhouse, target, POLL_SECONDS) as watch:
        rig.progress("Debezium's snapshot", 0, None)
        before, began = rig.cpu(), time.perf_counter()
        made.start()
        watch.wait(rows, PATIENCE)
        came = arrival([Commit(began, rows, 1, rows)], watch.seen, began)
        cpu = used(before, rig.cpu())
    return Figures(came.last, came.steady, sum(cpu[name] for name in SERVICES if name in cpu))


def _copy(rig: Rig, made: Lane, workers: int) -> Figures:
    """By what `up` and `resync` do, into objects of the same kind that no queue feeds."""
    table = made.tables[0].source
    options = CaptureOptions(table=table.qualified, target=f"{table.qualified}_copied_{workers}")
    captured = capture(table, options, PREFIX + TABLE)
    for each in table_objects(captured, options, rig.queue, 0):
        if each.kind != "queue" and each.name != f"{captured.target}_mv":
            rig.clickhouse.command(each.create)
    backfill = Backfill(
        captured,
        options,
        rig.deployed.postgres.connect,
        Target(rig.deployed.clickhouse.model_dump(), captured, f"{PREFIX}{workers}"),
        # Nothing is written to the table: there is no stream to wait for.
        caught_up=lambda _lsn, _deadline: {},
        standstill=str,
        workers=workers,
        progress=rig.progress,
    )
    before = rig.cpu()
    done = backfill.run()
    cpu = used(before, rig.cpu())
    there = source.sums(rig.source, table.qualified)
    here = rig.clickhouse.query(source.sums_query(ch_qualified(captured.target))).result_rows[0]
    if there != tuple(here):
        raise BenchError(f"{table.qualified} was copied wrong: {there} in the source, {here} here")
    return Figures(done.seconds, None, sum(cpu.values()))


def _section(rows: int, found: Mapping[str, Figures]) -> Section:
    # The best that can be said of it: without its start.
    debezium = found[DEBEZIUM].steady
    lines: list[list[Cell]] = [
        [
            name,
            each.seconds,
            rows / each.seconds,
            each.steady,
            None if name == DEBEZIUM or not debezium else rows / each.seconds / debezium,
            each.cpu * 1e6 / rows,
        ]
        for name, each in found.items()
    ]
    return Section(
        name="load",
        title=f"First load of {rows:,} rows",
        method=(
            "A table of 11 columns, filled and vacuumed before; history and current state are "
            "written in both ways. Debezium's snapshot: a connector with this stack's settings and "
            "snapshot.mode=initial_only, through a topic and a queue of its own, from its "
            "registration until all rows are visible; “steady” leaves out all until the first rows "
            "are. Copy: what `up` and `resync` do, from its beginning to the swap, without the "
            "wait for the stream, for nothing is written meanwhile. Processor time of all four "
            "services and, for the copy, of the process that copies. Counts and sums of both sides "
            "are compared each time."
        ),
        columns=columns(
            "way",
            "until all, s",
            "rows/s",
            "steady, rows/s",
            "times Debezium's steady",
            "processor time, µs a row",
        ),
        rows=lines,
    )
