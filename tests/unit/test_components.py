"""Each tier declares what it promises, under its own name, with its secrets marked."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pytest

from catalog.model import CaptureOptions
from components.capture import Capture, CaptureArgs
from components.captured_table import CapturedTable, CapturedTableArgs
from components.clickhouse import ClickHouse, ClickHouseArgs
from components.configuration import config_file
from components.connect import Connect, ConnectArgs
from components.kafka import Kafka, KafkaArgs
from components.postgres import Postgres, PostgresArgs
from components.source import Source, SourceArgs
from ops.parts import Parts
from ops.readiness_model import UserIs
from platforms.local import LocalPlatform
from providers.source_table import SourceTable
from tests.unit.deployment import Registered, connection, deploy, only


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalPlatform:
    monkeypatch.setenv("CDC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CDC_CACHE", str(tmp_path / "cache"))
    where = Parts(*(Path("/parts") / name for name in ("java", "kafka", "plugins", "postgres")))
    monkeypatch.setattr("ops.parts.locate", lambda: where)
    return LocalPlatform("test")


def _source(user_is: UserIs = "administrator") -> Source:
    return Source(
        "source",
        SourceArgs(
            connection(),
            user_is,
            "cdc stack test",
            "reader",
            "pub",
            "slot",
            ["inventory.orders"],
            "http://c/x",
        ),
    )


def _kafka(platform: LocalPlatform) -> Kafka:
    return Kafka("kafka", KafkaArgs(19092, 19093), platform)


def _whole(platform: LocalPlatform) -> list[Registered]:
    def program() -> None:
        source, kafka = _source(), _kafka(platform)
        connect = Connect(
            "connect", ConnectArgs(18083, "/plugins", source.password), kafka, platform
        )
        clickhouse = ClickHouse("clickhouse", ClickHouseArgs(18123, queues=1), platform)
        options = CaptureOptions(table="inventory.orders")
        described = SourceTable("source-orders", connection=connection(), options=options)
        table = CapturedTable(
            "table-orders",
            CapturedTableArgs(options, described, "postgres-server", 3, 100, False),
            source,
            kafka,
            clickhouse,
        )
        Capture(
            "capture",
            CaptureArgs("inventory-connector", {"database.hostname": "db"}, "postgres-server", 20),
            source,
            kafka,
            connect,
            after=table.objects,
        )

    return deploy(program)


def test_every_child_hangs_below_its_tier(platform: LocalPlatform) -> None:
    for resource in _whole(platform):
        if not resource.type.startswith("cdc:tier:") and resource.name != "source-orders":
            assert resource.parent in {
                "source", "kafka", "connect", "clickhouse", "table-orders", "capture"
            }, resource  # fmt: skip


def test_postgres_brings_a_generated_password_that_stays_secret(platform: LocalPlatform) -> None:
    made = deploy(lambda: Postgres("postgres", PostgresArgs(15432, "shop", True), platform))
    process = only(made, "cdc:Process")
    assert "files.superuser-password" in process.secrets or "files" in process.secrets
    assert process.inputs["files"]["superuser-password"] == "generated-postgres-password"
    assert "value" in only(made, "cdc:Password").secret_outputs
    assert "generated-" not in process.inputs["section"]


def test_postgres_database_is_made_by_the_administrator_after_the_server_is_up(
    platform: LocalPlatform,
) -> None:
    made = deploy(lambda: Postgres("postgres", PostgresArgs(15432, "shop", False), platform))
    database = only(made, "cdc:PostgresDatabase")
    assert database.inputs["database"] == "shop"
    assert database.inputs["connection"]["database"] == "postgres"
    assert "postgres-process" in database.depends_on
    assert database.inputs["script"] == ""


def test_the_source_makes_the_slot_only_after_the_publication() -> None:
    made = deploy(_source)
    assert "source-publication" in only(made, "cdc:PostgresSlot").depends_on
    publication = only(made, "cdc:PostgresPublication")
    assert publication.inputs["tables"] == ["cdc.heartbeat", "inventory.orders"]
    assert "source-heartbeat" in publication.depends_on


def test_the_connectors_role_reads_the_captured_tables_and_nothing_else() -> None:
    role = only(deploy(_source), "cdc:PostgresRole")
    assert role.inputs["tables"] == ["inventory.orders"]
    assert {"password", "connection"} <= role.secrets


def test_a_connector_that_lends_the_given_user_makes_no_role() -> None:
    made = deploy(lambda: _source("owner"))
    assert not [each for each in made if each.type in ("cdc:PostgresRole", "cdc:Password")]
    assert only(made, "cdc:PostgresHeartbeat").inputs["role"] == "postgres"


def test_for_a_reader_nothing_but_the_slot_is_made() -> None:
    made = deploy(lambda: _source("reader"))
    kinds = {each.type for each in made if not each.type.startswith("cdc:tier:")}
    assert kinds == {"cdc:PostgresPublication", "cdc:PostgresSlot"}
    assert only(made, "cdc:PostgresPublication").inputs["prepared"] is True


def test_kafka_declares_topics_as_asked(platform: LocalPlatform) -> None:
    def program() -> None:
        kafka = _kafka(platform)
        kafka.topic("t", partitions=7, parent=kafka)

    topic = only(deploy(program), "cdc:Topic")
    assert topic.inputs["partitions"] == 7
    assert topic.inputs["replication"] == 1
    assert topic.inputs["config"]["cleanup.policy"] == "delete"
    assert topic.inputs["bootstrap"] == "127.0.0.1:19092"
    assert "kafka-process" in topic.depends_on


def test_connect_keeps_the_source_password_in_a_file_of_its_own(platform: LocalPlatform) -> None:
    made = _whole(platform)
    worker = only(made, "cdc:Process", "connect-process")
    assert worker.inputs["files"]["source-password"] == "generated-source-password"
    assert any(path.startswith("files") for path in worker.secrets)
    connector = only(made, "cdc:Connector")
    assert connector.inputs["config"]["database.password"].startswith("${directory:")
    assert "generated-source-password" not in str(connector.inputs)


def test_certificates_to_trust_reach_the_worker_as_a_file_and_the_connector_as_its_path(
    platform: LocalPlatform,
) -> None:
    def program() -> None:
        source, kafka = _source(), _kafka(platform)
        args = ConnectArgs(18083, "/plugins", source.password, "-----BEGIN CERTIFICATE-----")
        connect = Connect("connect", args, kafka, platform)
        ways = {"database.hostname": "db", "database.sslmode": "verify-full"}
        Capture("capture", CaptureArgs("c", ways, "p", 20), source, kafka, connect, after=[])

    made = deploy(program)
    files = only(made, "cdc:Process", "connect-process").inputs["files"]
    config = only(made, "cdc:Connector").inputs["config"]
    assert files["source-ca.pem"] == "-----BEGIN CERTIFICATE-----"
    assert config["database.sslmode"] == "verify-full"
    assert config["database.sslrootcert"].endswith("/connect/config/source-ca.pem")


def test_connect_starts_after_the_topics_it_keeps_its_state_in(platform: LocalPlatform) -> None:
    worker = only(_whole(platform), "cdc:Process", "connect-process")
    assert {
        f"topic-cdc-connect-{kind}" for kind in ("configs", "offsets", "status")
    } <= worker.depends_on


def test_the_connector_starts_last_and_is_exact(platform: LocalPlatform) -> None:
    connector = only(_whole(platform), "cdc:Connector")
    assert {"table-orders-objects", "source-slot", "connect-process"} <= connector.depends_on
    config = connector.inputs["config"]
    assert config["exactly.once.support"] == "required"
    assert config["publication.autocreate.mode"] == "disabled"
    assert config["skipped.operations"] == "none"
    assert config["table.include.list"] == (r"(?-i)inventory\.orders,(?-i)cdc\.heartbeat")
    assert connector.inputs["generation"] == "1000"


def test_clickhouse_knows_passwords_only_by_their_hash(platform: LocalPlatform) -> None:
    made = deploy(lambda: ClickHouse("clickhouse", ClickHouseArgs(18123, queues=1), platform))
    process = only(made, "cdc:Process")
    assert "generated-" not in str(process.inputs["files"])
    assert "connection" in only(made, "cdc:ClickHouseObjects").secrets


def test_a_captured_table_gets_topic_queue_history_current_state_and_view(
    platform: LocalPlatform,
) -> None:
    made = _whole(platform)
    topic = only(made, "cdc:Topic", "topic-postgres-server.inventory.orders")
    assert topic.inputs["partitions"] == 3
    objects = only(made, "cdc:ClickHouseObjects", "table-orders-objects")
    names = [each["name"] for each in objects.inputs["objects"]]
    for suffix in ("", "_queue", "_mv", "_history", "_final"):
        assert f"inventory.orders{suffix}" in names
    assert topic.name in objects.depends_on


def test_a_configuration_file_without_its_values_is_refused() -> None:
    with pytest.raises(KeyError, match="BIND"):
        config_file("postgres/postgresql.conf")
    with pytest.raises(ValueError, match="COLOUR"):
        config_file("postgres/pg_hba.conf", COLOUR="red")


def test_a_failing_assertion_about_a_deployment_fails() -> None:
    """The harness itself: looking for what isn't there must not pass."""
    made = deploy(_source)
    with pytest.raises(AssertionError):
        only(made, "cdc:Connector")
    with pytest.raises(AssertionError, match="declared nothing"):
        deploy(lambda: None)


def test_outputs_of_an_earlier_deployment_do_not_leak_into_the_next() -> None:
    first, second = deploy(_source), deploy(_source)
    assert [r.name for r in first] == [r.name for r in second]
    assert pulumi.get_stack() == "test"
