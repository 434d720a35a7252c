"""How much a run measures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

LEAST_SECONDS = 3.0
LEAST_ROWS = 2_000


@dataclass(frozen=True)
class Sizes:
    """Rows and seconds of each measurement.

    rates: rows a second at which latency is taken. tables: how many are captured, one after the
    other, to see what grows.
    """

    idle_seconds: float = 20.0
    warm_rows: int = 100_000
    rates: tuple[int, ...] = (100, 1_000, 5_000)
    latency_seconds: float = 40.0
    throughput_rows: int = 1_000_000
    load_rows: int = 2_000_000
    untuned_seconds: float = 40.0
    untuned_rows: int = 200_000
    final_rows: int = 10_000_000
    tables: tuple[int, ...] = (1, 10, 100)
    growth_seconds: float = 30.0

    def scaled(self, factor: float) -> Sizes:
        """Rows and seconds times `factor`, as far as a figure can still be made of them."""
        changed: dict[str, Any] = {
            name: max(LEAST_SECONDS, value * factor)
            if isinstance(value, float)
            else max(LEAST_ROWS, round(value * factor))
            for name, value in vars(self).items()
            if isinstance(value, int | float)
        }
        return replace(self, **changed)


FULL = Sizes()
QUICK = replace(FULL.scaled(0.1), tables=(1, 10))
