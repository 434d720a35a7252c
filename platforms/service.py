"""What a tier needs, said without knowing where it will run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pulumi


@dataclass(frozen=True)
class Health:
    """When a service counts as up: an HTTP address answers 200, or a port accepts."""

    kind: Literal["http", "tcp"]
    port: int
    path: str = ""

    def question(self, host: str) -> dict[str, Any]:
        """What `platforms.probe` asks there, as the plain data that a provider's input must be."""
        url = f"http://{host}:{self.port}{self.path}"
        return {"kind": self.kind, "host": host, "port": self.port, "url": url}


@dataclass(frozen=True)
class Service:
    """A program with its files and ports.

    Args:
        name: unique in the stack.
        kind: what the platform's launchers, images and sizes are known by; its name where it is the
            only one of its kind.
        arguments: what the launcher gets, in its own order.
        files: name to text, put into the service's `config` folder, readable by it alone; a name
            may begin with a folder in it.
        environment: nothing secret: other users of a machine may read it.
        ports: what they are for, to number.
        published: those that the operator must reach; on loopback only.
        outside: whether it must reach what is not the stack's own.
        interface: whether people look at it in a browser: then it is published beside the others of
            its kind, apart from the data path.
        sees_machine: whether it may read what the machine itself does: its processes and, without
            writing, its files.
        stop_signal: the service's own word for "finish cleanly".
        stop_seconds: how long that may take before it is killed.
        start_seconds: how long until it must be healthy; generous, for one that ends or keeps
            restarting is found at once.
    """

    name: str
    ports: Mapping[str, int]
    health: Health
    published: Sequence[int] = ()
    outside: bool = False
    interface: bool = False
    sees_machine: bool = False
    arguments: Sequence[str] = ()
    files: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: Literal["TERM", "INT"] = "TERM"
    stop_seconds: int = 30
    start_seconds: int = 180
    kind: str = ""

    @property
    def program(self) -> str:
        return self.kind or self.name


def numbered(kind: str, count: int) -> list[str]:
    """The names of so many services of a kind; one alone has the kind's own."""
    return [kind] if count == 1 else [f"{kind}-{number}" for number in range(1, count + 1)]


@dataclass(frozen=True)
class Endpoint:
    """An address has two faces: the one other services use, and the operator's.

    Args:
        bind: the address that the service itself listens on.
    """

    host: str
    port: int
    operator_host: str
    operator_port: int
    bind: str

    @property
    def inside(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def operator(self) -> str:
        return f"{self.operator_host}:{self.operator_port}"


@dataclass(frozen=True)
class Folders:
    """Where a service finds its files and keeps its data, as it sees them itself."""

    config: str
    data: str


class Platform(Protocol):
    """Where services run. The components know nothing else of it."""

    @property
    def connect_plugins(self) -> str:
        """Where a Connect worker finds its plugins, as it sees it itself."""
        ...

    @property
    def neighbours(self) -> str:
        """Who may ask for a login, as an address of pg_hba.conf."""
        ...

    def preflight(self, ports: Mapping[str, int]) -> None:
        """Refuses to begin where one of the ports (by setting) is taken.

        Raises pulumi.RunError naming every taken port, its owner and what to do.
        """
        ...

    def folders(self, service: str, kind: str = "") -> Folders:
        """The folders of a service (of a kind), known before it is declared."""
        ...

    def address(self, service: str, port: int) -> Endpoint:
        """How a service's port is reached, known before it is declared."""
        ...

    def run(self, service: Service, opts: pulumi.ResourceOptions) -> pulumi.Resource:
        """Declares the service; the resource is complete once the service is healthy."""
        ...

    def run_together(
        self, services: Sequence[Service], opts: pulumi.ResourceOptions
    ) -> list[pulumi.Resource]:
        """Declares services that become healthy only beside each other; one resource for each."""
        ...
