"""kill -9 of every service under load, and every row and value after it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from ops.stack import Deployed
from platforms.supervisor import Supervisor
from tests.checkout import Checkout, checkout, equal
from tests.seeds import run_seed

SERVICES = ("connect", "clickhouse", "kafka", "postgres")
SEED = run_seed()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with checkout(tmp_path_factory.mktemp("clone")) as copy:
        done = copy.cdc("up")
        assert done.returncode == 0, done.stdout + done.stderr
        yield copy


@pytest.fixture(scope="module")
def deployed(project: Checkout) -> Deployed:
    return project.deployed()


def _kill(deployed: Deployed, service: str) -> None:
    """kill -9 of a service, and not before it is up after an earlier one."""
    deadline = time.monotonic() + 60
    while True:
        state = Supervisor(deployed.home).state(service)
        if state is not None and state["statename"] == "RUNNING":
            break
        assert time.monotonic() < deadline, f"{service} does not come back"
        time.sleep(0.2)
    os.kill(int(state["pid"]), signal.SIGKILL)


def test_a_minute_of_load_with_every_service_killed_in_turn_loses_and_doubles_nothing(
    project: Checkout, deployed: Deployed
) -> None:
    chance = random.Random(SEED)
    print(f"CDC_TEST_SEED={SEED}")
    until = time.monotonic() + 60
    kills = 0
    while time.monotonic() < until:
        # The workload ends when its database is killed under it: a client's own affair.
        load = project.start(*project.command("load", "--seconds", "60", "--rate", "1000"))
        for service in SERVICES:
            time.sleep(chance.uniform(2, 6))
            _kill(deployed, service)
            kills += 1
        load.terminate()
        load.wait()
    assert kills >= len(SERVICES)
    reports = project.verified()
    assert equal(reports), (SEED, reports)
    _no_change_is_missing_from_the_history(deployed)


def _no_change_is_missing_from_the_history(deployed: Deployed) -> None:
    """Exactly once into Kafka: no offset's event is in a topic twice under another offset."""
    with deployed.clickhouse.client() as client:
        for table in ("orders", "customers", "products", "inventory", "shipments"):
            rows = client.query(
                "SELECT count(), uniqExact(_partition, _offset) "
                f"FROM inventory.{table}_history FINAL"
            ).result_rows
            assert rows[0][0] == rows[0][1], table


def test_a_broker_killed_amid_commits_leaves_no_transaction_open(deployed: Deployed) -> None:
    """Kafka 4.3.0 to 4.4.0 fail this (KAFKA-20734).

    Such a broker, started again within the session of its former self, takes a partition without
    a leader for deleted and a transaction's end for written. Nobody gets to read committed records
    of that partition any more, a Connect worker its positions among them, which then never starts.
    """
    topic, count = "committers", 24
    admin = AdminClient({"bootstrap.servers": deployed.kafka})
    admin.create_topics([NewTopic(topic, count, 1)])[topic].result(30)
    command = [sys.executable, "-m", "tests.faults.committers", deployed.kafka, topic, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as committers:
        try:
            assert committers.stdout is not None
            assert committers.stdout.readline() == "all have committed\n"
            _kill(deployed, "kafka")
        finally:
            committers.kill()  # they never end by themselves, and would be waited for
    deadline = time.monotonic() + 120
    told: object = None
    while told != {}:
        assert time.monotonic() < deadline, told
        time.sleep(1)
        try:
            told = _held(admin, topic, count)
        except KafkaException as error:
            told = error  # it leads its partitions only some seconds after it answers
    admin.delete_topics([topic])[topic].result(30)


def _held(admin: AdminClient, topic: str, partitions: int) -> dict[int, tuple[int, int]]:
    """Partitions with an open transaction: up to where committed records are read, and the end."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(topic, number): latest for number in range(partitions)}

    def ends(level: IsolationLevel) -> dict[int, int]:
        found = admin.list_offsets(wanted, isolation_level=level, request_timeout=30)
        return {place.partition: each.result().offset for place, each in found.items()}

    read, written = ends(IsolationLevel.READ_COMMITTED), ends(IsolationLevel.READ_UNCOMMITTED)
    return {n: (read[n], written[n]) for n in written if read[n] != written[n]}


def test_a_supervisor_killed_with_all_its_services_is_healed_by_up(
    project: Checkout, deployed: Deployed
) -> None:
    pid = Supervisor(deployed.home).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    done = project.cdc("up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert equal(project.verified())
