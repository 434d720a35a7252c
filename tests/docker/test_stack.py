"""The unmodified program on a real Docker engine; the tests build on each other, in order."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
import requests
from confluent_kafka import Producer

from ops.stack import Deployed
from platforms.containers import containers, published
from platforms.images import IMAGES, SIZES
from tests.checkout import Checkout, equal
from tests.docker.conftest import STACK
from tests.images.build import LABEL as STAND_IN

DATA_PATH = ("connect", "clickhouse", "kafka", "postgres")
MIB = 1024 * 1024


@pytest.fixture
def deployed(project: Checkout) -> Deployed:
    return project.deployed()


@pytest.fixture
def running(client: docker.DockerClient, project: Checkout) -> dict[str, Any]:
    found = containers(client, STACK)
    assert set(found) == {*DATA_PATH, *project.beside()}
    return found


def _ok(done: Any) -> str:
    # Enough of it: a hundred lines with the resources' names come before what went wrong.
    assert done.returncode == 0, "\n".join((done.stdout + done.stderr).splitlines()[-12:])
    return str(done.stdout)


def test_up_ends_with_all_rows_equal_and_all_containers_healthy(
    client: docker.DockerClient, project: Checkout
) -> None:
    told = _ok(project.cdc("up", timeout=600))
    assert "Up in" in told
    assert equal(project.verified())
    for service, container in containers(client, STACK).items():
        _wait_healthy(container, service)
    status = json.loads(_ok(project.cdc("status", "--json")))
    assert {each["name"]: each["state"] for each in status["services"]} == dict.fromkeys(
        (*DATA_PATH, *project.beside()), "healthy"
    )
    assert all(each["memory_mb"] > 2 for each in status["services"]), status


def test_a_second_up_changes_nothing(project: Checkout) -> None:
    assert f"Stack {STACK}: nothing to change" in _ok(project.cdc("up"))
    _ok(project.pulumi("preview", "--expect-no-changes", "-s", STACK))


def test_every_container_is_confined_as_declared(running: dict[str, Any]) -> None:
    for service, container in running.items():
        host, config = container.attrs["HostConfig"], container.attrs["Config"]
        assert config["User"] == IMAGES[service].user and not config["User"].startswith("0")
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"]
        disabled = ["label=disable"] if host["PidMode"] == "host" else []
        assert host["SecurityOpt"] == ["no-new-privileges:true", *disabled]
        assert host["Memory"] == host["MemorySwap"] == SIZES[service].memory_mb * MIB
        assert host["NanoCpus"] == float(SIZES[service].cpus) * 1e9
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert host["LogConfig"]["Config"] == {"max-size": "20m", "max-file": "4"}
        writable = {m["Destination"] for m in container.attrs["Mounts"] if m["RW"]}
        assert writable == {IMAGES[service].volume} - {""}, service
        code, told = container.exec_run(["sh", "-c", "id -u; touch /etc/cdc/x /x 2>&1; true"])
        assert code == 0
        assert told.decode().startswith(config["User"].split(":")[0]), told
        assert told.decode().count("Read-only file system") == 2, told


def test_networks_are_as_specified_and_ports_are_published_on_loopback_only(
    client: docker.DockerClient, running: dict[str, Any], deployed: Deployed
) -> None:
    backend, operator, frontend = (
        client.networks.get(f"cdc-{STACK}-{name}") for name in ("backend", "operator", "frontend")
    )
    assert backend.attrs["Internal"] and not operator.attrs["Internal"]
    for service, container in running.items():
        networks = container.attrs["NetworkSettings"]["Networks"]
        others = [operator.name] if service in DATA_PATH else []
        others += [frontend.name] if deployed.beside.get(service) else []
        assert set(networks) == {backend.name, *others}, service
    ports = {
        deployed.postgres.port,
        int(deployed.kafka.rsplit(":", 1)[1]),
        int(deployed.connect.url.rsplit(":", 1)[1]),
        deployed.clickhouse.port,
        *(int(at.rsplit(":", 1)[1]) for at in deployed.beside.values() if at),
    }
    assert published(client, STACK) == ports
    listening = {
        (each.laddr.ip, each.laddr.port)
        for each in psutil.net_connections(kind="tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr.port in ports
    }
    # Docker's own proxies, where the engine is on this machine.
    assert listening <= {("127.0.0.1", port) for port in ports}
    # Out of the stack's networks there is no way.
    code, _ = running["kafka"].exec_run(
        ["timeout", "3", "bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/80"]
    )
    assert code != 0


def test_no_secret_is_readable_in_state_arguments_environment_logs_or_the_rest_api(
    project: Checkout, deployed: Deployed, running: dict[str, Any]
) -> None:
    passwords = {
        deployed.postgres.password,
        deployed.clickhouse.password,
        deployed.analyst.password,
        _read(running["connect"], "/etc/cdc/source-password"),
        _read(running["postgres-exporter"], "/etc/cdc/password"),
    }
    assert len(passwords) == 5
    places = {
        str(path): path.read_text(errors="replace")
        for path in Path(project.folder / ".pulumi-state").rglob("*")
        if path.is_file()
    }
    for service, container in running.items():
        places[f"inspection of {service}"] = json.dumps(container.attrs)
        places[f"processes of {service}"] = json.dumps(container.top())
        places[f"log of {service}"] = container.logs().decode(errors="replace")
        code, modes = container.exec_run(["sh", "-c", "stat -c '%a %u' /etc/cdc/*"])
        owner = IMAGES[service].user.split(":")[0]
        assert code == 0 and set(modes.decode().split("\n")) == {f"400 {owner}", ""}, modes
    assert [place for place, text in places.items() for each in passwords if each in text] == []


def test_prometheus_reads_what_the_exporters_tell(
    client: docker.DockerClient, project: Checkout, deployed: Deployed
) -> None:
    answer = requests.get(f"{deployed.beside['prometheus']}/api/v1/targets", timeout=5).json()
    health = {each["labels"]["job"]: each["health"] for each in answer["data"]["activeTargets"]}
    assert set(health) >= {"clickhouse", *project.beside()} - {"kafka-ui"}
    clickhouse = client.images.get(IMAGES["clickhouse"].reference)
    if STAND_IN in clickhouse.labels:
        del health["clickhouse"]  # the embedded daemon tells no metrics
    assert set(health.values()) == {"up"}, health
    query = {"query": f'pg_replication_slots_active{{slot_name="{deployed.slot}"}}'}
    found = requests.get(f"{deployed.beside['prometheus']}/api/v1/query", query, timeout=5).json()
    assert [each["value"][1] for each in found["data"]["result"]] == ["1"]


@pytest.mark.timeout(900)
def test_each_data_path_container_that_is_killed_under_load_loses_nothing(
    project: Checkout, running: dict[str, Any]
) -> None:
    for service in DATA_PATH:
        load = project.start(*project.command("load", "--seconds", "30", "--rate", "500"))
        time.sleep(4)
        running[service].kill()
        # Where the task needed longer than `up` waits, it was started once more: that is healed.
        _ok(project.cdc("up", timeout=300))
        _ok(project.pulumi("preview", "--expect-no-changes", "-s", STACK))
        load.terminate()
        load.wait()
        assert equal(project.verified()), service


def test_a_worker_killed_within_a_transaction_is_waited_for(
    project: Checkout, running: dict[str, Any], deployed: Deployed
) -> None:
    running["connect"].kill()
    # As it leaves one now and then: its position written, and not committed.
    name = f"cdc-connect-{deployed.connect.connector}-0"
    left = Producer({"bootstrap.servers": deployed.kafka, "transactional.id": name})
    left.init_transactions(20)
    left.begin_transaction()
    left.produce("cdc-connect-offsets", b"{}", b"of nobody")
    assert left.flush(20) == 0
    assert f"Stack {STACK}: nothing to change" in _ok(project.cdc("up"))
    assert equal(project.verified())


def test_one_changed_setting_replaces_the_containers_it_must_and_keeps_the_data(
    client: docker.DockerClient,
    project: Checkout,
    running: dict[str, Any],
    deployed: Deployed,
) -> None:
    before = {service: container.id for service, container in running.items()}
    moved = deployed.clickhouse.port + 7000
    offset = deployed.clickhouse.port - 8123
    project.configure(clickhousePort=moved - offset)
    assert "replaced" in _ok(project.cdc("up"))
    after = project.deployed()
    assert after.clickhouse.port == moved
    now = {service: each.id for service, each in containers(client, STACK).items()}
    assert [service for service in before if before[service] != now[service]] == ["clickhouse"]
    assert equal(project.verified())


def test_destroy_leaves_nothing_but_volumes_and_purge_not_even_those(
    client: docker.DockerClient, project: Checkout
) -> None:
    _ok(project.cdc("down"))
    ours = {"label": f"cdc.stack={STACK}"}
    assert client.containers.list(all=True, filters=ours) == []
    assert client.networks.list(filters=ours) == []
    left = {volume.name for volume in client.volumes.list(filters=ours)}
    kept = [each for each in (*DATA_PATH, *project.beside()) if IMAGES[each].volume]
    assert left == {f"cdc-{STACK}-{service}-data" for service in kept}
    _ok(project.cdc("down", "--purge"))
    assert client.volumes.list(filters=ours) == []


def _read(container: Any, path: str) -> str:
    code, told = container.exec_run(["cat", path])
    assert code == 0, told
    return str(told.decode())


def _wait_healthy(container: Any, service: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while container.attrs["State"]["Health"]["Status"] != "healthy":
        assert time.monotonic() < deadline, (service, container.attrs["State"]["Health"])
        time.sleep(0.5)
        container.reload()
