"""Waiting until the target has everything up to a position in the source's log."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from catalog.model import CapturedTable

#: Waits until what the source wrote up to an LSN is in the target, or until a time.monotonic()
#: deadline. Returns the tables that are still behind (`schema.table`), each with the reason.
CaughtUp = Callable[[int, float], Mapping[str, str]]

ANSWER_SECONDS = 10.0
FIRST_WINDOW = 16
LOOK_SECONDS = 0.05


class KafkaPosition:
    """A :data:`CaughtUp` for the chain source → Debezium → Kafka → ClickHouse's consumer groups.

    A heartbeat written after the position comes out of Debezium behind everything up to it. With
    exactly-once delivery into Kafka (transactions, read_committed) all of that is in the topics
    once the heartbeat is; ClickHouse has it once its groups have committed the offsets, which they
    do after the rows were written. Without exactly-once delivery topics may be some milliseconds
    out of step, and a comparison can blame rows that are about to arrive.
    """

    def __init__(
        self,
        bootstrap: str,
        heartbeat_topic: str,
        beat: Callable[[], None],
        tables: Sequence[CapturedTable],
        config: Mapping[str, str] | None = None,
    ) -> None:
        """`beat` writes the heartbeat row; `config` adds librdkafka settings (security)."""
        self._heartbeat_topic = heartbeat_topic
        self._beat = beat
        self._tables = tables
        self._config: dict[str, str | int | float | bool] = {
            "log_level": 4,  # its notices would stand in the middle of the progress
            **(config or {}),
            "bootstrap.servers": bootstrap,
        }

    def __call__(self, lsn: int, deadline: float) -> Mapping[str, str]:
        """See :data:`CaughtUp`. Raises KafkaException where Kafka can't be reached."""
        consumer = Consumer(
            {
                **self._config,
                # Only assigned, never subscribed: the group is needed by name alone.
                "group.id": f"cdc-verify-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                # The broker holds a fetch at a partition's end back for this long (default 500 ms).
                "fetch.wait.max.ms": 5,
            }
        )
        try:
            if not self._heartbeat_arrived(consumer, lsn, deadline):
                reason = (
                    f"no heartbeat past the position arrived in topic {self._heartbeat_topic}: "
                    "is the connector running?"
                )
                return {table.source.qualified: reason for table in self._tables}
            wanted = {
                table.source.qualified: last_records(consumer, table.topic)
                for table in self._tables
            }
        finally:
            consumer.close()
        return self._groups_behind(wanted, deadline)

    def _heartbeat_arrived(self, consumer: Consumer, lsn: int, deadline: float) -> bool:
        consumer.assign(
            [
                TopicPartition(self._heartbeat_topic, number, _limits(consumer, place)[1])
                for number in _partitions(consumer, self._heartbeat_topic)
                for place in [TopicPartition(self._heartbeat_topic, number)]
            ]
        )
        self._beat()
        while (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(min(left, 1.0))
            if message is None or _is_end(message.error()):
                continue
            value = message.value()
            if value is not None and event_lsn(value) >= lsn:
                return True
        return False

    def _groups_behind(
        self, wanted: Mapping[str, Mapping[int, int]], deadline: float
    ) -> dict[str, str]:
        admin = AdminClient(self._config)
        waiting = list(self._tables)
        while True:
            behind = {
                table.source.qualified: reason
                for table in waiting
                if (reason := _behind(admin, table, wanted[table.source.qualified]))
            }
            waiting = [table for table in waiting if table.source.qualified in behind]
            if not behind or time.monotonic() >= deadline:
                return behind
            time.sleep(LOOK_SECONDS)


def event_lsn(value: bytes) -> int:
    """`source.lsn` of a Debezium event, -1 where it has none; with or without a schema around."""
    event = json.loads(value)
    event = event.get("payload", event)
    return int((event.get("source") or {}).get("lsn") or -1)


def last_records(consumer: Consumer, topic: str) -> dict[int, int]:
    """The offset of the last record that holds a value, per partition that has one.

    The end offset won't do: the last entries of a partition may be transaction markers, or
    tombstones, for which ClickHouse never commits an offset. So it is looked for backwards.
    Raises KafkaException if the topic can't be read.
    """
    found = {}
    for number in _partitions(consumer, topic):
        place = TopicPartition(topic, number)
        low, high = _limits(consumer, place)
        window, last = FIRST_WINDOW, None
        while last is None and high > low:
            start = max(low, high - window)
            last = _last_value(consumer, place, start)
            if start == low:
                break
            window *= 8
        if last is not None:
            found[number] = last
    return found


def _last_value(consumer: Consumer, place: TopicPartition, start: int) -> int | None:
    consumer.assign([TopicPartition(place.topic, place.partition, start)])
    last: int | None = None
    waited = time.monotonic()
    while time.monotonic() - waited < ANSWER_SECONDS:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if _is_end(message.error()):
            return last
        waited = time.monotonic()
        if message.value() is not None:
            last = message.offset()
    raise KafkaException(
        KafkaError(
            KafkaError._TIMED_OUT,
            f"partition {place.partition} of topic {place.topic} did not reach its end",
        )
    )


def _is_end(error: KafkaError | None) -> bool:
    """True at the end of a partition; any other error is raised."""
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    raise KafkaException(error)


def _partitions(consumer: Consumer, topic: str) -> Iterable[int]:
    metadata = consumer.list_topics(topic, ANSWER_SECONDS).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    return sorted(metadata.partitions)


def _limits(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    low, high = consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
    return low, high


def _behind(admin: AdminClient, table: CapturedTable, wanted: Mapping[int, int]) -> str:
    """Why the table's consumer group has not read all of `wanted` yet, '' if it has."""
    if not wanted:
        return ""
    places = [TopicPartition(table.topic, number) for number in wanted]
    request = ConsumerGroupTopicPartitions(table.group, places)
    answer = admin.list_consumer_group_offsets([request])[table.group].result(ANSWER_SECONDS)
    committed = {place.partition: place.offset for place in answer.topic_partitions or []}
    late = {
        number: last + 1
        for number, last in wanted.items()
        # Before a group's first commit Kafka answers with a negative offset.
        if committed.get(number, -1) <= last
    }
    if not late:
        return ""
    number, needed = min(late.items())
    return (
        f"consumer group {table.group} stands at offset {max(committed.get(number, 0), 0)} of "
        f"{needed} in partition {number} of {table.topic}"
        + (f", and is behind in {len(late) - 1} more" if len(late) > 1 else "")
    )
