"""Ports for a stack of a test's own."""

from __future__ import annotations

import random

import psutil

from components.settings import Ports


def free_offset() -> int:
    """An offset at which every port of the platform is free just now."""
    used = {each.laddr.port for each in psutil.net_connections(kind="tcp")}
    # Below the range from which the kernel hands out ports to clients.
    for offset in random.sample(range(200, 2000), 1000):
        if not used & set(Ports().moved(offset).model_dump().values()):
            return offset
    raise RuntimeError("no free ports")
