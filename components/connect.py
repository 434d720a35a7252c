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
    """port: REST port. heap_mb: the worker's heap in MiB.

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
    heap_mb: int = 384
    replication: int = 1


class Connect(pulumi.ComponentResource):
    """One Connect worker and the topics it keeps its state in.

    Attributes:
        url: the REST address for the operator.
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
        address = platform.address(name, args.port)
        secrets = platform.folders(name).config
        self.url = f"http://{address.operator}"
        self.source_password = f"${{directory:{secrets}:{SOURCE_PASSWORD}}}"
        self.source_ca = f"{secrets}/{SOURCE_CA}" if args.source_ca else ""
        self.server = platform.run(
            Service(
                name=name,
                ports={"rest": args.port},
                published=[args.port],
                outside=args.outside,
                # Not "/": that answers while the worker still joins its group.
                health=Health("http", args.port, "/connectors"),
                files={
                    "connect-distributed.properties": config_file(
                        "connect/connect-distributed.properties",
                        BOOTSTRAP=kafka.inside,
                        BIND=address.bind,
                        HOST=address.host,
                        PORT=args.port,
                        PLUGINS=args.plugins,
                        REPLICATION=args.replication,
                        SECRETS=secrets,
                    ),
                    "log4j2.properties": config_file("connect/log4j2.properties"),
                    SOURCE_PASSWORD: args.source_password,
                    **({SOURCE_CA: args.source_ca} if args.source_ca else {}),
                },
                environment={"HEAP_MB": str(args.heap_mb)},
                start_seconds=120,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=state),
        )
        self.register_outputs({"url": self.url})
