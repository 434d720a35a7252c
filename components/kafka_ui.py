"""A web interface to look into Kafka."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.configuration import config_file
from components.kafka import Kafka
from platforms.service import Health, Platform, Service


@dataclass(frozen=True)
class KafkaUiArgs:
    """port: HTTP port. heap_mb: its heap in MiB."""

    port: int
    heap_mb: int = 256


class KafkaUi(pulumi.ComponentResource):
    """Topics, messages and consumers to look at; it changes nothing.

    Attributes:
        url: for the operator.
    """

    def __init__(
        self,
        name: str,
        args: KafkaUiArgs,
        kafka: Kafka,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cdc:tier:KafkaUi", name, None, opts)
        address = platform.address(name, args.port)
        self.url = f"http://{address.operator}"
        platform.run(
            Service(
                name=name,
                ports={"http": args.port},
                published=[args.port],
                interface=True,
                health=Health("http", args.port, "/actuator/health"),
                files={
                    "kafka-ui.yml": config_file(
                        "kafka-ui/kafka-ui.yml",
                        BIND=address.bind,
                        PORT=args.port,
                        BOOTSTRAP=kafka.inside,
                    )
                },
                environment={"HEAP_MB": str(args.heap_mb)},
                start_seconds=120,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=kafka.servers),
        )
        self.register_outputs({"url": self.url})
