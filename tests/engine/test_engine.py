"""The unmodified program on the real Pulumi engine; the tests build on each other, in order."""

from __future__ import annotations

import json
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import requests
from confluent_kafka.admin import AdminClient, NewPartitions

from ops.stack import Deployed
from platforms.supervisor import Supervisor
from providers.process import ProcessProvider
from tests.checkout import Checkout, checkout, equal, kill_group

UP = ("up", "--yes", "--skip-preview", "-s", "local")
SERVICES = {"postgres", "kafka", "connect", "clickhouse"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with checkout(tmp_path_factory.mktemp("clone")) as copy:
        done = copy.pulumi("stack", "init", "local")
        assert done.returncode == 0, done.stderr
        yield copy


@pytest.fixture
def deployed(project: Checkout) -> Deployed:
    return project.deployed()


def _summary(output: str) -> dict[str, int]:
    """`Resources:` of an engine's output: what happened to how many."""
    return {
        verb: int(count)
        for count, verb in re.findall(
            r"^\s+[+\-~ ]*(\d+) (created|updated|deleted|replaced|unchanged|to \w+)", output, re.M
        )
    }


def _ok(done: Any) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def test_preview_of_nothing_starts_nothing(project: Checkout) -> None:
    planned = _summary(_ok(project.pulumi("preview", "-s", "local")))
    assert planned["to create"] > 30
    assert list(project.home.iterdir()) == []


def test_wrong_configuration_is_told_at_preview_in_one_line(project: Checkout) -> None:
    project.configure(partitions=0)
    done = project.pulumi("preview", "-s", "local")
    assert done.returncode != 0
    assert "cdc:partitions" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    project.configure(partitions=1)


def test_an_up_that_was_killed_and_one_that_was_interrupted_are_finished_by_the_next(
    project: Checkout,
) -> None:
    killed = project.start("pulumi", *UP, "--non-interactive")
    _wait((project.home / "local" / "conf.d" / "kafka.conf").exists)
    time.sleep(2)
    kill_group(killed)
    _ok(project.pulumi("cancel", "--yes", "-s", "local"))  # the lock of the killed run

    interrupted = project.start("pulumi", *UP, "--non-interactive")
    _wait((project.home / "local" / "conf.d" / "connect.conf").exists)
    interrupted.send_signal(signal.SIGINT)
    interrupted.wait(timeout=120)

    _ok(project.pulumi(*UP))
    _ok(project.cdc("up"))
    assert equal(project.verified())


def test_a_second_up_changes_nothing(project: Checkout) -> None:
    assert set(_summary(_ok(project.pulumi(*UP)))) == {"unchanged"}
    _ok(project.pulumi("preview", "--expect-no-changes", "-s", "local"))
    assert set(_summary(_ok(project.pulumi("refresh", "--yes", "-s", "local")))) == {"unchanged"}


def test_no_secret_is_readable_in_state_arguments_logs_or_the_rest_api(
    project: Checkout, deployed: Deployed
) -> None:
    passwords = {
        deployed.postgres.password,
        deployed.clickhouse.password,
        deployed.analyst.password,
        _reader_password(project),
    }
    assert len(passwords) == 4
    places = {
        str(path): path.read_text(errors="replace")
        for folder in (project.folder / ".pulumi-state", project.home / "local" / "logs")
        for path in folder.rglob("*")
        if path.is_file()
    }
    url = f"{deployed.connect.url}/connectors/{deployed.connect.connector}"
    places["connector"] = requests.get(f"{url}/config", timeout=10).text
    places["tasks"] = requests.get(f"{url}/tasks", timeout=10).text
    for process in psutil.process_iter(["cmdline", "environ"]):
        info = process.info
        if str(project.home) in " ".join(info["cmdline"] or []):
            places[f"process {process.pid}"] = f"{info['cmdline']} {info['environ']}"
    found = [place for place, text in places.items() for each in passwords if each in text]
    assert found == []
    for path in (project.home / "local").glob("*/config/*"):
        assert path.stat().st_mode & 0o077 == 0, path


def _reader_password(project: Checkout) -> str:
    return (project.home / "local" / "connect" / "config" / "source-password").read_text()


def test_drift_by_hand_is_seen_by_refresh_and_healed_by_up(
    project: Checkout, deployed: Deployed
) -> None:
    with deployed.postgres.connect() as connection:
        connection.execute("ALTER TABLE inventory.customers REPLICA IDENTITY DEFAULT")
        connection.execute(f"REVOKE SELECT ON inventory.orders FROM {deployed.slot}_reader")
    admin = AdminClient({"bootstrap.servers": deployed.kafka})
    heartbeats = deployed.heartbeat_topic
    admin.create_partitions([NewPartitions(heartbeats, 2)])[heartbeats].result()
    with deployed.clickhouse.client() as client:
        client.command("DROP VIEW inventory.products")
    url = f"{deployed.connect.url}/connectors/{deployed.connect.connector}"
    requests.put(f"{url}/pause", timeout=10).raise_for_status()
    _wait(
        lambda: requests.get(f"{url}/status", timeout=10).json()["connector"]["state"] == "PAUSED"
    )
    Supervisor(deployed.home).rpc().stopProcess("clickhouse")

    # What is stopped can't be asked; the process comes first.
    seen = project.pulumi("refresh", "--yes", "-s", "local")
    assert seen.returncode != 0, "ClickHouse is down, and refresh must say so"
    _ok(project.pulumi(*UP))
    found = _summary(_ok(project.pulumi("refresh", "--yes", "-s", "local")))
    # Grants, partitions and the view; identity and connector were healed by looking at them.
    assert found["updated"] == 3, found

    refused = project.pulumi(*UP)
    assert refused.returncode != 0, "the heartbeat topic has a partition too many: no silent shrink"
    assert "can't shrink to 1" in refused.stdout
    admin.delete_topics([heartbeats])[heartbeats].result()
    _ok(project.pulumi("refresh", "--yes", "-s", "local"))
    assert _summary(_ok(project.pulumi(*UP)))["created"] == 1
    _ok(project.pulumi("refresh", "--yes", "-s", "local"))
    _ok(project.pulumi("preview", "--expect-no-changes", "-s", "local"))
    assert equal(project.verified())


def test_a_lost_slot_is_told_in_one_message_and_the_next_up_loads_all_tables_again(
    project: Checkout, deployed: Deployed
) -> None:
    url = deployed.connect.connector_url
    requests.put(f"{url}/stop", timeout=10).raise_for_status()
    with deployed.postgres.connect() as connection:
        _wait(lambda: _drop_slot(connection, deployed.slot))
        # A change that no slot has kept: only a load can know of it.
        connection.execute("DELETE FROM inventory.inventory WHERE product_id = 1")
        connection.execute("UPDATE inventory.customers SET last_name = 'Gap' WHERE id = 1")
    told = f"slot {deployed.slot} is gone. What was changed since is in no log any more"
    for command in ("status", "verify"):
        done = project.cdc(command)
        assert done.returncode == 1
        lines = [line for line in (done.stdout + done.stderr).splitlines() if told in line]
        assert len(lines) == 1 and "./cdc resync" in lines[0], done.stdout + done.stderr
    done = project.cdc("resync")
    assert done.returncode == 0, done.stdout + done.stderr
    assert told in done.stdout
    assert equal(project.verified())
    assert project.cdc("status").returncode == 0
    with deployed.clickhouse.client() as client:
        name = client.command("SELECT last_name FROM inventory.customers WHERE id = 1")
        loads = client.query("SELECT countIf(stream != ''), count() FROM cdc.loads FINAL")
    assert name == "Gap"
    assert loads.result_rows == [(10, 10)], "five tables, once for each slot"


def test_a_table_is_added_and_dropped_under_load_without_touching_the_others(
    project: Checkout, deployed: Deployed
) -> None:
    with deployed.postgres.connect() as connection:
        connection.execute("CREATE TABLE inventory.extra (id integer PRIMARY KEY, note text)")
        connection.execute(
            "INSERT INTO inventory.extra SELECT n, 'there' FROM generate_series(1, 30000) n"
        )
        load = project.start(*project.command("load", "--seconds", "120", "--rate", "200"))
        stop = threading.Event()
        writer = threading.Thread(target=_write, args=(deployed, stop))
        writer.start()
        try:
            project.capture(add=("inventory.extra",))
            planned = _summary(_ok(project.pulumi("preview", "-s", "local")))
            # Role, publication and connector; of the others nothing, the slot least of all.
            assert (planned["to create"], planned["to update"]) == (5, 3), planned
            made = _summary(_ok(project.pulumi(*UP)))
            assert (made["created"], made["updated"]) == (5, 3), made
        finally:
            stop.set()
            writer.join()
        reports = project.verified()
        assert len(reports) == 6 and all(report["equal"] for report in reports), reports
        project.capture(drop=("inventory.extra",))
        gone = _summary(_ok(project.pulumi(*UP)))
        assert (gone["deleted"], gone["updated"]) == (5, 3), gone
        load.terminate()
        load.wait()
        connection.execute("DROP TABLE inventory.extra")
    assert equal(project.verified())


def _write(deployed: Deployed, stop: threading.Event) -> None:
    chance = random.Random(1)
    with deployed.postgres.connect() as connection:
        while not stop.is_set():
            key = chance.randrange(1, 30_000)
            connection.execute("DELETE FROM inventory.extra WHERE id = %s", [key])
            connection.execute(
                "UPDATE inventory.extra SET id = id + 30000, note = 'moved' WHERE id = %s AND NOT "
                "EXISTS (SELECT FROM inventory.extra AS o WHERE o.id = extra.id + 30000)",
                [chance.randrange(1, 30_000)],
            )
            connection.execute(
                "INSERT INTO inventory.extra VALUES (%s, 'new') ON CONFLICT (id) DO UPDATE "
                "SET note = extra.note || '+'",
                [chance.randrange(1, 60_000)],
            )
            time.sleep(0.01)


def test_one_changed_setting_touches_only_what_depends_on_it(project: Checkout) -> None:
    project.configure(flushIntervalMs=150)
    changed = _summary(_ok(project.pulumi(*UP)))
    assert changed["updated"] == 5, "the five tables' queues"
    assert "replaced" not in changed
    _ok(project.cdc("load", "--rows", "2000", "--rate", "2000"))
    assert equal(project.verified())


def test_a_column_added_in_postgres_arrives_with_the_next_up(
    project: Checkout, deployed: Deployed
) -> None:
    with deployed.postgres.connect() as connection:
        connection.execute("ALTER TABLE inventory.products ADD COLUMN colour text")
        connection.execute("UPDATE inventory.products SET colour = 'before' WHERE id = 1")
        planned = _summary(_ok(project.pulumi("preview", "-s", "local")))
        assert planned["to update"] >= 1
        _ok(project.pulumi(*UP))
        connection.execute("UPDATE inventory.products SET colour = 'after' WHERE id = 2")
    reports = {report["table"]: report for report in project.verified()}
    assert reports["inventory.products"]["schema_differences"] == []
    assert reports["inventory.products"]["dead_letters"] == 0, "replayed by the deployment"
    assert equal(list(reports.values()))


def test_destroy_leaves_no_process_slot_publication_or_topic_and_keeps_the_data(
    project: Checkout, deployed: Deployed
) -> None:
    processes = _state_of_processes(project)
    _ok(project.pulumi("destroy", "--yes", "--skip-preview", "-s", "local"))
    assert Supervisor(deployed.home).pid is None
    left = [p.pid for p in psutil.process_iter(["cmdline"]) if str(project.home) in str(p.info)]
    assert left == []
    for service in SERVICES - {"connect"}:  # which keeps everything in Kafka
        assert any((deployed.home / service / "data").iterdir()), f"{service}'s data"

    # Started once more, only to look inside.
    for name in ("postgres", "kafka"):
        ProcessProvider().create(processes[name])
    with deployed.postgres.connect() as connection:
        assert connection.execute("SELECT slot_name FROM pg_replication_slots").fetchall() == []
        assert connection.execute("SELECT pubname FROM pg_publication").fetchall() == []
        rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%reader'")
        assert rows.fetchall() == []
        count = connection.execute("SELECT count(*) FROM inventory.orders").fetchone()
        assert count is not None and count[0] > 10_000
    topics = set(AdminClient({"bootstrap.servers": deployed.kafka}).list_topics(timeout=10).topics)
    assert topics <= {"__consumer_offsets", "__transaction_state"}
    Supervisor(deployed.home).stop()


def _state_of_processes(project: Checkout) -> dict[str, dict[str, Any]]:
    exported = _ok(project.pulumi("stack", "export", "--show-secrets", "-s", "local"))
    found = {}
    for resource in json.loads(exported)["deployment"]["resources"]:
        if resource["type"].endswith(":Process"):
            found[resource["inputs"]["name"]] = _revealed(resource["inputs"])
    assert set(found) == SERVICES
    return found


def _revealed(value: Any) -> Any:
    if isinstance(value, dict):
        if "plaintext" in value:
            return json.loads(value["plaintext"])
        return {name: _revealed(each) for name, each in value.items()}
    return value


def _drop_slot(connection: Any, slot: str) -> bool:
    active = connection.execute(
        "SELECT active FROM pg_replication_slots WHERE slot_name = %s", [slot]
    ).fetchone()
    if active is None:
        return True
    if not active[0]:
        connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
    return False


def _wait(happened: Any, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)
