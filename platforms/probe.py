"""Whether a service answers."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import requests


def answers(health: Mapping[str, Any]) -> bool:
    """Whether what `Health.question` names answers. May raise what requests does."""
    if health["kind"] == "http":
        return requests.get(health["url"], timeout=5).status_code == 200
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((health["host"], int(health["port"]))) == 0
