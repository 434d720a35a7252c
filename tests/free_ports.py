"""Ports for a stack of a test's own."""

from __future__ import annotations

import random

import psutil

from components.connect import rest_ports
from components.kafka import broker_ports
from components.settings import Ports


def free_offset() -> int:
    """An offset at which every port of the platform is free just now, of a large one too."""
    used = {each.laddr.port for each in psutil.net_connections(kind="tcp")}
    # Below the range from which the kernel hands out ports to clients.
    for offset in random.sample(range(200, 2000), 1000):
        ports = Ports().moved(offset)
        further = {*broker_ports(ports.kafka, 3), *rest_ports(ports.connect, 8)}
        if not used & (further | set(ports.model_dump().values())):
            return offset
    raise RuntimeError("no free ports")
