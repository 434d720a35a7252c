"""How many nodes a tier has, which can't change under its data, and what they have in common."""

from __future__ import annotations

import base64
import uuid

import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from providers.base import Props, Provider, own


class ClusterProvider(Provider):
    """Keeps the cluster's id, and refuses another number of nodes.

    Copies of what is there don't appear on Kafka brokers that are added, nor move away from those
    that are to go (https://kafka.apache.org/documentation/#basic_ops_cluster_expansion); rows on a
    ClickHouse stay on the shard that they were written to
    (https://clickhouse.com/docs/guides/sre/scaling-clusters). Nor can one that is its own quorum
    become one of several by configuration.
    """

    def faults(self, olds: Props, news: Props) -> list[str]:
        before, after = olds.get("nodes"), news.get("nodes")
        if before is None or after is None or before == after:
            return []
        return [
            f"{news['setting']}: a stack with {int(before)} can't become one with {int(after)} "
            f"while {news['kept']} are kept: `./cdc verify`, then `./cdc down`, then `./cdc up`, "
            "which loads all tables again (docs/runbook.md); or set it back"
        ]

    def create(self, props: Props) -> CreateResult:
        return CreateResult("cluster", {**own(props), "cluster": _new_id()})

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        return UpdateResult({**own(_news), "cluster": _olds["cluster"]})


class Cluster(Resource, module="cdc", name="Cluster"):
    """A tier of `nodes` servers.

    Args:
        setting: what says how many. kept: what stands in the way of another number, for people.

    Attributes:
        cluster: an id of it in Kafka's own form, made once; Kafka alone needs one.
    """

    cluster: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        setting: str,
        nodes: int,
        kept: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {"setting": setting, "nodes": nodes, "kept": kept, "cluster": None}
        super().__init__(ClusterProvider(), name, props, opts)


def _new_id() -> str:
    """22 characters of URL-safe base64, the first no dash: it would be read as an option."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]).startswith("-"):
        pass
    return made
