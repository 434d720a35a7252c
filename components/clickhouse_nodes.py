"""The servers of a ClickHouse, and what several of them have to know of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.configuration import config_file
from components.keeper import PORT as KEEPER_PORT
from platforms.service import Endpoint, Platform, numbered

REPLICAS = 2


@dataclass(frozen=True)
class Node:
    """One of the servers. shard, replica: from 1."""

    service: str
    port: int
    address: Endpoint
    shard: int
    replica: int


def http_ports(port: int, nodes: int) -> list[int]:
    """Where each node is asked: from `port` on."""
    return list(range(port, port + nodes))


def nodes_of(name: str, port: int, count: int, platform: Platform) -> list[Node]:
    """The servers of a ClickHouse called `name`."""
    found = []
    services, ports = numbered(name, count), http_ports(port, count)
    for place, (service, at) in enumerate(zip(services, ports, strict=True)):
        shard, replica = divmod(place, REPLICAS)
        found.append(Node(service, at, platform.address(service, at), shard + 1, replica + 1))
    return found


def cluster_files(
    nodes: Sequence[Node], keepers: Sequence[str], secret: pulumi.Output[str]
) -> dict[str, Mapping[str, pulumi.Input[str]]]:
    """The files that each of four servers has beside those of one, by service.

    keepers: the host names of three. secret: what the servers know each other by.
    """
    hosts = dict(
        zip(
            ("FIRST", "SECOND", "THIRD", "FOURTH", "KEEPER_1", "KEEPER_2", "KEEPER_3"),
            [*(node.address.host for node in nodes), *keepers],
            strict=True,
        )
    )

    def server(node: Node) -> pulumi.Output[str]:
        return secret.apply(
            lambda text: config_file(
                "clickhouse/cluster.xml",
                SHARD=node.shard,
                REPLICA=node.replica,
                HOST=node.address.host,
                KEEPER_PORT=KEEPER_PORT,
                SECRET=text,
                **hosts,
            )
        )

    users = config_file("clickhouse/cluster-users.xml")
    # Into the folders that a server merges into its files by itself.
    return {
        node.service: {"config.d/cluster.xml": server(node), "users.d/cluster.xml": users}
        for node in nodes
    }
