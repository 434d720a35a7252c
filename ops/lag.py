"""How far ClickHouse is behind the topics."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, TopicPartition

from catalog.model import CapturedTable

PATIENCE = 10.0  # seconds for the broker to show the next record of every partition


def seconds_behind(bootstrap: str, tables: Sequence[CapturedTable]) -> dict[str, float | None]:
    """Age of the oldest record that ClickHouse has not taken yet, by source table.

    0 where there is none; None where the broker doesn't answer. Counting offsets instead would
    always show a few too many: exactly-once leaves transaction markers between the records.
    """
    return {table.source.qualified: _age(bootstrap, table) for table in tables}


def _age(bootstrap: str, table: CapturedTable) -> float | None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": table.group,  # only to read its offsets: it never subscribes or commits
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 5,
            "log_level": 0,
        }
    )
    try:
        topic = consumer.list_topics(table.topic, timeout=PATIENCE).topics[table.topic]
        if topic.error is not None:
            return None
        parts = [TopicPartition(table.topic, number) for number in topic.partitions]
        consumer.assign(consumer.committed(parts, timeout=PATIENCE))
        return _oldest(consumer, len(parts))
    finally:
        consumer.close()


def _oldest(consumer: Consumer, partitions: int) -> float | None:
    now, ages, seen = time.time(), [0.0], set[int | None]()
    deadline = time.monotonic() + PATIENCE
    while len(seen) < partitions:
        if time.monotonic() > deadline:
            return None
        message = consumer.poll(0.5)
        if message is None:
            continue
        error = message.error()
        if error is None:
            ages.append(now - message.timestamp()[1] / 1000)
        elif error.code() != KafkaError._PARTITION_EOF:
            return None
        seen.add(message.partition())
    return max(ages)
