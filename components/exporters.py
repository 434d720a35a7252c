"""What turns the machine's, Postgres' and Kafka's state into metrics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from platforms.service import Health, Platform, Service
from providers.monitor_role import MonitorRole
from providers.password import Password

NODE, POSTGRES, KAFKA = "node-exporter", "postgres-exporter", "kafka-exporter"
PORTS = {NODE: 9100, POSTGRES: 9187, KAFKA: 9308}


@dataclass(frozen=True)
class ExportersArgs:
    """services: those of them that the stack wants, by name.

    connection: an administrator's to the source. postgres: `host:port/database` of it for services.
    kafka: `host:port` for services. role: what postgres-exporter logs in as. mark: the comment by
    which the stack knows that role as its own.
    """

    services: Collection[str]
    connection: Mapping[str, pulumi.Input[Any]]
    postgres: str
    kafka: str
    role: str
    mark: str

    @staticmethod
    def wanted(services: Collection[str]) -> list[str]:
        """The exporters among these services."""
        return [each for each in PORTS if each in services]


class Exporters(pulumi.ComponentResource):
    """Exporters, which only Prometheus reaches.

    Attributes:
        servers: complete once each is healthy.
        targets: where each tells its metrics, `host:port` for services.
    """

    def __init__(
        self,
        name: str,
        args: ExportersArgs,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
        *,
        after: Collection[pulumi.Resource] = (),
    ) -> None:
        super().__init__("cdc:tier:Exporters", name, None, opts)
        self._platform = platform
        self._child = pulumi.ResourceOptions(parent=self, depends_on=[*after])
        self.targets = {each: platform.address(each, PORTS[each]).inside for each in args.services}
        self.servers: list[pulumi.Resource] = []
        if NODE in args.services:
            self._run(NODE, sees_machine=True)
        if KAFKA in args.services:
            self._run(KAFKA, environment={"KAFKA": args.kafka})
        if POSTGRES in args.services:
            self._postgres(name, args)
        self.register_outputs({"targets": self.targets})

    def _postgres(self, name: str, args: ExportersArgs) -> None:
        parent = pulumi.ResourceOptions(parent=self)
        password = Password(f"{name}-postgres-password", opts=parent).value
        role = MonitorRole(
            f"{name}-postgres-role",
            connection=args.connection,
            role=args.role,
            password=password,
            mark=args.mark,
            opts=parent,
        )
        self._run(
            POSTGRES,
            files={"password": password},
            environment={
                "DATA_SOURCE_URI": f"{args.postgres}?sslmode=disable",
                "DATA_SOURCE_USER": args.role,
            },
            after=role,
        )

    def _run(
        self,
        service: str,
        *,
        files: Mapping[str, pulumi.Input[str]] | None = None,
        environment: Mapping[str, str] | None = None,
        sees_machine: bool = False,
        after: pulumi.Resource | None = None,
    ) -> None:
        port = PORTS[service]
        bind = self._platform.address(service, port).bind
        depends = pulumi.ResourceOptions(depends_on=[after] if after else [])
        self.servers.append(
            self._platform.run(
                Service(
                    name=service,
                    ports={"metrics": port},
                    health=Health("http", port, "/metrics"),
                    sees_machine=sees_machine,
                    files=files or {},
                    environment={"LISTEN": f"{bind}:{port}", **(environment or {})},
                    stop_seconds=5,
                ),
                pulumi.ResourceOptions.merge(self._child, depends),
            )
        )
