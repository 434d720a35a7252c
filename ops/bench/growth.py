"""What grows with the number of captured tables."""

from __future__ import annotations

import time

from catalog.names import ch_string
from ops.bench.figures import used
from ops.bench.lane import Lane, lane
from ops.bench.latency import PATIENCE, RAMP
from ops.bench.model import BenchError, Cell, Section, columns
from ops.bench.names import SPACE
from ops.bench.rig import BENCH, SERVICES, Rig
from ops.bench.source import Writer
from platforms.processes import MIB

RATE = 1_000
_HISTORIES = f"merge({ch_string(SPACE)}, '^growth_[0-9]+_history$')"


def measure(rig: Rig) -> list[Section]:
    """The same rate over more and more tables, added to those that the stack captures anyway."""
    rows: list[list[Cell]] = []
    for count in rig.sizes.tables:
        with lane(rig, "growth", [f"growth_{i}" for i in range(count)]) as made:
            made.start()
            rows.append(_take(rig, made))
    threads = rig.one(
        "SELECT value FROM system.server_settings "
        "WHERE name = 'background_message_broker_schedule_pool_size'"
    )
    return [
        Section(
            name="growth",
            title="What grows with the number of tables",
            method=(
                f"So many tables of 11 columns beside the {len(rig.deployed.tables)} that this "
                "stack captures, through one connector and slot. Idle: nothing is written to them. "
                f"Then {RATE:,} rows/s for {rig.sizes.growth_seconds:.0f} s, a transaction a table "
                "in turn. Latency is stamped (history's _synced_at − source_ts_ms, every row after "
                f"the first {RAMP:.0%} of the while), for a reader that polls so many tables would "
                "be the load itself; see “Latency” for what that leaves out. ClickHouse reads "
                f"with {threads} thread(s) here, which all queues share: where there are fewer "
                "than tables, they wait for one another. Memory is what this stack holds after the "
                "measurements before, not what one with so many tables starts with."
            ),
            columns=columns(
                "tables",
                "idle, cores",
                "at rate, cores",
                *(f"{name}, MiB" for name in SERVICES),
                "stamped p50, ms",
                "stamped p99, ms",
            ),
            rows=rows,
        )
    ]


def _take(rig: Rig, made: Lane) -> list[Cell]:
    count = len(made.tables)
    idle = _cores(rig, rig.sizes.idle_seconds, f"{count} tables, idle, s")
    memory = rig.memory()
    with rig.deployed.postgres.connect() as connection:
        writer = Writer(connection, [table.source.qualified for table in made.tables])
        seconds, what = rig.sizes.growth_seconds, f"{count} tables at {RATE:,} rows/s, s"
        writer.paced(RATE, seconds * RAMP, lambda s: rig.progress(what, int(s), int(seconds)))
        lsn, before, began = rig.lsn(), rig.cpu(), time.perf_counter()
        ramp = seconds * RAMP
        writer.paced(
            RATE, seconds - ramp, lambda s: rig.progress(what, int(s + ramp), int(seconds))
        )
        wrote = time.perf_counter() - began
        spent = used(before, rig.cpu())
    _wait(rig, sum(writer.last))
    made.check()
    p50, p99 = rig.clickhouse.query(
        "SELECT quantileExact(0.5)(_ms), quantileExact(0.99)(_ms) FROM (SELECT "
        f"dateDiff('millisecond', source_ts_ms, _synced_at) AS _ms FROM {_HISTORIES} "
        f"WHERE _lsn > {lsn})"
    ).result_rows[0]
    return [
        count,
        idle,
        sum(value for name, value in spent.items() if name != BENCH) / wrote,
        *(memory[name] / MIB if name in memory else None for name in SERVICES),
        p50,
        p99,
    ]


def _cores(rig: Rig, seconds: float, what: str) -> float:
    before, began = rig.cpu(), time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        rig.progress(what, int(passed), int(seconds))
        time.sleep(0.5)
    return sum(v for k, v in used(before, rig.cpu()).items() if k != BENCH) / passed


def _wait(rig: Rig, ids: int) -> None:
    """Until as many rows were inserted as were written."""
    deadline = time.monotonic() + PATIENCE
    query = f"SELECT uniqExact(_table, id) FROM {_HISTORIES}"
    while (found := int(rig.one(query))) < ids:
        if time.monotonic() > deadline:
            raise BenchError(
                f"only {found:,} of {ids:,} rows arrived within {PATIENCE:.0f} s: see "
                "`./cdc logs connect` and `./cdc logs clickhouse`"
            )
        time.sleep(1)
