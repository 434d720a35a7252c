"""Brokers and workers by configuration: what three and several are declared with."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import config as runtime_config

from components.capture import Capture, CaptureArgs
from components.connect import Connect, ConnectArgs
from components.kafka import Kafka, KafkaArgs
from components.settings import Settings
from components.source import Source, SourceArgs
from ops.parts import CONVERTER_JAR, PLUGIN, Parts
from platforms.docker import SCRIPTS, DockerPlatform
from providers.cluster import ClusterProvider
from tests.unit.deployment import Registered, connection, deploy, only

CONTAINER = "docker:index/container:Container"
BROKERS = ("kafka-1", "kafka-2", "kafka-3")
WORKERS = ("connect", "connect-2")


@pytest.fixture(autouse=True)
def _parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = tmp_path / "plugins" / PLUGIN / CONVERTER_JAR
    jar.parent.mkdir(parents=True)
    jar.write_bytes(b"jar")
    where = Parts(tmp_path, tmp_path, tmp_path / "plugins", tmp_path)
    monkeypatch.setattr("ops.parts.locate", lambda: where)


def _declared(brokers: int, workers: int) -> list[Registered]:
    def program() -> None:
        platform = DockerPlatform("dev")
        kafka = Kafka("kafka", KafkaArgs(19092, 29093, brokers), platform)
        args = ConnectArgs(18083, platform.connect_plugins, "secret", workers=workers)
        connect = Connect("connect", args, kafka, platform)
        described = SourceArgs(
            connection(), "reader", "m", "reader", "pub", "slot", ["a.b"], "http://c/x"
        )
        source = Source("source", described)
        settings = CaptureArgs("c", {"database.hostname": "db"}, "p", 20)
        Capture("capture", settings, source, kafka, connect, after=[])

    return deploy(program)


@pytest.fixture
def made() -> list[Registered]:
    return _declared(brokers=3, workers=2)


def _containers(made: list[Registered]) -> dict[str, Registered]:
    return {each.inputs["hostname"]: each for each in made if each.type == CONTAINER}


def _properties(made: list[Registered], service: str, file: str) -> dict[str, str]:
    text = only(made, "cdc:ConfigVolume", f"{service}-config").inputs["files"][file]
    return dict(re.findall(r"^([\w.]+)=(.*)$", text, re.M))


def test_three_brokers_know_each_other_and_have_one_id(made: list[Registered]) -> None:
    controllers = [f"{name}:29093" for name in BROKERS]
    ids = set()
    for number, service in enumerate(BROKERS, 1):
        told = _properties(made, service, "server.properties")
        assert told["node.id"] == str(number)
        assert told["controller.quorum.bootstrap.servers"] == ",".join(controllers)
        assert told["controller.quorum.voters"] == ",".join(
            f"{place}@{controller}" for place, controller in enumerate(controllers, 1)
        )
        files = only(made, "cdc:ConfigVolume", f"{service}-config").inputs["files"]
        ids.add(str(files["cluster-id"]))
    assert len(ids) == 1
    assert only(made, "cdc:Cluster").inputs["nodes"] == 3


def test_each_broker_advertises_an_address_of_its_own_to_either_side(
    made: list[Registered],
) -> None:
    for service, port in zip(BROKERS, (19092, 19094, 19096), strict=True):
        told = _properties(made, service, "server.properties")
        assert told["advertised.listeners"] == (
            f"CLIENT://{service}:{port + 1},OPERATOR://127.0.0.1:{port},"
            f"CONTROLLER://{service}:29093"
        )
        ports = _containers(made)[service].inputs["ports"]
        assert [(each["ip"], each["external"]) for each in ports] == [("127.0.0.1", port)]
    worker = _properties(made, "connect", "connect-distributed.properties")
    assert worker["bootstrap.servers"] == "kafka-1:19093,kafka-2:19095,kafka-3:19097"
    topic = only(made, "cdc:Topic", "topic-cdc-connect-configs").inputs
    assert topic["bootstrap"] == "127.0.0.1:19092,127.0.0.1:19094,127.0.0.1:19096"


def test_every_topic_has_three_copies_and_takes_no_write_that_two_have_not(
    made: list[Registered],
) -> None:
    topics = [each.inputs for each in made if each.type == "cdc:Topic"]
    assert len(topics) == 5
    assert {each["replication"] for each in topics} == {3}
    assert {each["config"]["min.insync.replicas"] for each in topics} == {"2"}
    told = _properties(made, "kafka-2", "server.properties")
    assert {told[name] for name in told if name.endswith(("replication.factor",))} == {"3"}
    assert {told[name] for name in told if name.endswith(("min.isr", "insync.replicas"))} == {"2"}
    worker = _properties(made, "connect-2", "connect-distributed.properties")
    assert {worker[name] for name in worker if name.endswith("replication.factor")} == {"3"}


def test_brokers_start_together_and_nothing_before_all_of_them_answer(
    made: list[Registered],
) -> None:
    containers = {f"{name}-container" for name in BROKERS}
    for service in BROKERS:
        assert containers <= only(made, "cdc:ContainerReady", f"{service}-ready").depends_on
        assert not containers & _containers(made)[service].depends_on
        assert "kafka-cluster" in _containers(made)[service].depends_on
    topic = only(made, "cdc:Topic", "topic-cdc-connect-configs")
    assert {f"{name}-ready" for name in BROKERS} <= topic.depends_on


def test_workers_are_one_group_and_each_is_reached_by_its_own_name(
    made: list[Registered],
) -> None:
    told = [_properties(made, name, "connect-distributed.properties") for name in WORKERS]
    same = ("group.id", "offset.storage.topic", "exactly.once.source.support", "bootstrap.servers")
    assert all(told[0][name] == told[1][name] for name in same)
    assert [each["rest.advertised.host.name"] for each in told] == list(WORKERS)
    assert [each["rest.advertised.port"] for each in told] == ["18083", "18084"]
    names = {service: each.inputs["name"] for service, each in _containers(made).items()}
    assert names == {name: name for name in BROKERS} | {
        "connect": "kafka-connect",
        "connect-2": "kafka-connect-2",
    }
    for service in WORKERS:
        files = only(made, "cdc:ConfigVolume", f"{service}-config")
        assert files.inputs["files"]["source-password"] == "secret"
        assert files.inputs["binaries"], "the converter"
    connector = only(made, "cdc:Connector")
    assert {"connect-ready", "connect-2-ready"} <= connector.depends_on
    assert connector.inputs["url"] == "http://127.0.0.1:18083"


def test_one_broker_is_its_own_quorum() -> None:
    made = _declared(brokers=1, workers=1)
    assert set(_containers(made)) == {"kafka", "connect"}
    told = _properties(made, "kafka", "server.properties")
    assert told["controller.quorum.voters"] == ""
    assert told["controller.quorum.bootstrap.servers"] == "kafka:29093"
    assert "cluster-id" not in only(made, "cdc:ConfigVolume", "kafka-config").inputs["files"]


def test_another_worker_leaves_the_first_as_it_is() -> None:
    one, two = _declared(brokers=1, workers=1), _declared(brokers=1, workers=2)
    before, after = _containers(one), _containers(two)
    assert after.keys() - before.keys() == {"connect-2"}
    assert {name: after[name].inputs for name in before} == {
        name: each.inputs for name, each in before.items()
    }


@pytest.mark.parametrize("several", [False, True])
def test_storage_is_formatted_once_for_the_cluster_that_it_belongs_to(
    tmp_path: Path, several: bool
) -> None:
    java, config, data = tmp_path / "java", tmp_path / "config", tmp_path / "data"
    java.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    java.chmod(0o755)
    for folder in (config, data):
        folder.mkdir()
    if several:
        (config / "cluster-id").write_text("abc")
    environment = {
        **{"PATH": "/usr/bin:/bin", "JAVA": str(java), "KAFKA_LIBS": "/libs", "HEAP_MB": "1"},
        **{"CLASS_ARCHIVES": "/a", "CDC_CONFIG": str(config), "CDC_DATA": str(data)},
    }

    def start() -> list[str]:
        (tmp_path / "calls").unlink(missing_ok=True)
        script = ["sh", str(SCRIPTS / "launch" / "kafka.sh")]
        subprocess.run(script, env=environment, check=True)
        return (tmp_path / "calls").read_text().splitlines()

    formatting, broker = start()
    assert "kafka.Kafka" in broker
    assert ("-t abc " in formatting) == several
    assert ("--standalone" in formatting) != several
    (data / "meta.properties").write_text("cluster.id=abc")
    assert len(start()) == 1


def test_another_number_of_nodes_is_refused_with_the_steps_to_take() -> None:
    provider = ClusterProvider()
    wanted = {"setting": "cdc:brokers", "kept": "its topics"}
    [told] = provider.faults({**wanted, "nodes": 1}, {**wanted, "nodes": 3})
    assert "with 1 can't become one with 3" in told
    assert "./cdc verify" in told and "./cdc down" in told and "docs/runbook.md" in told
    assert provider.faults({}, {**wanted, "nodes": 3}) == []
    assert provider.faults({**wanted, "nodes": 3.0}, {**wanted, "nodes": 3}) == []


def test_a_cluster_s_id_is_of_kafka_s_own_form() -> None:
    made = [ClusterProvider().create({"nodes": 3}).outs for _ in range(200)]
    ids = {each["cluster"] for each in made if each}
    assert len(ids) == 200
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", each) for each in ids)


def _read(**values: Any) -> Settings:
    given: Mapping[str, Any] = {"tables": ["a.b"], "platform": "docker", **values}
    texts = {f"cdc:{k}": v if isinstance(v, str) else json.dumps(v) for k, v in given.items()}
    runtime_config.set_all_config(texts)
    return Settings.read(pulumi.Config("cdc"), "s")


def test_every_broker_and_worker_has_a_port_that_is_looked_at_before() -> None:
    used = _read(brokers=3, connectWorkers=3, portOffset=100).ports_used()
    assert {9192, 9194, 9196, 8183, 8184, 8185} <= set(used.values())
    assert len(used) == 5 + 2 + 2
    four = _read(clickhouseNodes=4).ports_used()
    assert {8123, 8124, 8125, 8126} <= set(four.values())


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"brokers": 2}, "cdc:brokers: .*1 or 3"),
        ({"connectWorkers": 0}, "cdc:connectWorkers"),
        ({"connectWorkers": 9}, "cdc:connectWorkers"),
        ({"brokers": 3, "platform": "local"}, "need cdc:platform docker"),
        ({"connectWorkers": 2, "platform": "local"}, "need cdc:platform docker"),
        ({"brokers": 3, "connectPort": 9094}, "9094 is cdc:connectPort's"),
        ({"connectWorkers": 8, "clickhousePort": 8085}, "8085 is cdc:clickhousePort's"),
        ({"connectWorkers": 2, "connectPort": 65535}, "65536 is no TCP port"),
        ({"clickhouseNodes": 2}, "cdc:clickhouseNodes: .*two shards of two replicas"),
        ({"clickhouseNodes": 4, "platform": "local"}, "need cdc:platform docker"),
        ({"clickhouseNodes": 4, "connectPort": 8125}, "8125 is cdc:connectPort's"),
        ({"clickhouseNodes": 4, "services": ["clickhouse-keeper"]}, "three Keepers come with"),
    ],
)
def test_a_size_that_can_not_be_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(pulumi.RunError, match=sentence):
        _read(**values)
