"""Services as native processes of this machine, under a supervisor of the stack's own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pulumi

from ops import parts, places
from platforms.ports import taken
from platforms.service import Endpoint, Folders, Service
from platforms.supervisor import Supervisor
from providers.process import Process, primary_group

LOOPBACK = "127.0.0.1"
UNPRIVILEGED = "nobody"
LEFTOVERS_END = 30.0  # seconds; the longest that a service may take to stop
LAUNCHER = "launch.sh"
LAUNCHERS = Path(__file__).parent / "launch"


class LocalPlatform:
    """Native processes on loopback, their data under the stack's home."""

    def __init__(self, stack: str) -> None:
        self.home = places.home(stack)
        self.parts = parts.locate()

    @property
    def connect_plugins(self) -> str:
        return str(self.parts.connect_plugins)

    @property
    def neighbours(self) -> str:
        return f"{LOOPBACK}/32"

    def preflight(self, ports: Mapping[str, int]) -> None:
        """Refuses to begin where a port is taken.

        Raises:
            pulumi.RunError: names every taken port, its owner and what to do.
        """
        supervisor = Supervisor(self.home)
        # Services whose supervisor was killed need a moment to end; a new stack has none.
        ran_before = any(supervisor.programs.glob("*.conf"))
        deadline = time.monotonic() + (LEFTOVERS_END if ran_before else 0.0)
        while problems := taken(ports, supervisor.pid):
            if time.monotonic() >= deadline:
                raise pulumi.RunError("\n".join(problems))
            time.sleep(0.5)

    def folders(self, service: str, kind: str = "") -> Folders:
        del kind
        folder = self.home / service
        return Folders(config=str(folder / "config"), data=str(folder / "data"))

    def address(self, service: str, port: int) -> Endpoint:
        del service
        return Endpoint(LOOPBACK, port, LOOPBACK, port, bind=LOOPBACK)

    def run(self, service: Service, opts: pulumi.ResourceOptions) -> pulumi.Resource:
        folders = self.folders(service.name)
        # Postgres refuses to run as root; everything else runs as the operator.
        user = UNPRIVILEGED if service.name == "postgres" and os.getuid() == 0 else ""
        return Process(
            f"{service.name}-process",
            program=service.name,
            home=self.home,
            command=[
                *_wrapper(service.stop_signal, user),
                "sh",
                f"{folders.config}/{LAUNCHER}",
                *service.arguments,
            ],
            environment={
                **self._installation(),
                "CDC_CONFIG": folders.config,
                "CDC_DATA": folders.data,
                **service.environment,
            },
            # A copy of the launcher, too: the account it runs as may not be able to read a checkout
            # in somebody's home.
            files={
                LAUNCHER: (LAUNCHERS / f"{service.program}.sh").read_text(),
                **service.files,
            },
            user=user,
            health=service.health.question(LOOPBACK),
            stop_signal=service.stop_signal,
            stop_seconds=service.stop_seconds,
            start_seconds=service.start_seconds,
            opts=opts,
        )

    def run_together(
        self, services: Sequence[Service], opts: pulumi.ResourceOptions
    ) -> list[pulumi.Resource]:
        return [self.run(each, opts) for each in services]

    def _installation(self) -> dict[str, str]:
        # Written by the first JVM that ends, read by all later ones: half the CPU of a start.
        archives = places.ensure(places.cache() / "class-archives" / self.parts.kafka_libs.name)
        return {
            "CLASS_ARCHIVES": str(archives),
            "JAVA": str(self.parts.java),
            "KAFKA_LIBS": str(self.parts.kafka_libs),
            "POSTGRES": str(self.parts.postgres),
            "PYTHON": sys.executable,
            "PYTHONPATH": str(places.project()),
        }


def _wrapper(stop_signal: str, user: str) -> list[str]:
    """A supervisor that is killed takes its processes along, so its successor finds ports free."""
    identity = (
        [f"--reuid={user}", f"--regid={primary_group(user)}", "--clear-groups"] if user else []
    )
    return ["setpriv", *identity, f"--pdeathsig={stop_signal}"]
