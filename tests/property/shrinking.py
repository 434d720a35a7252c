"""The smallest part of a failing workload that still fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrunk(steps: Sequence[T], fails: Callable[[Sequence[T]], bool], seconds: float) -> list[T]:
    """Leaves out halves, quarters … single steps for as long as `fails` and the time allow."""
    kept, size, deadline = list(steps), max(1, len(steps) // 2), time.monotonic() + seconds
    while True:
        smaller = False
        for start in range(0, len(kept), size):
            if time.monotonic() > deadline:
                return kept
            candidate = kept[:start] + kept[start + size :]
            if candidate and fails(candidate):
                kept, smaller = candidate, True
                break
        if smaller:
            continue
        if size == 1:
            return kept
        size //= 2
