"""What every container of the Docker stack is declared with, whatever service it runs."""

from __future__ import annotations

import re
from pathlib import Path

import pulumi
import pytest

from components.clickhouse import ClickHouse, ClickHouseArgs
from components.connect import Connect, ConnectArgs
from components.kafka import Kafka, KafkaArgs, Listeners
from components.postgres import Postgres, PostgresArgs
from ops.parts import CONVERTER_JAR, PLUGIN, Parts
from platforms.docker import DockerPlatform
from platforms.images import IMAGES, SIZES
from platforms.service import Endpoint
from tests.unit.deployment import Registered, deploy, only

CONTAINER = "docker:index/container:Container"
DATA_PATH = ("postgres", "kafka", "connect", "clickhouse")
HEAPS = {"kafka": KafkaArgs(1, 2).heap_mb, "connect": ConnectArgs(1, "", "").heap_mb}


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = tmp_path / "plugins" / PLUGIN / CONVERTER_JAR
    jar.parent.mkdir(parents=True)
    jar.write_bytes(b"\x00jar")
    where = Parts(tmp_path, tmp_path, tmp_path / "plugins", tmp_path)
    monkeypatch.setattr("ops.parts.locate", lambda: where)


@pytest.fixture
def made(parts: None) -> list[Registered]:
    """The data path on Docker, declared against mocks."""
    del parts

    def program() -> None:
        platform = DockerPlatform("test")
        Postgres("postgres", PostgresArgs(15432, "shop", False), platform)
        kafka = Kafka("kafka", KafkaArgs(19092, 29093), platform)
        secret = pulumi.Output.secret("generated-source-password")
        Connect("connect", ConnectArgs(18083, platform.connect_plugins, secret), kafka, platform)
        ClickHouse("clickhouse", ClickHouseArgs(18123, queues=1), platform)

    return deploy(program)


def _containers(made: list[Registered]) -> dict[str, Registered]:
    found = {each.inputs["hostname"]: each for each in made if each.type == CONTAINER}
    assert set(found) == set(DATA_PATH)
    return found


def test_every_image_is_pinned_and_every_service_has_a_size() -> None:
    assert set(SIZES) == set(IMAGES)
    for service, image in IMAGES.items():
        assert re.search(r":v?\d+\.[\w.-]+(@sha256:[0-9a-f]{64})?$", image.reference), service
        uid, gid = map(int, image.user.split(":"))
        assert uid > 0 and gid > 0, service


def test_every_container_has_a_health_check_limits_and_nothing_it_does_not_need(
    made: list[Registered],
) -> None:
    for service, container in _containers(made).items():
        given = container.inputs
        assert given["healthcheck"]["tests"] == ["CMD", "bash", "/etc/cdc/health.sh"]
        assert int(given["healthcheck"]["startPeriod"].rstrip("s")) >= 60
        assert given["memory"] == given["memorySwap"] == SIZES[service].memory_mb
        assert float(given["cpus"]) > 0
        assert given["user"] == IMAGES[service].user
        assert given["readOnly"] is True
        assert given["capabilities"] == {"drops": ["ALL"]}
        assert given["securityOpts"] == ["no-new-privileges:true"]
        assert given["restart"] == "unless-stopped"
        assert given["logDriver"] == "json-file" and given["logOpts"]["max-size"]
        assert not given.get("privileged")
    for service, heap_mb in HEAPS.items():
        assert SIZES[service].memory_mb > 1.5 * heap_mb, "a JVM is larger than its heap"


def test_containers_have_the_reference_s_names_in_stack_dev_and_their_stack_s_elsewhere(
    made: list[Registered],
) -> None:
    names = {service: each.inputs["name"] for service, each in _containers(made).items()}
    assert names == {service: f"test-{IMAGES[service].container}" for service in DATA_PATH}
    assert IMAGES["postgres"].container == "postgres-source"
    assert IMAGES["connect"].container == "kafka-connect"


def test_only_what_the_operator_must_reach_is_published_and_on_loopback(
    made: list[Registered],
) -> None:
    published = {
        service: [(each["ip"], each["external"], each["internal"]) for each in given["ports"]]
        for service, given in ((s, c.inputs) for s, c in _containers(made).items())
    }
    ports = {"postgres": 15432, "kafka": 19092, "connect": 18083, "clickhouse": 18123}
    assert published == {name: [("127.0.0.1", port, port)] for name, port in ports.items()}


def test_the_backend_is_internal_and_the_operators_network_lets_nothing_out(
    made: list[Registered],
) -> None:
    backend = only(made, "docker:index/network:Network", "network-backend").inputs
    operator = only(made, "docker:index/network:Network", "network-operator").inputs
    assert backend["internal"] is True and operator["internal"] is False
    masquerade = "com.docker.network.bridge.enable_ip_masquerade"
    assert operator["options"][masquerade] == "false"
    for container in _containers(made).values():
        assert [each["name"] for each in container.inputs["networksAdvanced"]] == [
            "cdc-test-backend",
            "cdc-test-operator",
        ]


def test_only_who_reads_a_source_elsewhere_has_a_way_out(parts: None) -> None:
    del parts

    def program() -> None:
        platform = DockerPlatform("test")
        kafka = Kafka("kafka", KafkaArgs(19092, 29093), platform)
        args = ConnectArgs(18083, platform.connect_plugins, "secret", outside=True)
        Connect("connect", args, kafka, platform)

    found = deploy(program)
    networks = {
        each.inputs["hostname"]: [n["name"] for n in each.inputs["networksAdvanced"]]
        for each in found
        if each.type == CONTAINER
    }
    assert networks == {
        "kafka": ["cdc-test-backend", "cdc-test-operator"],
        "connect": ["cdc-test-backend", "cdc-test-outside"],
    }
    outside = only(found, "docker:index/network:Network", "network-outside").inputs
    assert outside["internal"] is False and not outside["options"]


def test_secrets_reach_a_container_as_files_and_nowhere_else(made: list[Registered]) -> None:
    for service, container in _containers(made).items():
        assert "generated-" not in str(dict(container.inputs)), service
        files = only(made, "cdc:ConfigVolume", f"{service}-config")
        assert "files" in files.secrets
        [mount] = [v for v in container.inputs["volumes"] if v["containerPath"] == "/etc/cdc"]
        assert mount["readOnly"] is True
    worker = only(made, "cdc:ConfigVolume", "connect-config").inputs
    assert worker["files"]["source-password"] == "generated-source-password"
    assert worker["binaries"] == {CONVERTER_JAR: "AGphcg=="}


def test_data_outlives_the_stack(made: list[Registered]) -> None:
    for service, container in _containers(made).items():
        volume = only(made, "docker:index/volume:Volume", f"{service}-data")
        mounts = {v["containerPath"]: v for v in container.inputs["volumes"]}
        assert mounts[IMAGES[service].volume]["volumeName"] == volume.inputs["name"]
        assert volume.retained


def test_a_container_makes_room_for_its_successor_and_a_new_health_check_makes_one(
    made: list[Registered],
) -> None:
    for container in _containers(made).values():
        assert container.delete_first
        # The published provider writes it into its state and leaves the container as it is.
        assert container.replace_on == {"healthcheck"}


def test_services_and_the_operator_each_reach_kafka_by_the_address_they_were_given(
    made: list[Registered],
) -> None:
    text = only(made, "cdc:ConfigVolume", "kafka-config").inputs["files"]["server.properties"]
    told = dict(re.findall(r"^([\w.]+)=(.*)$", text, re.M))
    assert told["advertised.listeners"] == (
        "CLIENT://kafka:19093,OPERATOR://127.0.0.1:19092,CONTROLLER://kafka:29093"
    )
    assert told["listeners"] == (
        "CLIENT://0.0.0.0:19093,OPERATOR://0.0.0.0:19092,CONTROLLER://0.0.0.0:29093"
    )
    worker = only(made, "cdc:ConfigVolume", "connect-config").inputs["files"]
    assert "bootstrap.servers=kafka:19093\n" in worker["connect-distributed.properties"]
    assert only(made, "cdc:Topic", "topic-cdc-connect-configs").inputs["bootstrap"] == (
        "127.0.0.1:19092"
    )


def test_a_controller_on_the_port_of_the_services_is_refused() -> None:
    address = Endpoint("kafka", 9092, "127.0.0.1", 9092, bind="every")
    with pytest.raises(pulumi.RunError, match="cdc:kafkaControllerPort"):
        Listeners(address, 9093)
