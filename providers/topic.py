"""A Kafka topic: created, compared with the broker's, grown, never shrunk."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartitionInfo
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    ResourceType,
)
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from providers.base import Props, Provider, ProviderError, own, until

TIMEOUT = 30.0  # seconds a broker may take for one administrative request


class TopicProvider(Provider):
    """Topics by the broker's admin API.

    Partitions only grow: a shrink would need a new topic, and the records in the old one would be
    lost (https://kafka.apache.org/documentation/#basic_ops_modify_topic). The number of copies is
    told, and never changed: that is a plan of moves between brokers, made by hand.
    """

    replace_on = ("topic",)

    def faults(self, olds: Props, news: Props) -> list[str]:
        before, after = olds.get("partitions"), news.get("partitions")
        if isinstance(before, int) and isinstance(after, int) and after < before:
            return [
                f"topic {news['topic']} has {before} partitions and can't shrink to {after}: "
                f"set it back to {before}, or remove the table and add it again"
            ]
        return []

    def create(self, props: Props) -> CreateResult:
        admin = _admin(props)
        topic, partitions = props["topic"], int(props["partitions"])
        new = NewTopic(topic, partitions, int(props["replication"]), config=dict(props["config"]))
        try:
            admin.create_topics([new], request_timeout=TIMEOUT)[topic].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise ProviderError(f"topic {topic}: {error.args[0].str()}") from error
            self._fit(admin, props)  # left by an interrupted run: make it what is asked for
        until(lambda: _partitions(admin, topic) > 0, TIMEOUT, f"topic {topic} appearing")
        return CreateResult(topic, own(props))

    def read(self, id_: str, props: Props) -> ReadResult:
        admin = _admin(props)
        partitions = _partitions(admin, props["topic"])
        if not partitions:
            return ReadResult("", own(props))
        copies = _copies(admin, props["topic"])
        live = _config(admin, props["topic"])
        # Every value that was set on the topic counts: one that is set by hand is drift as well.
        return ReadResult(
            id_, {**own(props), "partitions": partitions, "replication": copies, "config": live}
        )

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        self._fit(_admin(_news), _news)
        return UpdateResult(own(_news))

    def delete(self, _id: str, _props: Props) -> None:
        topic = _props["topic"]
        admin = _admin(_props)
        try:
            admin.delete_topics([topic], request_timeout=TIMEOUT)[topic].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise ProviderError(f"topic {topic}: {error.args[0].str()}") from error
        until(lambda: _partitions(admin, topic) == 0, TIMEOUT, f"topic {topic} going away")

    def _fit(self, admin: AdminClient, props: Props) -> None:
        topic, wanted = props["topic"], int(props["partitions"])
        have = _partitions(admin, topic)
        if have > wanted:
            raise ProviderError(
                f"topic {topic} has {have} partitions on the broker and can't shrink to {wanted}: "
                f"set partitions to {have}"
            )
        copies = _copies(admin, topic)
        if copies != int(props["replication"]):
            raise ProviderError(
                f"topic {topic} has {copies} copies on the brokers and should have "
                f"{props['replication']}: bring it there with kafka-reassign-partitions.sh, or run "
                "`./cdc down` and `./cdc up`, which makes it anew and loads all tables again"
            )
        if have < wanted:
            admin.create_partitions([NewPartitions(topic, wanted)])[topic].result()
        live, config = _config(admin, topic), dict(props["config"])
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
            if live.get(key) != value
        ] + [
            ConfigEntry(key, None, incremental_operation=AlterConfigOpType.DELETE)
            for key in live
            if key not in config
        ]
        if entries:
            resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
            admin.incremental_alter_configs([resource])[resource].result()


class Topic(Resource, module="cdc", name="Topic"):
    """A declared topic.

    Args:
        bootstrap: `host:port` as the operator reaches the broker.
        partitions: how many; may grow, never shrink.
        replication: copies of each partition.
        config: topic configuration by Kafka's own names, all values as text.
    """

    topic: pulumi.Output[str]
    partitions: pulumi.Output[int]

    def __init__(
        self,
        name: str,
        *,
        topic: str,
        bootstrap: pulumi.Input[str],
        partitions: int,
        replication: int,
        config: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            TopicProvider(),
            name,
            {
                "topic": topic,
                "bootstrap": bootstrap,
                "partitions": partitions,
                "replication": replication,
                "config": dict(config),
            },
            opts,
        )


def _admin(props: Props) -> AdminClient:
    return AdminClient(
        {
            "bootstrap.servers": props["bootstrap"],
            "socket.timeout.ms": int(TIMEOUT * 1000),
            "log_level": 0,
        }
    )


def _partitions(admin: AdminClient, topic: str) -> int:
    """The topic's number of partitions, 0 if there is no such topic."""
    return len(_described(admin, topic))


def _copies(admin: AdminClient, topic: str) -> int:
    """How many brokers have, or should have, the partition that fewest do."""
    return min((len(each.replicas) for each in _described(admin, topic)), default=0)


def _described(admin: AdminClient, topic: str) -> list[TopicPartitionInfo]:
    """The topic's partitions, none if there is no such topic.

    Raises ProviderError when no broker answers: a broker that is away says nothing of its topics.
    """
    try:
        found = admin.describe_topics(TopicCollection([topic]), request_timeout=TIMEOUT)[topic]
        return list(found.result().partitions)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return []
        raise ProviderError(
            f"topic {topic}: Kafka does not answer ({error.args[0].str()}); is it up?"
        ) from error


def _config(admin: AdminClient, topic: str) -> dict[str, str]:
    """The configuration set on the topic itself, without the broker's defaults."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = admin.describe_configs([resource], request_timeout=TIMEOUT)[resource].result()
    return {
        name: entry.value
        for name, entry in entries.items()
        if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        or entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG
    }
