"""The container images of each service, and how each wants to be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Image:
    """An official image, used for the program in it; configuration and start are the platform's.

    Args:
        reference: pinned by tag. By digest, too, once it was pulled on a machine that can.
        container: the container's name in a stack called `dev`.
        user: numeric, `uid:gid`: the image's own unprivileged account, which owns `volume` there.
        volume: the image's folder for data, which outlives the container; empty without any.
        launcher: of `platforms/launch/`. health: of `platforms/health/`.
        interpreter: what the image can run the health script with.
        environment: where the image has what the launcher looks for.
    """

    reference: str
    container: str
    user: str
    launcher: str
    health: str
    volume: str = ""
    interpreter: Literal["bash", "sh"] = "bash"
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
        reference="apache/kafka:4.2.1",
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
    # No bash in these; busybox brings a wget.
    "clickhouse-keeper": Image(
        reference="clickhouse/clickhouse-keeper:26.1",
        container="clickhouse-keeper",
        user="101:101",
        volume="/var/lib/clickhouse-keeper",
        launcher="clickhouse-keeper",
        health="http",
        interpreter="sh",
    ),
    "node-exporter": Image(
        reference="prom/node-exporter:v1.9.1",
        container="node-exporter",
        user="65534:65534",
        launcher="node-exporter",
        health="http",
        interpreter="sh",
    ),
    "postgres-exporter": Image(
        reference="quay.io/prometheuscommunity/postgres-exporter:v0.17.1",
        container="postgres-exporter",
        user="65534:65534",
        launcher="postgres-exporter",
        health="http",
        interpreter="sh",
    ),
    "kafka-exporter": Image(
        reference="danielqsj/kafka-exporter:v1.9.0",
        container="kafka-exporter",
        user="65534:65534",
        launcher="kafka-exporter",
        health="http",
        interpreter="sh",
    ),
    "prometheus": Image(
        reference="prom/prometheus:v3.5.0",
        container="prometheus",
        user="65534:65534",
        volume="/prometheus",
        launcher="prometheus",
        health="http",
        interpreter="sh",
    ),
    "alertmanager": Image(
        reference="prom/alertmanager:v0.28.1",
        container="alertmanager",
        user="65534:65534",
        volume="/alertmanager",
        launcher="alertmanager",
        health="http",
        interpreter="sh",
    ),
    "grafana": Image(
        reference="grafana/grafana:12.3.1",
        container="grafana",
        user="472:472",
        volume="/var/lib/grafana",
        launcher="grafana",
        health="http",
        interpreter="sh",
    ),
    "kafka-ui": Image(
        reference="ghcr.io/kafbat/kafka-ui:v1.5.0",
        container="kafka-ui",
        user="100:101",
        launcher="kafka-ui",
        health="http",
        interpreter="sh",
    ),
}

# What a workstation gives each; heaps and ClickHouse's own limits (components/) stay below.
SIZES = {
    "postgres": Size("2", 1024),
    "kafka": Size("2", 768),
    "connect": Size("2", 1024),
    "clickhouse": Size("2", 2048),
    "clickhouse-keeper": Size("1", 256),
    "node-exporter": Size("0.5", 64),
    "postgres-exporter": Size("0.5", 64),
    "kafka-exporter": Size("0.5", 64),
    "prometheus": Size("1", 512),
    "alertmanager": Size("0.5", 128),
    "grafana": Size("1", 512),
    "kafka-ui": Size("1", 512),
}
