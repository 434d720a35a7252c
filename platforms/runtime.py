"""A stack's services as they run now, wherever that is."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from platforms import Name
from platforms.containers import STACK_LABEL, containers, engine, well
from platforms.processes import cpu_seconds, memory
from platforms.supervisor import Supervisor

WAKING_SECONDS = 180.0


@dataclass(frozen=True)
class Running:
    """A service at one moment.

    Args:
        state: the platform's own word.
        memory: bytes; of processes their proportional set, of a container what its limit counts
            without the file cache.
        cpu_seconds: processor time so far, children's included.
        seconds: since it was started; 0 where it doesn't run.
    """

    state: str
    memory: int = 0
    cpu_seconds: float = 0.0
    seconds: float = 0.0


class Runtime(Protocol):
    """What the operator's commands ask of a platform."""

    keeps: str
    """Where the stack's data is, for people."""

    def services(self) -> Mapping[str, Running]:
        """Every declared service by name."""
        ...

    def log(self, service: str) -> str:
        """Where a service's log is, as a person would look at it."""
        ...

    def logs(self) -> list[str]:
        """The services that have a log."""
        ...

    def show_log(self, service: str, lines: int, follow: bool) -> None:
        """Writes it to standard output; with `follow` until interrupted."""
        ...

    def wake(self) -> None:
        """Starts what is declared and doesn't run, as after a reboot, and lets it come up.

        Raises OSError.
        """
        ...

    def end(self, *, purge: bool) -> None:
        """Stops what is left once everything is destroyed; with `purge` deletes the data."""
        ...


class Processes:
    """Native processes under the stack's supervisor."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._supervisor = Supervisor(home)
        self.keeps = str(home)

    def services(self) -> Mapping[str, Running]:
        return {
            name: Running(
                str(state["statename"]).lower(),
                memory(int(state["pid"])),
                cpu_seconds(int(state["pid"])),
                time.time() - state["start"] if state["pid"] else 0.0,
            )
            for name, state in self._supervisor.states().items()
        }

    def log(self, service: str) -> str:
        return f"{self._home}/logs/{service}.log"

    def logs(self) -> list[str]:
        return sorted(each.stem for each in (self._home / "logs").glob("*.log"))

    def show_log(self, service: str, lines: int, follow: bool) -> None:
        more = ["-F"] if follow else []
        os.execvp("tail", ["tail", "-n", str(lines), *more, self.log(service)])  # noqa: S606, S607

    def wake(self) -> None:
        if any((self._home / "conf.d").glob("*.conf")):
            self._supervisor.start()

    def end(self, *, purge: bool) -> None:
        self._supervisor.stop()
        if purge:
            shutil.rmtree(self._home, ignore_errors=True)


class Containers:
    """Containers of a Docker engine. Every method raises EngineError where none answers."""

    def __init__(self, stack: str) -> None:
        self._stack = stack
        self.keeps = f"Docker volumes cdc-{stack}-…"

    def services(self) -> Mapping[str, Running]:
        with engine() as client:
            found = containers(client, self._stack)
            return {name: _running(container) for name, container in found.items()}

    def log(self, service: str) -> str:
        return f"./cdc logs {service} --stack {self._stack}"

    def logs(self) -> list[str]:
        return sorted(self.services())

    def show_log(self, service: str, lines: int, follow: bool) -> None:
        with engine() as client:
            container = containers(client, self._stack)[service]
            for piece in container.logs(stream=True, follow=follow, tail=lines):
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()

    def wake(self) -> None:
        with engine() as client:
            woken = [
                container
                for container in containers(client, self._stack).values()
                if container.status in ("exited", "created")
            ]
            for container in woken:
                container.start()
            # What is still starting looks like drift to whoever asks it.
            deadline = time.monotonic() + WAKING_SECONDS
            for container in woken:
                while not well(container) and time.monotonic() < deadline:
                    time.sleep(0.5)

    def end(self, *, purge: bool) -> None:
        if not purge:
            return
        with engine() as client:
            for volume in client.volumes.list(filters={"label": f"{STACK_LABEL}={self._stack}"}):
                volume.remove()


def runtime(platform: Name, stack: str, home: Path) -> Runtime:
    """How a stack of that platform runs."""
    return Containers(stack) if platform == "docker" else Processes(home)


def _running(container: Any) -> Running:
    state = container.attrs["State"]
    health = state.get("Health", {}).get("Status", "")
    if not state["Running"]:
        return Running(str(state["Status"]))
    usage = container.stats(stream=False, one_shot=True)
    used = usage["memory_stats"]
    cache = used.get("stats", {})
    # As `docker stats` counts it, with either version of control groups.
    inactive = cache.get("inactive_file", cache.get("total_inactive_file", 0))
    return Running(
        health or str(state["Status"]),
        int(used.get("usage", 0)) - int(inactive),
        usage["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        time.time() - _moment(state["StartedAt"]),
    )


def _moment(text: str) -> float:
    """Docker's time with its nine digits of a second's fraction, as seconds since 1970."""
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp()
