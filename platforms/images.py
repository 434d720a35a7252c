"""The container images of each service, and how each wants to be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Image:
    """An official image, used for the program in it; configuration and start are the platform's.

    Args:
        reference: pinned by tag. By digest, too, once it was pulled on a machine that can.
        container: the container's name in a stack called `dev`.
        user: numeric, `uid:gid`: the image's own unprivileged account, which owns `volume` there.
        volume: the image's folder for data, which outlives the container.
        launcher: of `platforms/launch/`. health: of `platforms/health/`.
        environment: where the image has what the launcher looks for.
    """

    reference: str
    container: str
    user: str
    volume: str
    launcher: str
    health: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Size:
    """Limits of a container: cpus in cores, memory in MiB; it never swaps."""

    cpus: str
    memory_mb: int


IMAGES = {
    "postgres": Image(
        reference="postgres:16.15-bookworm",
        container="postgres-source",
        user="999:999",
        volume="/var/lib/postgresql/data",
        launcher="postgres",
        health="postgres",
        environment={"POSTGRES": "/usr/lib/postgresql/16"},
    ),
    "kafka": Image(
        reference="apache/kafka:4.3.1",
        container="kafka",
        user="1000:1000",
        volume="/var/lib/kafka/data",
        launcher="kafka",
        health="kafka",
        environment={"JAVA": "java", "KAFKA_LIBS": "/opt/kafka/libs"},
    ),
    "connect": Image(
        reference="quay.io/debezium/connect:3.7.0.Final",
        container="kafka-connect",
        user="1001:1001",
        # It keeps nothing but the JVM's class archive here: its state is in topics.
        volume="/kafka/data",
        launcher="connect",
        health="connect",
        environment={
            "JAVA": "java",
            "KAFKA_LIBS": "/kafka/libs",
            "DEBEZIUM": "/kafka/connect/debezium-connector-postgres",
        },
    ),
    "clickhouse": Image(
        reference="clickhouse/clickhouse-server:26.1",
        container="clickhouse",
        user="101:101",
        volume="/var/lib/clickhouse",
        launcher="clickhouse-server",
        health="clickhouse",
    ),
}

# What a workstation gives each; heaps and ClickHouse's own limits (components/) stay below.
SIZES = {
    "postgres": Size("2", 1024),
    "kafka": Size("2", 768),
    "connect": Size("2", 1024),
    "clickhouse": Size("2", 2048),
}
