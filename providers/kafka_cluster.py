"""What the nodes of a Kafka cluster have in common, and how many they are."""

from __future__ import annotations

import base64
import uuid

import pulumi
from pulumi.dynamic import CreateResult, Resource

from providers.base import Props, Provider


class KafkaClusterProvider(Provider):
    """Keeps the cluster's id, and refuses another number of brokers.

    Copies of what is there don't appear on brokers that are added, nor move away from those that
    are to go: both are done by hand (https://kafka.apache.org/documentation/#basic_ops_cluster_expansion),
    and a node of its own can't become one of several by configuration.
    """

    def faults(self, olds: Props, news: Props) -> list[str]:
        before, after = olds.get("brokers"), news.get("brokers")
        if before is None or after is None or before == after:
            return []
        return [
            f"cdc:brokers: a stack with {int(before)} can't become one with {int(after)} while its "
            "topics and the connector's position are kept: `./cdc verify`, then `./cdc down`, then "
            "`./cdc up`, which loads all tables again (docs/runbook.md); or set it back"
        ]

    def create(self, props: Props) -> CreateResult:
        return CreateResult("kafka-cluster", {"brokers": props["brokers"], "cluster": _new_id()})


class KafkaCluster(Resource, module="cdc", name="KafkaCluster"):
    """A cluster of `brokers` nodes.

    Attributes:
        cluster: its id in Kafka's own form, made once.
    """

    cluster: pulumi.Output[str]

    def __init__(
        self, name: str, *, brokers: int, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(KafkaClusterProvider(), name, {"brokers": brokers, "cluster": None}, opts)


def _new_id() -> str:
    """22 characters of URL-safe base64, the first no dash: it would be read as an option."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]).startswith("-"):
        pass
    return made
