"""Kafka Connect with Debezium."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.configuration import config_file
from components.kafka import COMPACTED, Kafka
from platforms.service import Health, Platform, Service

SOURCE_PASSWORD = "source-password"  # noqa: S105 - a file's name
SOURCE_CA = "source-ca.pem"


@dataclass(frozen=True)
class ConnectArgs:
    """port: the first REST port. workers: how many. heap_mb: each worker's heap in MiB.

    plugins: where the worker finds the Debezium plugin. source_password: what the connector logs
    in with; it reaches the worker as a file and appears nowhere else. source_ca: certificates that
    it trusts when it does, PEM text; empty where none are checked. outside: whether the source is
    not the stack's own.
    """

    port: int
    plugins: str
    source_password: pulumi.Input[str]
    source_ca: str = ""
    outside: bool = False
    workers: int = 1
    heap_mb: int = 384


def rest_ports(port: int, workers: int) -> list[int]:
    """Where each worker's REST interface is reached."""
    return [port + place for place in range(workers)]


class Connect(pulumi.ComponentResource):
    """Connect's workers, one group, and the topics it keeps its state in.

    A worker keeps nothing of its own: any number may come and go, and tasks move to those that are
    there. The first one's name has no number, so that it stays as it is when others join.

    Attributes:
        url: the first worker's REST address for the operator; it passes on what is another one's.
        workers: each one's, by service. servers: complete once each is in the group.
        source_password: the reference that a connector's configuration uses for the password.
        source_ca: where the worker finds the certificates, empty where none are checked.
    """

    def __init__(
        self,
        name: str,
        args: ConnectArgs,
        kafka: Kafka,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cdc:tier:Connect", name, None, opts)
        state = [
            kafka.topic(f"cdc-connect-{kind}", partitions=count, config=COMPACTED, parent=self)
            for kind, count in (("configs", 1), ("offsets", 1), ("status", 1))
        ]
        # Where the credentials are is part of the connector's configuration: the same for each.
        secrets = platform.folders(name).config
        self.source_password = f"${{directory:{secrets}:{SOURCE_PASSWORD}}}"
        self.source_ca = f"{secrets}/{SOURCE_CA}" if args.source_ca else ""
        self.workers: dict[str, str] = {}
        self.servers: list[pulumi.Resource] = []
        for number, port in enumerate(rest_ports(args.port, args.workers), 1):
            service = name if number == 1 else f"{name}-{number}"
            address = platform.address(service, port)
            self.workers[service] = f"http://{address.operator}"
            worker = Service(
                name=service,
                kind=name,
                ports={"rest": port},
                published=[port],
                outside=args.outside,
                # The others answer while the worker still reads its topics (KIP-1017).
                health=Health("http", port, "/health"),
                files={
                    "connect-distributed.properties": config_file(
                        "connect/connect-distributed.properties",
                        BOOTSTRAP=kafka.inside,
                        BIND=address.bind,
                        HOST=address.host,
                        PORT=port,
                        PLUGINS=args.plugins,
                        REPLICATION=kafka.replication,
                        SECRETS=secrets,
                    ),
                    "log4j2.properties": config_file("connect/log4j2.properties"),
                    SOURCE_PASSWORD: args.source_password,
                    **({SOURCE_CA: args.source_ca} if args.source_ca else {}),
                },
                environment={"HEAP_MB": str(args.heap_mb)},
                start_seconds=240,
            )
            below = pulumi.ResourceOptions(parent=self, depends_on=state)
            self.servers.append(platform.run(worker, below))
        self.url = self.workers[name]
        self.register_outputs({"url": self.url})
