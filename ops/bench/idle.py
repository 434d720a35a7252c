"""What the stack takes of the machine while nothing is written."""

from __future__ import annotations

import time

from ops.bench.figures import used
from ops.bench.model import Cell, Section, columns
from ops.bench.rig import BENCH, Rig
from platforms.processes import MIB


def measure(rig: Rig) -> list[Section]:
    """Processor and memory of each service, before the bench makes anything."""
    before, began = rig.cpu(), time.perf_counter()
    while (passed := time.perf_counter() - began) < rig.sizes.idle_seconds:
        rig.progress("idle, s", int(passed), int(rig.sizes.idle_seconds))
        time.sleep(0.5)
    cores = {name: s / passed for name, s in used(before, rig.cpu()).items() if name != BENCH}
    memory = {name: size / MIB for name, size in rig.memory().items()}
    rows: list[list[Cell]] = [[name, cores[name], memory[name]] for name in cores]
    rows.append(["all", sum(cores.values()), sum(memory.values())])
    return [
        Section(
            name="idle",
            title="Nearly idle",
            method=(
                f"Processor time of each service, its children counted, over {passed:.0f} s in "
                "which the bench writes nothing (heartbeats, and whatever else is written to this "
                f"stack, go on); {len(rig.deployed.tables)} captured tables. Memory: proportional "
                "set size, children counted."
            ),
            columns=columns("service", "processor, cores", "memory, MiB"),
            rows=rows,
        )
    ]
