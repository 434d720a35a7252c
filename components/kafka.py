"""Kafka in KRaft mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.configuration import config_file
from platforms.service import Endpoint, Health, Platform, Service
from providers.topic import Topic

RETENTION = {"cleanup.policy": "delete", "retention.ms": str(7 * 24 * 3600 * 1000)}
COMPACTED = {"cleanup.policy": "compact"}


@dataclass(frozen=True)
class KafkaArgs:
    """port, controller_port: TCP ports. heap_mb: the broker's heap in MiB."""

    port: int
    controller_port: int
    heap_mb: int = 192
    replication: int = 1
    min_insync: int = 1


class Listeners:
    """Whose connections the broker takes where.

    A client goes on with the address that the broker advertises on the listener it first came to.
    So where the operator's address is none that services could use, services have their own.
    """

    def __init__(self, address: Endpoint, controller_port: int) -> None:
        ways = {"CLIENT": (address.host, address.port)}
        if address.inside != address.operator:
            # A container's ports are its own: the one beside the operator's is free, or a setting.
            if controller_port == address.port + 1:
                raise pulumi.RunError(
                    f"cdc:kafkaControllerPort: {controller_port} is where services reach the "
                    "broker, right above cdc:kafkaPort: choose another"
                )
            ways = {
                "CLIENT": (address.host, address.port + 1),
                "OPERATOR": (address.operator_host, address.operator_port),
            }
        self.inside = "{}:{}".format(*ways["CLIENT"])
        ways["CONTROLLER"] = (address.host, controller_port)
        self.bound = _joined({name: (address.bind, port) for name, (_, port) in ways.items()})
        self.advertised = _joined(ways)


def _joined(ways: Mapping[str, tuple[str, int]]) -> str:
    return ",".join(f"{name}://{host}:{port}" for name, (host, port) in ways.items())


class Kafka(pulumi.ComponentResource):
    """A broker, and the topics that are declared on it.

    Attributes:
        inside: `host:port` for other services. operator: the same for the operator.
    """

    def __init__(
        self,
        name: str,
        args: KafkaArgs,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cdc:tier:Kafka", name, None, opts)
        address = platform.address(name, args.port)
        listeners = Listeners(address, args.controller_port)
        self.inside = listeners.inside
        self.operator = address.operator
        self._args = args
        self.server = platform.run(
            Service(
                name=name,
                ports={"clients": args.port, "controller": args.controller_port},
                published=[args.port],
                health=Health("tcp", args.port),
                files={
                    "server.properties": config_file(
                        "kafka/server.properties",
                        HOST=address.host,
                        LISTENERS=listeners.bound,
                        ADVERTISED=listeners.advertised,
                        CONTROLLER_PORT=args.controller_port,
                        DATA=platform.folders(name).data,
                        REPLICATION=args.replication,
                        MIN_INSYNC=args.min_insync,
                    ),
                    "log4j2.properties": config_file("kafka/log4j2.properties"),
                },
                environment={"HEAP_MB": str(args.heap_mb)},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"port": args.port})

    def topic(
        self,
        topic: str,
        *,
        partitions: int = 1,
        config: Mapping[str, str] = RETENTION,
        parent: pulumi.Resource,
    ) -> Topic:
        """Declares a topic, replicated as the stack replicates."""
        return Topic(
            f"topic-{topic}",
            topic=topic,
            bootstrap=self.operator,
            partitions=partitions,
            replication=self._args.replication,
            config={"min.insync.replicas": str(self._args.min_insync), **config},
            opts=pulumi.ResourceOptions(parent=parent, depends_on=[self.server]),
        )
