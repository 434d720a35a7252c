"""What runs beside the data path: what watches it, and what people look at it with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.clickhouse import ClickHouse
from components.exporters import Exporters, ExportersArgs
from components.grafana import ADMINISTRATOR, Grafana, GrafanaArgs
from components.kafka import Kafka
from components.kafka_ui import KafkaUi, KafkaUiArgs
from components.keeper import Keeper
from components.prometheus import Prometheus, PrometheusArgs
from components.settings import BesideName, Ports
from platforms.service import Platform


@dataclass(frozen=True)
class BesideArgs:
    """services: those that the stack wants. ports: of the ones that people look at.

    connection: an administrator's to the source. postgres: `host:port/database` of it for services.
    monitor: the role that watches the source. mark: the comment by which the stack knows it.
    """

    services: Collection[BesideName]
    ports: Ports
    connection: Mapping[str, pulumi.Input[Any]]
    postgres: str
    monitor: str
    mark: str


class Beside(pulumi.ComponentResource):
    """Declares them in the order in which each needs the ones before.

    Attributes:
        addresses: of each service by name, for the operator; empty where he can't reach it.
        grafana: where it is and how to log in, None without it.
    """

    def __init__(
        self,
        name: str,
        args: BesideArgs,
        kafka: Kafka,
        clickhouse: ClickHouse,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cdc:tier:Beside", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        wanted, ports = args.services, args.ports
        self.addresses: dict[str, str] = dict.fromkeys(wanted, "")
        self.grafana: dict[str, pulumi.Input[str]] | None = None
        watched: dict[str, str] = dict(clickhouse.metrics)
        ready: list[pulumi.Resource] = [*clickhouse.servers]
        if exporting := ExportersArgs.wanted(wanted):
            exporters = Exporters(
                "exporters",
                ExportersArgs(
                    services=exporting,
                    connection=args.connection,
                    postgres=args.postgres,
                    kafka=kafka.inside,
                    role=args.monitor,
                    mark=args.mark,
                ),
                platform,
                child,
                after=kafka.servers,
            )
            watched |= exporters.targets
            ready += exporters.servers
        if "grafana" in wanted:
            watched["grafana"] = platform.address("grafana", ports.grafana).inside
        if "prometheus" in wanted:
            prometheus = Prometheus(
                "prometheus",
                PrometheusArgs(
                    ports.prometheus,
                    ports.alertmanager if "alertmanager" in wanted else None,
                    watched,
                ),
                platform,
                child,
                after=ready,
            )
            self.addresses |= prometheus.urls
            ready.append(prometheus.server)
        if "grafana" in wanted:
            made = Grafana("grafana", GrafanaArgs(ports.grafana), platform, child, after=ready)
            self.addresses["grafana"] = made.url
            self.grafana = {"url": made.url, "user": ADMINISTRATOR, "password": made.password}
        if "kafka-ui" in wanted:
            ui = KafkaUi("kafka-ui", KafkaUiArgs(ports.kafka_ui), kafka, platform, child)
            self.addresses["kafka-ui"] = ui.url
        if "clickhouse-keeper" in wanted:
            Keeper("clickhouse-keeper", platform, child)
        self.register_outputs({"addresses": self.addresses})
