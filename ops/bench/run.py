"""A run: the measurements one after the other, each with what it made gone before the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ops.bench import final, growth, idle, latency, load, throughput, untuned
from ops.bench.machine import describe
from ops.bench.model import Bench, Section
from ops.bench.rig import Rig, rig
from ops.bench.sizes import Sizes
from ops.progress import Progress
from ops.stack import Deployed

#: In the order in which they are made: nearly idle first.
MEASUREMENTS: dict[str, Callable[[Rig], list[Section]]] = {
    "idle": idle.measure,
    "latency": latency.measure,
    "throughput": throughput.measure,
    "load": load.measure,
    "untuned": untuned.measure,
    "clickhouse": final.measure,
    "growth": growth.measure,
}


def run(
    deployed: Deployed,
    names: Sequence[str],
    sizes: Sizes,
    command: str,
    progress: Progress,
    done: Callable[[Bench, list[Section]], None],
) -> Bench:
    """Makes the named measurements.

    Args:
        command: how it was called, for the record.
        done: told after each measurement: all so far, and what is new.

    Raises:
        BenchError: one could not be made. What the run made is gone all the same.
    """
    began = time.monotonic()
    with rig(deployed, sizes, progress) as made:
        bench = Bench(
            command=command,
            at=datetime.now(UTC),
            seconds=0.0,
            machine=describe(),
            stack=_settings(made),
            sections=[],
        )
        for name in [name for name in MEASUREMENTS if name in names]:
            started = time.monotonic()
            sections = MEASUREMENTS[name](made)
            for section in sections:
                section.seconds = time.monotonic() - started
            bench.sections += sections
            bench.seconds = time.monotonic() - began
            done(bench, sections)
    return bench


def _settings(made: Rig) -> dict[str, str]:
    connector = ("poll.interval.ms", "max.batch.size", "max.queue.size")
    return {
        "captured tables": str(len(made.deployed.tables)),
        **{name: made.connector.get(name, "default") for name in connector},
        "kafka_flush_interval_ms": str(made.queue.flush_ms),
        "kafka_poll_timeout_ms": str(made.queue.poll_timeout_ms),
    }
