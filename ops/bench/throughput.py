"""Rows a second through the whole chain, what they cost, and how large they are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.model import CapturedTable
from catalog.names import ch_string
from ops.bench.figures import Arrival, Commit, Seen, arrival, used
from ops.bench.lane import Lane, lane
from ops.bench.latency import PATIENCE, warm
from ops.bench.model import Cell, Section, columns
from ops.bench.rig import BENCH, SERVICES, Rig
from ops.bench.source import UNPACED_TRANSACTION, UPDATED, Writer
from ops.bench.watch import Watch
from platforms.processes import MIB

# Questions wait behind what is being measured; rarer ones take less from it.
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Figures:
    """rows: changes. cpu: seconds, by process."""

    rows: int
    arrival: Arrival
    cpu: dict[str, float]

    @property
    def rate(self) -> float:
        """Rows a second, from the beginning until all was visible."""
        return self.rows / self.arrival.last

    def micros(self, name: str) -> float | None:
        """Processor time of a process for a row: seconds for a million of them."""
        return self.cpu[name] * 1e6 / self.rows if name in self.cpu else None

    @property
    def micros_all(self) -> float:
        """The services' together."""
        return sum(self.micros(name) or 0.0 for name in SERVICES)


def measure(rig: Rig) -> list[Section]:
    """Live, then the drain of a backlog, of one table; then its size everywhere."""
    with lane(rig, "throughput", ["throughput"]) as made:
        made.start()
        target = f"{made.tables[0].target}_final"
        with (
            rig.deployed.postgres.connect() as connection,
            Watch(rig.deployed.clickhouse, target, POLL_SECONDS) as watch,
        ):
            writer = Writer(connection, [made.tables[0].source.qualified])
            warm(rig, writer, watch)
            taken = {
                "written meanwhile": live(rig, writer, watch, rig.sizes.throughput_rows),
                "waiting in the source": drain(rig, made, writer, watch, rig.sizes.throughput_rows),
            }
            made.check()
            memory = _memory(rig)
            size = _size(rig, made.tables[0])
    return [_throughput(taken), _cost(taken), memory, size]


def live(rig: Rig, writer: Writer, watch: Watch, rows: int) -> Figures:
    """As fast as one writer can."""
    before, began = rig.cpu(), time.perf_counter()
    commits = writer.unpaced(rows, rig.progress, "writing while they stream, rows")
    watch.wait(commits[-1].last, PATIENCE)
    return _figures(commits, watch.seen, began, used(before, rig.cpu()))


def drain(rig: Rig, made: Lane, writer: Writer, watch: Watch, rows: int) -> Figures:
    """What waited in the source while the connector stood still."""
    made.stop()
    commits = writer.unpaced(rows, rig.progress, "writing while the connector stands, rows")
    before, began = rig.cpu(), time.perf_counter()
    made.resume()
    rig.progress("draining", 0, None)
    watch.wait(commits[-1].last, PATIENCE)
    return _figures(commits, watch.seen, began, used(before, rig.cpu()))


def _figures(
    commits: Sequence[Commit], seen: Sequence[Seen], began: float, cpu: dict[str, float]
) -> Figures:
    rows = sum(commit.rows for commit in commits)
    return Figures(rows, arrival(commits, seen, began), cpu)


def kafka_bytes(home: Path, topic: str) -> int | None:
    """What the topic's records take on the broker's disk; None where that is not this machine."""
    folders = list((home / "kafka" / "data").glob(f"{topic}-*"))
    if not folders:
        return None
    return sum(log.stat().st_size for folder in folders for log in folder.glob("*.log"))


def _throughput(taken: dict[str, Figures]) -> Section:
    rows: list[list[Cell]] = [
        [
            name,
            each.rows,
            each.arrival.last,
            each.rate,
            each.arrival.first,
            each.arrival.steady,
        ]
        for name, each in taken.items()
    ]
    return Section(
        name="throughput",
        title="Throughput: rows a second through the whole chain",
        method=(
            f"Changes ({1 - UPDATED:.0%} inserts, {UPDATED:.0%} updates) of one table in "
            f"transactions of {UNPACED_TRANSACTION:,}, by one writer as fast as it can, after a "
            "warm-up. “Written meanwhile”: from the first transaction until all rows are visible "
            "in ClickHouse, the writer competes for the same cores. “Waiting in the source”: the "
            "connector is stopped, the rows are written, and the time runs from its being resumed. "
            "“Steady” leaves out all until the first rows are visible. Afterwards counts and sums "
            "of both sides are compared."
        ),
        columns=columns(
            "changes", "rows", "until all, s", "rows/s", "until the first, s", "steady, rows/s"
        ),
        rows=rows,
    )


def _cost(taken: dict[str, Figures]) -> Section:
    rows: list[list[Cell]] = [
        [name, *(each.micros(s) for s in SERVICES), each.micros_all, each.micros(BENCH)]
        for name, each in taken.items()
    ]
    return Section(
        name="throughput cost",
        title="Processor time of a million rows",
        method=(
            "Seconds of processor time for a million changes (which is microseconds for one), "
            "children counted, over the time of the table above. Postgres' has the statements that "
            "wrote the rows where they were written meanwhile, and the decoding for the user's own "
            "slot in both."
        ),
        columns=columns("changes", *(f"{name}, s" for name in SERVICES), "all four, s", "bench, s"),
        rows=rows,
    )


def _memory(rig: Rig) -> Section:
    memory = {name: size / MIB for name, size in rig.memory().items()}
    rows: list[list[Cell]] = [[name, size] for name, size in memory.items()]
    return Section(
        name="memory",
        title="Memory after that",
        method="Proportional set size of each service, children counted, right after the drain.",
        columns=columns("service", "memory, MiB"),
        rows=[*rows, ["all", sum(memory.values())]],
    )


def _size(rig: Rig, table: CapturedTable) -> Section:
    found = rig.source.execute(
        "SELECT pg_table_size(oid), pg_indexes_size(oid), "
        "(SELECT count(*) FROM cdc_bench.throughput) FROM pg_class "
        "WHERE oid = 'cdc_bench.throughput'::regclass"
    ).fetchone()
    assert found is not None
    heap, index, live_rows = found
    lines: list[tuple[str, int | None, int]] = [
        ("Postgres, table", heap, live_rows),
        ("Postgres, index", index, live_rows),
    ]
    parts = {
        name: (int(size), int(count), int(number))
        for name, size, count, number in rig.clickhouse.query(
            "SELECT table, sum(bytes_on_disk), sum(rows), count() FROM system.parts "
            f"WHERE active AND database = {ch_string(table.database)} GROUP BY table"
        ).result_rows
    }
    changes = parts[f"{table.table}_history"][1]
    lines.append(("Kafka, topic", kafka_bytes(rig.deployed.home, table.topic), changes))
    for suffix, what in (("_final", "current state"), ("_history", "history")):
        size, count, number = parts[table.table + suffix]
        lines.append((f"ClickHouse, {what} ({number} parts)", size, count))
    rows: list[list[Cell]] = [
        [
            what,
            None if size is None else size / MIB,
            count,
            None if size is None else size / count,
        ]
        for what, size, count in lines
    ]
    return Section(
        name="size",
        title="Size on disk of the same table",
        method=(
            "Right after the drain, nothing compacted or merged by hand: Postgres' table has the "
            "dead versions of updated rows, ClickHouse's parts the ones that are not merged away "
            "yet. Kafka keeps every change, compressed with zstd."
        ),
        columns=columns("where", "size, MiB", "rows", "bytes a row"),
        rows=rows,
    )
