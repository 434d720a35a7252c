"""ClickHouse: the real server where there is one, the embedded daemon on the local stack."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pulumi

from catalog.objects import platform_objects
from components.configuration import config_file
from platforms.service import Health, Platform, Service
from providers.clickhouse import Objects, as_inputs
from providers.password import Password

ADMINISTRATOR = "cdc_admin"
ANALYST = "analytics_user"
METRICS_PORT = 9363  # inside only: a server's own, which the embedded daemon doesn't have
MIB = 1024 * 1024


@dataclass(frozen=True)
class ClickHouseArgs:
    """port: HTTP port. queues: Kafka tables that consume at the same time.

    memory_mb, query_memory_mb, cache_mb: MiB for the engine in all, for one query, for each cache.
    """

    port: int
    queues: int
    memory_mb: int = 1024
    query_memory_mb: int = 512
    cache_mb: int = 32
    threads: int = 2


class ClickHouse(pulumi.ComponentResource):
    """A ClickHouse with the platform's own tables (`cdc.dead_letters`, `cdc.truncates`).

    Attributes:
        connection: the administrator's. analyst: the read-only user's.
        metrics: where a server tells its metrics, `host:port` for services.
        objects: complete once the platform's own tables are there.
    """

    def __init__(
        self,
        name: str,
        args: ClickHouseArgs,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cdc:tier:ClickHouse", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        administrator = Password(f"{name}-admin-password", opts=child).value
        analyst = Password(f"{name}-analyst-password", opts=child).value
        self._address = platform.address(name, args.port)
        self.metrics = platform.address(name, METRICS_PORT).inside
        users = pulumi.Output.all(administrator, analyst).apply(
            lambda passwords: config_file(
                "clickhouse/users.xml",
                ADMIN_PASSWORD_SHA256=_sha256(passwords[0]),
                ANALYST_PASSWORD_SHA256=_sha256(passwords[1]),
                QUERY_MEMORY=args.query_memory_mb * MIB,
                QUERY_THREADS=args.threads,
            )
        )
        self.server = platform.run(
            Service(
                name=name,
                ports={"http": args.port},
                published=[args.port],
                health=Health("http", args.port, "/ping"),
                files={
                    "config.xml": config_file(
                        "clickhouse/config.xml",
                        BIND=self._address.bind,
                        HTTP_PORT=args.port,
                        METRICS_PORT=METRICS_PORT,
                        DATA=platform.folders(name).data,
                        MAX_MEMORY=args.memory_mb * MIB,
                        CACHE_MEMORY=args.cache_mb * MIB,
                        BACKGROUND_THREADS=args.threads,
                        KAFKA_CONSUMERS=_consumers(args.queues),
                    ),
                    "users.xml": users,
                },
                environment={"HTTP_PORT": str(args.port)},
            ),
            child,
        )
        self.connection = self._connection(ADMINISTRATOR, administrator)
        self.analyst = self._connection(ANALYST, analyst)
        self.objects = Objects(
            f"{name}-objects",
            connection=self.connection,
            objects=as_inputs(platform_objects()),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.server]),
        )
        self.register_outputs({"port": args.port})

    def _connection(self, user: str, password: pulumi.Input[str]) -> dict[str, pulumi.Input[Any]]:
        return {
            "host": self._address.operator_host,
            "port": self._address.operator_port,
            "user": user,
            "password": password,
        }


def _consumers(queues: int) -> int:
    """Threads for the Kafka tables: in steps, since another number restarts the server."""
    return max(64, 1 << (queues - 1).bit_length())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
