"""Kafka in KRaft mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.configuration import config_file
from platforms.service import Endpoint, Health, Platform, Service, numbered
from providers.cluster import Cluster
from providers.topic import Topic

RETENTION = {"cleanup.policy": "delete", "retention.ms": str(7 * 24 * 3600 * 1000)}
COMPACTED = {"cleanup.policy": "compact"}


@dataclass(frozen=True)
class KafkaArgs:
    """port, controller_port: TCP ports. brokers: 1 or 3. heap_mb: each broker's heap in MiB."""

    port: int
    controller_port: int
    brokers: int = 1
    heap_mb: int = 192


def broker_ports(port: int, brokers: int) -> list[int]:
    """Where clients reach each broker. The port above each is the one that services use."""
    return [port + 2 * place for place in range(brokers)]


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
        self.controller = f"{address.host}:{controller_port}"
        ways["CONTROLLER"] = (address.host, controller_port)
        self.bound = _joined({name: (address.bind, port) for name, (_, port) in ways.items()})
        self.advertised = _joined(ways)


def _joined(ways: Mapping[str, tuple[str, int]]) -> str:
    return ",".join(f"{name}://{host}:{port}" for name, (host, port) in ways.items())


@dataclass(frozen=True)
class _Node:
    """One of the brokers. number: its id in the cluster, from 1. port: the operator's."""

    number: int
    service: str
    port: int
    address: Endpoint
    listeners: Listeners


def _nodes(name: str, args: KafkaArgs, platform: Platform) -> list[_Node]:
    found = []
    services = numbered(name, args.brokers)
    ports = broker_ports(args.port, args.brokers)
    for number, (service, port) in enumerate(zip(services, ports, strict=True), 1):
        address = platform.address(service, port)
        listeners = Listeners(address, args.controller_port)
        found.append(_Node(number, service, port, address, listeners))
    return found


class Kafka(pulumi.ComponentResource):
    """One broker or three, and the topics that are declared on them.

    Attributes:
        inside: `host:port` of each broker for other services, with commas between them.
        operator: the same for the operator. brokers: his address of each, by service.
        replication: copies of every topic, Kafka's own ones among them.
        servers: complete once every broker answers.
    """

    def __init__(
        self,
        name: str,
        args: KafkaArgs,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cdc:tier:Kafka", name, None, opts)
        nodes = _nodes(name, args, platform)
        self._kind = name
        self.inside = ",".join(node.listeners.inside for node in nodes)
        self.brokers = {node.service: node.address.operator for node in nodes}
        self.operator = ",".join(self.brokers.values())
        # One of three may be away: a write needs two copies, so that each that counts is kept.
        self.replication = args.brokers
        self._min_insync = max(1, args.brokers - 1)
        cluster = Cluster(
            f"{name}-cluster",
            setting="cdc:brokers",
            nodes=args.brokers,
            kept="its topics and the connector's position",
            opts=pulumi.ResourceOptions(parent=self),
        )
        shared: dict[str, pulumi.Input[str]] = (
            {"cluster-id": cluster.cluster} if len(nodes) > 1 else {}
        )
        # Together: a controller answers nobody before two of three are there.
        self.servers = platform.run_together(
            [
                Service(
                    name=node.service,
                    kind=name,
                    ports={"clients": node.port, "controller": args.controller_port},
                    published=[node.port],
                    health=Health("tcp", node.port),
                    files={
                        "server.properties": self._properties(node, nodes, platform),
                        "log4j2.properties": config_file("kafka/log4j2.properties"),
                        **shared,
                    },
                    environment={"HEAP_MB": str(args.heap_mb)},
                    # Three format their storage and start on the same cores.
                    start_seconds=180 if len(nodes) == 1 else 300,
                )
                for node in nodes
            ],
            pulumi.ResourceOptions(parent=self, depends_on=[cluster]),
        )
        self.register_outputs({"port": args.port})

    def _properties(self, node: _Node, nodes: Sequence[_Node], platform: Platform) -> str:
        voters = [f"{each.number}@{each.listeners.controller}" for each in nodes]
        return config_file(
            "kafka/server.properties",
            NODE=node.number,
            CONTROLLERS=",".join(each.listeners.controller for each in nodes),
            VOTERS=",".join(voters) if len(nodes) > 1 else "",
            LISTENERS=node.listeners.bound,
            ADVERTISED=node.listeners.advertised,
            DATA=platform.folders(node.service, self._kind).data,
            REPLICATION=self.replication,
            MIN_INSYNC=self._min_insync,
        )

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
            replication=self.replication,
            config={"min.insync.replicas": str(self._min_insync), **config},
            opts=pulumi.ResourceOptions(parent=parent, depends_on=self.servers),
        )
