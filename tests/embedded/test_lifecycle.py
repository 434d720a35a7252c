"""Starting, stopping, dying: the daemon owns its directory and keeps what it acknowledged."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time

import pytest
import requests

from embedded.__main__ import EXIT_CONFIG, EXIT_IN_USE, EXIT_PORT
from tests.embedded.daemon import ADMIN, ROOT, Daemon

KAFKA = (
    "CREATE TABLE {name} (a String) ENGINE = Kafka SETTINGS kafka_broker_list = '127.0.0.1:1', "
    "kafka_topic_list = 'x', kafka_group_name = 'g', kafka_format = 'JSONAsString'"
)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a daemon that should refuse to start."""
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


def test_a_second_daemon_is_told_who_is_in_the_way(shared: Daemon, own: Daemon) -> None:
    second = run(shared.command())
    assert second.returncode == EXIT_IN_USE
    assert "another process has this data directory" in second.stdout
    taken = run(own.command(shared.port))
    assert taken.returncode == EXIT_PORT
    assert "cannot listen on" in taken.stdout
    assert shared.ask("SELECT 1") == "1\n"


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("<password_sha256_hex>", "<password_sha256_hex>zz", "needs password_sha256_hex"),
        ("<profile>readonly</profile>", "<profile>nope</profile>", "profile nope"),
        ("<readonly>1</readonly>", "<profile>default</profile>", "inherits another"),
        ("<ip>::/0</ip>", "<host>x</host>", "networks given as ip"),
        ('<default remove="remove"/>', "<default/>", "user default must carry"),
        ("</clickhouse>", "", "users.xml"),
    ],
)
def test_users_that_cannot_be_served_faithfully_are_refused(
    own: Daemon, before: str, after: str, reason: str
) -> None:
    users = own.directory / "users.xml"
    users.write_text(users.read_text().replace(before, after))
    refused = run(own.command())
    assert refused.returncode == EXIT_CONFIG
    assert reason in refused.stdout


def test_sigterm_with_kafka_tables_exits_cleanly_and_they_are_back_after_it(own: Daemon) -> None:
    own.start()
    own.ask("CREATE DATABASE inventory")
    for name in ("first", "second"):
        table = f"inventory.{name}_queue"
        own.ask(KAFKA.format(name=table))
        own.ask(f"CREATE TABLE inventory.{name} (a String) ENGINE = MergeTree ORDER BY a")
        view = f"inventory.{name}_view TO inventory.{name}"
        own.ask(f"CREATE MATERIALIZED VIEW {view} AS SELECT a FROM {table}")
    for _ in range(2):
        # Consuming has begun: this is what made the engine abort on closing.
        time.sleep(1)
        assert own.end(signal.SIGTERM) == 0
        own.start()
        tables = own.ask(
            "SELECT engine, count() FROM system.tables WHERE database = 'inventory' "
            "GROUP BY engine ORDER BY engine"
        )
        assert tables == "Kafka\t2\nMaterializedView\t2\nMergeTree\t2\n"


def test_sigterm_ends_running_queries_and_idle_connections(own: Daemon) -> None:
    own.start()
    idle = socket.create_connection(("127.0.0.1", own.port))
    answers: list[requests.Response] = []
    sql = "SELECT sum(sin(number)) FROM numbers(100000000000)"
    client = threading.Thread(target=lambda: answers.append(own.post(sql)))
    client.start()
    time.sleep(1)
    started = time.monotonic()
    assert own.end(signal.SIGTERM) == 0
    assert time.monotonic() - started < 8
    client.join(5)
    idle.close()
    assert answers[0].headers["X-ClickHouse-Exception-Code"] == "394"


def test_no_acknowledged_insert_is_lost_when_killed(own: Daemon) -> None:
    own.start()
    own.ask("CREATE TABLE kept (w UInt8, n UInt32) ENGINE = MergeTree ORDER BY (w, n)")
    acknowledged: set[tuple[int, int]] = set()

    def insert(worker: int, start: int) -> None:
        number = start
        while True:
            try:
                response = own.post(f"{worker}\t{number}\n", query="INSERT INTO kept FORMAT TSV")
            except requests.RequestException:
                return
            if response.status_code == 200:
                acknowledged.add((worker, number))
            number += 1

    for round_ in range(3):
        workers = [
            threading.Thread(target=insert, args=(worker, round_ * 100_000)) for worker in range(3)
        ]
        for worker in workers:
            worker.start()
        time.sleep(0.7 + 0.3 * round_)
        own.end(signal.SIGKILL)
        for worker in workers:
            worker.join(10)
        own.start()
    rows = own.ask("SELECT w, n FROM kept").splitlines()
    stored = {(int(w), int(n)) for w, n in (row.split("\t") for row in rows)}
    assert len(acknowledged) > 50
    assert acknowledged <= stored


def test_a_killed_daemon_leaves_no_request_bodies_behind(own: Daemon) -> None:
    own.start()
    # A full tmpfs file and the rest on disk: longer than what a body may hold in memory.
    body = (b"%d\n" % n * 4096 for n in range(10**6, 10**6 + 2000))
    sender = threading.Thread(target=send_slowly, args=(own, body))
    sender.start()
    spool = own.data / "spool"
    for _ in range(200):
        if any(spool.iterdir()):
            break
        time.sleep(0.05)
    assert any(spool.iterdir())
    own.end(signal.SIGKILL)
    sender.join(10)
    own.start()
    assert not any(spool.iterdir())


def send_slowly(daemon: Daemon, body: object) -> None:
    """Send a body until the daemon goes away."""
    insert = {"query": "INSERT INTO FUNCTION null('a Int64') FORMAT TSV"}
    with pytest.raises(requests.RequestException):
        requests.post(daemon.url, params=insert, data=body, auth=ADMIN, timeout=30)  # type: ignore[arg-type]
