"""KafkaPosition against a real broker: transactions, their markers, tombstones, consumer groups."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from catalog.model import CapturedTable, SourceTable
from ops.position import KafkaPosition
from tests.local.scratch import kafka

LSN = 5_000


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with kafka() as address:
        yield address


class Chain:
    """Plays Debezium (a transactional producer) and ClickHouse (a group's committed offsets)."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.bootstrap = bootstrap
        self.heartbeat = f"{name}.heartbeat"
        source = SourceTable(schema_="shop", name=name, columns=(), key=("id",))
        self.table = CapturedTable(
            source=source, topic=f"{name}.t", database="shop", table=name, group=f"group.{name}"
        )
        admin = AdminClient({"bootstrap.servers": bootstrap})
        topics = [NewTopic(self.heartbeat, 1), NewTopic(self.table.topic, 2)]
        for made in admin.create_topics(topics).values():
            made.result(30)
        self.producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name})
        self.producer.init_transactions(30)

    def write(self, *values: bytes | None, partition: int = 0, commit: bool = True) -> None:
        self.producer.begin_transaction()
        for value in values:
            self.producer.produce(self.table.topic, value, key=b"k", partition=partition)
        self._end(commit)

    def beat(self, lsn: int) -> None:
        self.producer.begin_transaction()
        event = {"op": "u", "source": {"lsn": lsn}}
        self.producer.produce(self.heartbeat, json.dumps(event).encode())
        self._end(True)

    def _end(self, commit: bool) -> None:
        if commit:
            self.producer.commit_transaction(30)
        else:
            self.producer.flush(30)
            self.producer.abort_transaction(30)

    def consumed(self, offset: int, partition: int = 0) -> None:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.table.group})
        place = TopicPartition(self.table.topic, partition, offset)
        consumer.commit(offsets=[place], asynchronous=False)
        consumer.close()

    def behind(self, beat: Callable[[], None], seconds: float = 3.0) -> str:
        position = KafkaPosition(self.bootstrap, self.heartbeat, beat, [self.table])
        found = position(LSN, time.monotonic() + seconds)
        assert found.keys() <= {self.table.source.qualified}
        return found.get(self.table.source.qualified, "")


@pytest.fixture
def chain(bootstrap: str, request: pytest.FixtureRequest) -> Chain:
    return Chain(bootstrap, request.node.name[:40])


def test_a_group_that_read_the_last_record_has_caught_up(chain: Chain) -> None:
    chain.write(b"1", b"2")
    chain.consumed(2)  # the transaction's marker is offset 2 and never read
    assert chain.behind(lambda: chain.beat(LSN), 20) == ""


def test_a_group_one_record_short_is_behind(chain: Chain) -> None:
    chain.write(b"1", b"2")
    chain.consumed(1)
    assert "stands at offset 1 of 2 in partition 0" in chain.behind(lambda: chain.beat(LSN))


def test_a_group_that_committed_nothing_is_behind(chain: Chain) -> None:
    chain.write(b"1", partition=1)
    assert "stands at offset 0 of 1 in partition 1" in chain.behind(lambda: chain.beat(LSN))


def test_a_topic_without_records_keeps_nobody_waiting(chain: Chain) -> None:
    assert chain.behind(lambda: chain.beat(LSN), 20) == ""


def test_tombstones_and_aborted_records_are_not_waited_for(chain: Chain) -> None:
    chain.write(b"1")
    for _ in range(30):
        chain.write(None)
    chain.write(*[b"aborted"] * 300, commit=False)
    chain.consumed(1)
    assert chain.behind(lambda: chain.beat(LSN), 20) == ""


def test_a_heartbeat_before_the_position_proves_nothing(chain: Chain) -> None:
    assert "no heartbeat past the position" in chain.behind(lambda: chain.beat(LSN - 1))


def test_a_heartbeat_of_before_the_question_proves_nothing(chain: Chain) -> None:
    chain.beat(LSN + 1)
    assert "no heartbeat past the position" in chain.behind(lambda: None)
