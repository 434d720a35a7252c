"""Commit to queryable."""

from __future__ import annotations

import time
from dataclasses import dataclass

from catalog.names import ch_qualified
from ops.bench.figures import Commit, Latency, latencies, quantile, used
from ops.bench.lane import Lane, lane
from ops.bench.model import BenchError, Cell, Section, columns
from ops.bench.rig import BENCH, SERVICES, Rig
from ops.bench.source import UPDATED, Writer
from ops.bench.watch import EVERY_SECONDS, Watch

PATIENCE = 120.0  # seconds without anything new
RAMP = 0.2  # share of a measurement that is left out at its beginning
_EVENTS = {
    "parts": "MergeTreeDataWriterBlocks",
    "merges": "Merge",
    "merged rows": "MergedRows",
    "merging": "MergeTotalMilliseconds",
}


@dataclass(frozen=True)
class Figures:
    """What a while of paced writing showed. seconds: of writing. found: without the ramp.

    stamped: p50 and p99 in seconds by ClickHouse's own stamp. cores: by process. events: counted
    by ClickHouse.
    """

    seconds: float
    rows: int
    found: list[Latency]
    stamped: tuple[float, float]
    cores: dict[str, float]
    events: dict[str, int]

    def most(self, share: float) -> float:
        """A quantile in milliseconds, no better than it is."""
        return quantile([(each.most, each.rows) for each in self.found], share) * 1000

    def least(self, share: float) -> float:
        """The same, no worse than it is."""
        return quantile([(each.least, each.rows) for each in self.found], share) * 1000


def measure(rig: Rig) -> list[Section]:
    """Latency and cost at each rate, on one table."""
    with lane(rig, "latency", ["latency"]) as made:
        made.start()
        target = f"{made.tables[0].target}_final"
        with (
            rig.deployed.postgres.connect() as connection,
            Watch(rig.deployed.clickhouse, target) as watch,
        ):
            writer = Writer(connection, [made.tables[0].source.qualified])
            warm(rig, writer, watch)
            taken = {
                rate: take(rig, made, writer, watch, rate, rig.sizes.latency_seconds)
                for rate in rig.sizes.rates
            }
            made.check()
    return [_latency(taken), _cost(taken)]


def warm(rig: Rig, writer: Writer, watch: Watch) -> None:
    """The first rows after a start are slow: the JVM has not compiled its code yet."""
    writer.unpaced(rig.sizes.warm_rows, rig.progress, "warming up, rows")
    watch.wait(writer.last[0], PATIENCE)


def take(rig: Rig, made: Lane, writer: Writer, watch: Watch, rate: int, seconds: float) -> Figures:
    """Writes at that rate for that long and waits until all is visible."""
    what = f"latency at {rate:,} rows/s, s"
    lsn, before, counted, began = rig.lsn(), rig.cpu(), _events(rig), time.perf_counter()
    commits = writer.paced(rate, seconds, lambda s: rig.progress(what, int(s), int(seconds)))
    wrote = time.perf_counter() - began
    cores = {name: value / wrote for name, value in used(before, rig.cpu()).items()}
    events = {name: count - counted[name] for name, count in _events(rig).items()}
    watch.wait(commits[-1].last, PATIENCE)
    found = latencies(commits, watch.seen)
    late = [
        each for each, commit in zip(found, commits, strict=True) if _counts(commit, began, seconds)
    ]
    history = ch_qualified(f"{made.tables[0].target}_history")
    return Figures(
        wrote,
        sum(commit.rows for commit in commits),
        late,
        stamped(rig, history, lsn),
        cores,
        events,
    )


def stamped(rig: Rig, history: str, lsn: int) -> tuple[float, float]:
    """p50 and p99 in seconds from `source_ts_ms` to `_synced_at` of what came after `lsn`."""
    p50, p99, rows = rig.clickhouse.query(
        "SELECT quantileExact(0.5)(_ms), quantileExact(0.99)(_ms), count() FROM "
        "(SELECT dateDiff('millisecond', source_ts_ms, _synced_at) AS _ms "
        f"FROM {history} WHERE _lsn > {lsn})"
    ).result_rows[0]
    if not rows:
        raise BenchError(f"{history} has nothing above {lsn}")
    return p50 / 1000, p99 / 1000


def _counts(commit: Commit, began: float, seconds: float) -> bool:
    return commit.at - began >= seconds * RAMP


def _events(rig: Rig) -> dict[str, int]:
    names = ", ".join(f"'{event}'" for event in _EVENTS.values())
    counted = rig.clickhouse.query(
        f"SELECT event, value FROM system.events WHERE event IN ({names})"
    ).result_rows
    found = {str(event): int(count) for event, count in counted}
    return {name: found.get(event, 0) for name, event in _EVENTS.items()}


def _latency(taken: dict[int, Figures]) -> Section:
    rows: list[list[Cell]] = [
        [
            f"{rate:,} rows/s",
            each.rows / each.seconds,
            each.most(0.5),
            each.most(0.95),
            each.most(0.99),
            each.most(1.0),
            each.least(0.5),
            each.least(0.99),
            each.stamped[0] * 1000,
            each.stamped[1] * 1000,
        ]
        for rate, each in taken.items()
    ]
    return Section(
        name="latency",
        title="Latency: commit to queryable",
        method=(
            f"One table of 11 columns, {1 - UPDATED:.0%} inserts and {UPDATED:.0%} updates of "
            "older rows in 50 transactions a second. From the moment before COMMIT is sent to the "
            "answer of ClickHouse that first shows the transaction's last row, both by one clock; "
            f"a reader asks X_final for its highest id every {EVERY_SECONDS * 1000:.0f} ms (the "
            "view X shows a row from the same moment on). So a figure is no better than the truth, "
            "and worse by at most the time between two answers; “at least” counts to the question "
            f"before, which did not show the row yet. The first {RAMP:.0%} of each while are left "
            "out. “Stamped” is history's _synced_at − source_ts_ms over every row: both sides' own "
            "clocks, and ClickHouse may stamp a block before it is written."
        ),
        columns=columns(
            "asked",
            "written, rows/s",
            "p50, ms",
            "p95, ms",
            "p99, ms",
            "max, ms",
            "p50 at least, ms",
            "p99 at least, ms",
            "stamped p50, ms",
            "stamped p99, ms",
        ),
        rows=rows,
    )


def _cost(taken: dict[int, Figures]) -> Section:
    rows: list[list[Cell]] = []
    for rate, each in taken.items():
        minute = 60 / each.seconds
        ours = [each.cores.get(name) for name in SERVICES]
        rows.append(
            [
                f"{rate:,} rows/s",
                *ours,
                sum(value for value in ours if value is not None),
                each.cores[BENCH],
                each.events["parts"] * minute,
                each.events["merges"] * minute,
                each.events["merged rows"] * minute,
                each.events["merging"] / 1000 / each.seconds,
            ]
        )
    return Section(
        name="latency cost",
        title="What that takes",
        method=(
            "While the rows of the table above were written: processor time of each service, "
            "children counted, and of the bench itself (writer and reader; the reader's questions "
            "are in ClickHouse's). Parts and merges are ClickHouse's own counters "
            "(MergeTreeDataWriterBlocks, Merge, MergedRows, MergeTotalMilliseconds), all tables "
            "counted."
        ),
        columns=columns(
            "asked",
            *(f"{name}, cores" for name in SERVICES),
            "all four, cores",
            "bench, cores",
            "parts, 1/min",
            "merges, 1/min",
            "merged, rows/min",
            "merging, s/s",
        ),
        rows=rows,
    )
