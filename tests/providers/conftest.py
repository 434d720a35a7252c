"""The real services, started from what the real components declare, without the Pulumi engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from components.clickhouse import ClickHouse, ClickHouseArgs
from components.connect import Connect, ConnectArgs
from components.kafka import Kafka, KafkaArgs
from components.postgres import Postgres, PostgresArgs
from components.settings import Ports
from platforms.local import LocalPlatform
from providers.database import DatabaseProvider
from providers.process import ProcessProvider
from providers.topic import TopicProvider
from tests.free_ports import free_offset
from tests.homes import stack_home
from tests.unit.deployment import Registered, deploy, only

READER_PASSWORD = "readers-secret"


@dataclass(frozen=True)
class Services:
    """Running services. The dictionaries are connections in the providers' own shape."""

    home: Path
    ports: Ports
    postgres: dict[str, Any]
    clickhouse: dict[str, Any]
    processes: dict[str, Registered]

    @property
    def kafka(self) -> str:
        return f"127.0.0.1:{self.ports.kafka}"

    @property
    def connect(self) -> str:
        return f"http://127.0.0.1:{self.ports.connect}"

    def sql(self) -> psycopg.Connection[Any]:
        at = self.postgres
        return psycopg.connect(
            host=at["host"],
            port=at["port"],
            user=at["user"],
            password=at["password"],
            dbname=at["database"],
            autocommit=True,
        )


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    ports = Ports().moved(free_offset())
    with stack_home() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDC_HOME", str(home))
        platform = LocalPlatform("test")

        def program() -> None:
            Postgres("postgres", PostgresArgs(ports.postgres, "inventory", True), platform)
            kafka = Kafka("kafka", KafkaArgs(ports.kafka, ports.kafka_controller), platform)
            Connect(
                "connect",
                ConnectArgs(ports.connect, platform.connect_plugins, READER_PASSWORD),
                kafka,
                platform,
            )
            ClickHouse("clickhouse", ClickHouseArgs(ports.clickhouse, queues=4), platform)

        made = deploy(program)
        processes = {
            name: only(made, "cdc:Process", f"{name}-process")
            for name in ("postgres", "kafka", "connect", "clickhouse")
        }
        for name in ("postgres", "kafka"):
            ProcessProvider().create(dict(processes[name].inputs))
        for resource in made:
            if resource.type == "cdc:Topic":
                TopicProvider().create(dict(resource.inputs))
        for name in ("connect", "clickhouse"):
            ProcessProvider().create(dict(processes[name].inputs))
        DatabaseProvider().create(dict(only(made, "cdc:PostgresDatabase").inputs))
        yield Services(
            home=platform.home,
            ports=ports,
            postgres={
                "host": "127.0.0.1",
                "port": ports.postgres,
                "user": "postgres",
                "password": "generated-postgres-password",
                "database": "inventory",
            },
            clickhouse={
                "host": "127.0.0.1",
                "port": ports.clickhouse,
                "user": "cdc_admin",
                "password": "generated-clickhouse-admin-password",
            },
            processes=processes,
        )
