"""What runs beside the data path: declared where it is wanted, shut in, its secrets untold."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args

import pytest

from components.beside import Beside, BesideArgs
from components.clickhouse import ClickHouse, ClickHouseArgs
from components.kafka import Kafka, KafkaArgs
from components.settings import INTERFACES, BesideName, Ports
from ops.parts import Parts
from platforms.docker import DockerPlatform
from platforms.images import IMAGES, SIZES
from tests.unit.deployment import Registered, connection, deploy, only

ALL = get_args(BesideName)
CONTAINER = "docker:index/container:Container"
PASSWORDS = ("generated-exporters-postgres-password", "generated-grafana-password")


def _declared(services: Collection[BesideName]) -> list[Registered]:
    where = Parts(*(Path("/parts") / name for name in ("java", "kafka", "plugins", "postgres")))

    def program() -> None:
        platform = DockerPlatform("dev")
        Beside(
            "beside",
            BesideArgs(services, Ports(), connection(), "postgres:5432/shop", "watch", "mark"),
            Kafka("kafka", KafkaArgs(9092, 29093), platform),
            ClickHouse("clickhouse", ClickHouseArgs(8123, queues=1), platform),
            platform,
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops.parts.locate", lambda: where)
        return deploy(program)


@pytest.fixture(scope="module")
def made() -> list[Registered]:
    """All of them, and the two tiers that they need."""
    return _declared(ALL)


def _container(made: list[Registered], service: str) -> dict[str, Any]:
    return dict(only(made, CONTAINER, f"{service}-container").inputs)


def _files(made: list[Registered], service: str) -> dict[str, str]:
    files: dict[str, str] = only(made, "cdc:ConfigVolume", f"{service}-config").inputs["files"]
    return files


def test_nothing_is_declared_of_what_is_not_wanted() -> None:
    made = _declared(["node-exporter"])
    containers = {each.name for each in made if each.type == CONTAINER}
    assert containers == {f"{each}-container" for each in ("kafka", "clickhouse", "node-exporter")}
    assert "network-frontend" not in {each.name for each in made}
    assert not [each for each in made if each.type == "cdc:PostgresMonitorRole"]


@pytest.mark.parametrize("service", ALL)
def test_each_is_checked_limited_and_without_rights(made: list[Registered], service: str) -> None:
    container = _container(made, service)
    assert container["name"] == service
    assert container["healthcheck"]["tests"] == ["CMD", "sh", "/etc/cdc/health.sh"]
    assert container["memory"] == container["memorySwap"] == SIZES[service].memory_mb
    assert not container["user"].startswith("0")
    assert container["readOnly"] is True
    assert container["capabilities"] == {"drops": ["ALL"]}
    # Who sees the machine's processes can't be confined by labels; Docker says so by itself.
    disabled = ["label=disable"] if container.get("pidMode") == "host" else []
    assert container["securityOpts"] == ["no-new-privileges:true", *disabled]
    assert container["restart"] == "unless-stopped"
    assert ":" in IMAGES[service].reference.rsplit("/", 1)[-1], "pinned by tag"


@pytest.mark.parametrize("service", ALL)
def test_people_reach_interfaces_on_loopback_and_nothing_else(
    made: list[Registered], service: str
) -> None:
    container = _container(made, service)
    networks = {each["name"] for each in container["networksAdvanced"]}
    if service in INTERFACES:
        assert networks == {"cdc-dev-backend", "cdc-dev-frontend"}
        assert [port["ip"] for port in container["ports"]] == ["127.0.0.1"]
    else:
        assert networks == {"cdc-dev-backend"}
        assert not container.get("ports")


def test_the_frontend_lets_nothing_out(made: list[Registered]) -> None:
    network = only(made, "docker:index/network:Network", "network-frontend").inputs
    assert network["internal"] is False
    assert network["options"] == {"com.docker.network.bridge.enable_ip_masquerade": "false"}


def test_the_data_path_is_not_on_the_frontend(made: list[Registered]) -> None:
    for service in ("kafka", "clickhouse"):
        networks = {each["name"] for each in _container(made, service)["networksAdvanced"]}
        assert networks == {"cdc-dev-backend", "cdc-dev-operator"}


def test_passwords_are_files_and_neither_environment_nor_plain(made: list[Registered]) -> None:
    assert _files(made, "postgres-exporter")["password"] == PASSWORDS[0]
    assert _files(made, "grafana")["admin-password"] == PASSWORDS[1]
    assert "$__file{/etc/cdc/admin-password}" in _files(made, "grafana")["grafana.ini"]
    for each in made:
        told = {name: value for name, value in each.inputs.items() if name not in each.secrets}
        assert not [word for word in PASSWORDS if word in json.dumps(told)], each.name


def test_the_exporter_logs_in_as_a_role_that_is_made_before(made: list[Registered]) -> None:
    role = only(made, "cdc:PostgresMonitorRole")
    assert role.inputs["role"] == "watch"
    assert {"password", "connection"} <= role.secrets
    container = only(made, CONTAINER, "postgres-exporter-container")
    assert role.name in container.depends_on
    environment = container.inputs["envs"]
    assert "DATA_SOURCE_USER=watch" in environment
    assert "DATA_SOURCE_URI=postgres:5432/shop?sslmode=disable" in environment


def test_only_the_node_exporter_sees_the_machine_and_can_not_write_there(
    made: list[Registered],
) -> None:
    for service in ALL:
        container = _container(made, service)
        if service == "node-exporter":
            assert container["pidMode"] == "host"
            [machine] = [each for each in container["volumes"] if each.get("hostPath")]
            assert (machine["hostPath"], machine["readOnly"]) == ("/", True)
        else:
            assert not [each for each in container["volumes"] if each.get("hostPath")]
            assert not container.get("pidMode")


def test_prometheus_knows_what_is_declared_and_nothing_else(made: list[Registered]) -> None:
    def jobs(made: list[Registered], file: str) -> dict[str, str]:
        listed = json.loads(_files(made, "prometheus")[file])
        return {each["labels"]["job"]: each["targets"][0] for each in listed}

    assert jobs(made, "targets.json") == {
        "alertmanager": "alertmanager:9093",
        "clickhouse": "clickhouse:9363",
        "grafana": "grafana:3000",
        "kafka-exporter": "kafka-exporter:9308",
        "node-exporter": "node-exporter:9100",
        "postgres-exporter": "postgres-exporter:9187",
        "prometheus": "prometheus:9090",
    }
    assert jobs(made, "alertmanagers.json") == {"alertmanager": "alertmanager:9093"}
    alone = _declared(["prometheus"])
    assert set(jobs(alone, "targets.json")) == {"clickhouse", "prometheus"}
    assert jobs(alone, "alertmanagers.json") == {}


def test_each_starts_after_what_it_shows(made: list[Registered]) -> None:
    def before(service: str) -> frozenset[str]:
        return only(made, CONTAINER, f"{service}-container").depends_on

    exporters = {f"{each}-exporter-ready" for each in ("node", "postgres", "kafka")}
    assert {*exporters, "clickhouse-ready", "alertmanager-ready"} <= before("prometheus")
    assert "prometheus-ready" in before("grafana")
    assert "kafka-ready" in before("kafka-ui")
    for exporter in ("node", "postgres", "kafka"):
        assert "kafka-ready" in before(f"{exporter}-exporter")


def test_a_service_that_tells_the_operator_nothing_over_http_is_ready_by_its_own_check(
    made: list[Registered],
) -> None:
    kinds = {
        service: only(made, "cdc:ContainerReady", f"{service}-ready").inputs["health"]["kind"]
        for service in (*ALL, "kafka", "clickhouse")
    }
    asked = {name for name, kind in kinds.items() if kind == "http"}
    assert asked == {*INTERFACES, "clickhouse"}
    assert {kinds[name] for name in kinds.keys() - asked} == {"container"}


def test_only_what_keeps_data_has_a_volume_for_it(made: list[Registered]) -> None:
    volumes = {each.name for each in made if each.type == "docker:index/volume:Volume"} - {
        "kafka-data",
        "clickhouse-data",
    }
    kept = {"prometheus", "alertmanager", "grafana", "clickhouse-keeper"}
    assert volumes == {f"{each}-data" for each in kept}
