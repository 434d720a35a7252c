"""Three brokers and two workers on a real Docker engine; each test builds on the one before."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
import pytest
import requests
from confluent_kafka import Consumer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from ops.stack import Deployed
from platforms.containers import containers
from providers.base import until
from tests.checkout import Checkout, equal
from tests.docker.conftest import STACK

CORES, WANTED = 4, "CDC_SIZING"
pytestmark = pytest.mark.skipif(
    (os.cpu_count() or 1) < CORES and os.environ.get(WANTED) != "1",
    reason=f"three brokers and two workers take eight minutes more with less than {CORES} cores: "
    f"{WANTED}=1 runs them (on two they pass)",
)

BROKERS = ("kafka-1", "kafka-2", "kafka-3")
WORKERS = ("connect", "connect-2")
ORDERS = "postgres-server.inventory.orders"
MOVES = 120.0  # seconds within which another worker must run the task
ARRIVE = 120.0  # seconds, of which a quiet machine needs a few
CATCHES_UP = 120.0  # seconds within which a broker that came back has all copies


@pytest.fixture
def deployed(project: Checkout) -> Deployed:
    return project.deployed()


def _ok(done: Any) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@contextmanager
def _load(project: Checkout) -> Iterator[Any]:
    """Changes all the while; it must still be running when the block ends."""
    load = project.start(*project.command("load", "--seconds", "300", "--rate", "300"))
    try:
        time.sleep(5)
        yield load
        assert load.poll() is None, "the load ended by itself"
    finally:
        load.terminate()
        load.wait()


def _unhealthy(project: Checkout) -> set[str]:
    status = json.loads(project.cdc("status", "--json").stdout)
    return {each["name"] for each in status["services"] if not each["healthy"]}


def _partitions(deployed: Deployed) -> dict[tuple[str, int], Any]:
    admin = AdminClient({"bootstrap.servers": deployed.kafka, "log_level": 0})
    topics = list(admin.list_topics(timeout=30).topics)
    found = admin.describe_topics(TopicCollection(topics), request_timeout=30)
    return {
        (name, each.id): each for name, topic in found.items() for each in topic.result().partitions
    }


def _orders(deployed: Deployed) -> int:
    with deployed.clickhouse.client() as client:
        return int(client.query("SELECT count() FROM inventory.orders_history").result_rows[0][0])


def _task_at(url: str, connector: str) -> str:
    """The worker that runs the connector's task, '' while none does."""
    found = requests.get(f"{url}/connectors/{connector}/status", timeout=5).json()
    running = [each for each in found["tasks"] if each["state"] == "RUNNING"]
    return str(running[0]["worker_id"]).split(":")[0] if running else ""


def _events(deployed: Deployed) -> Counter[tuple[int, str, bytes]]:
    """The committed events of the orders by position, operation and key."""
    settings = {
        **{"bootstrap.servers": deployed.kafka, "group.id": "cdc-test", "log_level": 0},
        **{"isolation.level": "read_committed", "enable.partition.eof": True},
    }
    consumer = Consumer(settings)
    found: Counter[tuple[int, str, bytes]] = Counter()
    try:
        consumer.assign([TopicPartition(ORDERS, 0, 0)])
        while (message := consumer.poll(30)) is not None and message.error() is None:
            key, event = message.key(), json.loads(message.value() or b"")
            assert isinstance(key, bytes)
            found[(event["source"]["lsn"], event["op"], key)] += 1
        assert message is not None, "the end of the topic was not reached"
    finally:
        consumer.close()
    return found


def _nothing_twice(deployed: Deployed) -> None:
    events = _events(deployed)
    assert events
    assert [each for each, times in events.items() if times > 1] == []


def test_up_ends_with_all_rows_equal_and_a_row_for_each_broker_and_worker(
    project: Checkout,
) -> None:
    # What runs beside the data path would be five containers more, and is test_stack's.
    project.write(brokers=3, connectWorkers=2, services=[])
    assert "Up in" in _ok(project.cdc("up", timeout=600))
    assert equal(project.verified())
    status = json.loads(_ok(project.cdc("status", "--json")))
    names = [each["name"] for each in status["services"]]
    assert names == ["postgres", *BROKERS, *WORKERS, "clickhouse"]
    versions = {each["name"]: each["version"] for each in status["services"]}
    assert {versions[name] for name in BROKERS} == {"KRaft, 3 broker(s)"}
    for each in status["services"]:
        print(f"{each['name']}: {each['memory_mb']} MB")


def test_a_second_up_changes_nothing(project: Checkout) -> None:
    assert f"Stack {STACK}: nothing to change" in _ok(project.cdc("up"))
    _ok(project.pulumi("preview", "--expect-no-changes", "-s", STACK))


def test_all_topics_have_three_copies_and_writes_need_two(deployed: Deployed) -> None:
    partitions = _partitions(deployed)
    topics = {name for name, _ in partitions}
    assert {ORDERS, "__consumer_offsets", "__transaction_state", "cdc-connect-offsets"} <= topics
    assert {len(each.replicas) for each in partitions.values()} == {3}
    assert {len(each.isr) for each in partitions.values()} == {3}
    admin = AdminClient({"bootstrap.servers": deployed.kafka, "log_level": 0})
    for topic in topics:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        told = admin.describe_configs([resource], request_timeout=30)[resource].result()
        assert told["min.insync.replicas"].value == "2", topic


@pytest.mark.timeout(600)
def test_a_broker_that_is_killed_under_load_loses_nothing_and_stops_nothing(
    client: docker.DockerClient, project: Checkout, deployed: Deployed
) -> None:
    leader = _partitions(deployed)[(ORDERS, 0)].leader
    service = f"kafka-{leader.id}"
    with _load(project):
        containers(client, STACK)[service].kill()
        began, before = time.monotonic(), _orders(deployed)
        until(lambda: _orders(deployed) > before + 500, ARRIVE, "more orders arriving")
        print(f"500 orders more {time.monotonic() - began:.1f} s after {service} was killed")
        assert _unhealthy(project) == {service}
    assert equal(project.verified())
    _nothing_twice(deployed)
    assert f"Stack {STACK}: nothing to change" in _ok(project.cdc("up"))
    until(
        lambda: {len(each.isr) for each in _partitions(deployed).values()} == {3},
        CATCHES_UP,
        "the broker catching up",
    )
    assert equal(project.verified())


@pytest.mark.timeout(600)
def test_the_task_of_a_killed_worker_moves_and_nothing_is_lost_or_doubled(
    client: docker.DockerClient, project: Checkout, deployed: Deployed
) -> None:
    workers, connector = deployed.connect.workers, deployed.connect.connector
    assert set(workers) == set(WORKERS)
    here = _task_at(deployed.connect.url, connector)
    [there] = set(WORKERS) - {here}
    with _load(project):
        containers(client, STACK)[here].kill()
        began = time.monotonic()
        until(lambda: _task_at(workers[there], connector) == there, MOVES, "the task moving")
        print(f"the task ran on {there} {time.monotonic() - began:.1f} s after {here} was killed")
        before = _orders(deployed)
        until(lambda: _orders(deployed) > before + 500, ARRIVE, "more orders arriving")
        assert _unhealthy(project) == {here}
    assert equal(project.verified())
    _nothing_twice(deployed)
    assert f"Stack {STACK}: nothing to change" in _ok(project.cdc("up"))
    until(lambda: not _unhealthy(project), ARRIVE, "the worker coming back", every=1)


def test_a_worker_less_or_more_leaves_the_others_and_the_data_as_they_are(
    client: docker.DockerClient, project: Checkout
) -> None:
    before = {name: each.id for name, each in containers(client, STACK).items()}
    for count, expected in ((1, set(before) - {"connect-2"}), (2, set(before))):
        project.write(connectWorkers=count)
        _ok(project.cdc("up"))
        now = {name: each.id for name, each in containers(client, STACK).items()}
        assert set(now) == expected
        assert {n: now[n] for n in now if n != "connect-2"} == {
            n: before[n] for n in before if n != "connect-2"
        }
        assert equal(project.verified())


@pytest.mark.timeout(900)
def test_fewer_brokers_are_refused_and_the_steps_that_are_told_work(
    client: docker.DockerClient, project: Checkout
) -> None:
    before = {name: each.id for name, each in containers(client, STACK).items()}
    project.write(brokers=1)
    refused = project.cdc("up")
    assert refused.returncode == 1
    assert "a stack with 3 can't become one with 1" in refused.stdout + refused.stderr
    assert {name: each.id for name, each in containers(client, STACK).items()} == before
    for step in ("verify", "down", "up"):
        _ok(project.cdc(step, timeout=600))
    assert set(containers(client, STACK)) == {"postgres", "kafka", *WORKERS, "clickhouse"}
    assert equal(project.verified())
    _ok(project.cdc("down", "--purge"))
    assert client.volumes.list(filters={"label": f"cdc.stack={STACK}"}) == []
