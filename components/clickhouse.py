"""ClickHouse: the real server where there is one, the embedded daemon on the local stack."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from catalog.cluster import clustered, parted
from catalog.objects import SqlObject, platform_objects
from components.clickhouse_nodes import Node, cluster_files, nodes_of
from components.configuration import config_file
from components.keeper import Keeper
from platforms.service import Health, Platform, Service
from providers.clickhouse import Objects, as_inputs
from providers.cluster import Cluster
from providers.password import Password

ADMINISTRATOR = "cdc_admin"
ANALYST = "analytics_user"
METRICS_PORT = 9363  # inside only: a server's own, which the embedded daemon doesn't have
MIB = 1024 * 1024


@dataclass(frozen=True)
class ClickHouseArgs:
    """port: HTTP port; of several nodes the first one's, the others' follow it. queues: Kafka
    tables that consume at the same time. nodes: 1, or 4: two shards of two replicas.

    memory_mb, query_memory_mb, cache_mb: MiB for the engine in all, for one query, for each cache;
    of each node.
    """

    port: int
    queues: int
    nodes: int = 1
    memory_mb: int = 1024
    query_memory_mb: int = 512
    cache_mb: int = 32
    threads: int = 2


class ClickHouse(pulumi.ComponentResource):
    """A ClickHouse with the platform's own tables (`cdc.dead_letters`, `cdc.truncates`).

    On one server, or on two shards of two replicas with three Keepers. Either way a table has the
    same name and can be asked for on any node.

    Attributes:
        connection: the administrator's, to the first node. analyst: the read-only user's.
        nodes: the operator's `host:port` of each, by service.
        metrics: where each tells its metrics, `host:port` for services, by service.
        servers: complete once each node answers.
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
        self._nodes = nodes_of(name, args.port, args.nodes, platform)
        self.nodes = {node.service: node.address.operator for node in self._nodes}
        self.metrics = {
            node.service: platform.address(node.service, METRICS_PORT).inside
            for node in self._nodes
        }
        users = pulumi.Output.all(administrator, analyst).apply(
            lambda passwords: config_file(
                "clickhouse/users.xml",
                ADMIN_PASSWORD_SHA256=_sha256(passwords[0]),
                ANALYST_PASSWORD_SHA256=_sha256(passwords[1]),
                QUERY_MEMORY=args.query_memory_mb * MIB,
                QUERY_THREADS=args.threads,
            )
        )
        first: list[pulumi.Resource] = [
            Cluster(
                f"{name}-cluster",
                setting="cdc:clickhouseNodes",
                nodes=args.nodes,
                kept="its tables",
                opts=child,
            )
        ]
        further: Mapping[str, Mapping[str, pulumi.Input[str]]] = {}
        if args.nodes > 1:
            keepers = Keeper(f"{name}-keeper", platform, child, members=3)
            secret = Password(f"{name}-cluster-secret", opts=child).value
            further = cluster_files(self._nodes, keepers.hosts, secret)
            first += keepers.servers

        def files(node: Node) -> dict[str, pulumi.Input[str]]:
            server = config_file(
                "clickhouse/config.xml",
                BIND=node.address.bind,
                HTTP_PORT=node.port,
                METRICS_PORT=METRICS_PORT,
                DATA=platform.folders(node.service, name).data,
                MAX_MEMORY=args.memory_mb * MIB,
                CACHE_MEMORY=args.cache_mb * MIB,
                BACKGROUND_THREADS=args.threads,
                KAFKA_CONSUMERS=_consumers(args.queues),
            )
            return {"config.xml": server, "users.xml": users, **further.get(node.service, {})}

        self.servers = platform.run_together(
            [
                Service(
                    name=node.service,
                    kind=name,
                    ports={"http": node.port},
                    published=[node.port],
                    health=Health("http", node.port, "/ping"),
                    files=files(node),
                    environment={"HTTP_PORT": str(node.port)},
                )
                for node in self._nodes
            ],
            pulumi.ResourceOptions(parent=self, depends_on=first),
        )
        self._administrator = administrator
        self.connection = _connection(self._nodes[0], ADMINISTRATOR, administrator)
        self.analyst = _connection(self._nodes[0], ANALYST, analyst)
        self.objects = self.declare(
            f"{name}-objects", objects=self.shaped(platform_objects()), opts=child
        )
        self.register_outputs({"port": args.port})

    def shaped(self, objects: Sequence[SqlObject]) -> list[dict[str, Any]]:
        """The objects as this many nodes have them, in the form in which `declare` takes them."""
        return as_inputs(objects if len(self._nodes) == 1 else clustered(objects))

    def declare(
        self,
        name: str,
        *,
        objects: pulumi.Input[Sequence[Mapping[str, Any]]],
        afterwards: pulumi.Input[Sequence[str]] | None = None,
        allow_destructive: bool = False,
        opts: pulumi.ResourceOptions,
    ) -> list[Objects]:
        """Declares objects on every node.

        One node after the other, each by itself: what waits for all of them (ON CLUSTER) would wait
        in vain for one that is down, and two that change a replicated table at once get in each
        other's way. First the tables with rows, everywhere: what writes to another shard must not
        know a column, or a larger type, that is not there yet. `afterwards` is run once, at the
        end.
        """
        stages = {name: objects}
        if len(self._nodes) > 1:
            whole = pulumi.Output.from_input(objects)
            stages = {
                f"{name}-rows": whole.apply(lambda each: parted(each)[0]),
                name: whole.apply(lambda each: parted(each)[1]),
            }
        turns = [(stage, part, node) for stage, part in stages.items() for node in self._nodes]
        made: list[Objects] = []
        for turn, (stage, part, node) in enumerate(turns, 1):
            after = pulumi.ResourceOptions(depends_on=made[-1:] or self.servers)
            made.append(
                Objects(
                    stage + node.service.removeprefix(self.pulumi_resource_name),
                    connection=_connection(node, ADMINISTRATOR, self._administrator),
                    objects=part,
                    afterwards=afterwards if turn == len(turns) else None,
                    allow_destructive=allow_destructive,
                    opts=pulumi.ResourceOptions.merge(opts, after),
                )
            )
        return made


def _connection(node: Node, user: str, password: pulumi.Input[str]) -> dict[str, pulumi.Input[Any]]:
    return {
        "host": node.address.operator_host,
        "port": node.address.operator_port,
        "user": user,
        "password": password,
    }


def _consumers(queues: int) -> int:
    """Threads for the Kafka tables: in steps, since another number restarts the server."""
    return max(64, 1 << (queues - 1).bit_length())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
