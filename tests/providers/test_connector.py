"""A Debezium connector on a real Connect worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import requests
from confluent_kafka import Producer

from components.capture import EXACT
from providers import connector
from providers.base import ProviderError
from providers.connector import ConnectorProvider
from providers.heartbeat import BEAT, HeartbeatProvider
from providers.publication import PublicationProvider
from providers.role import RoleProvider
from providers.slot import SlotProvider, fault
from providers.topic import TopicProvider
from tests.providers.conftest import READER_PASSWORD, Services

TABLES = ["inventory.customers", "cdc.heartbeat"]
# With a snapshot to take the connector looks for its publication at once.
BROKEN = {
    "publication.name": "not_there",
    "errors.max.retries": "0",
    "snapshot.mode": "initial",
}


@pytest.fixture(scope="module")
def source(services: Services) -> Iterator[None]:
    """Everything that the connector reads from and writes to."""
    connection = services.postgres
    role = {
        "connection": connection,
        "role": "connector_reader",
        "password": READER_PASSWORD,
        "tables": ["inventory.customers"],
        "mark": "cdc stack test",
    }
    heartbeat = {"connection": connection, "role": "connector_reader"}
    publication = {
        "connection": connection,
        "publication": "connector_pub",
        "tables": TABLES,
        "mark": "cdc stack test",
        "prepared": False,
    }
    slot = _slot(services)
    RoleProvider().create(role)
    HeartbeatProvider().create(heartbeat)
    PublicationProvider().create(publication)
    SlotProvider().create(slot)
    for topic in ("c.inventory.customers", "c.cdc.heartbeat", "__debezium-heartbeat.c"):
        TopicProvider().create(
            {
                "topic": topic,
                "bootstrap": services.kafka,
                "partitions": 1,
                "replication": 1,
                "config": {},
            }
        )
    yield
    SlotProvider().delete("connector_slot", slot)
    PublicationProvider().delete("connector_pub", publication)
    HeartbeatProvider().delete("cdc.heartbeat", heartbeat)
    RoleProvider().delete("connector_reader", role)


def _slot(services: Services) -> dict[str, Any]:
    return {
        "connection": services.postgres,
        "slot": "connector_slot",
        "publication": "1",
        "reader": f"{services.connect}/connectors/test",
    }


def _props(services: Services, **config: str) -> dict[str, Any]:
    secrets = services.home / "connect" / "config"
    return {
        "connector": "test",
        "url": services.connect,
        "generation": "1",
        "running": True,
        "snapshot_tables": [],
        "snapshotted": None,
        "config": {
            "name": "test",
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "tasks.max": "1",
            "database.hostname": "127.0.0.1",
            "database.port": str(services.ports.postgres),
            "database.user": "connector_reader",
            "database.password": f"${{directory:{secrets}:source-password}}",
            "database.dbname": "inventory",
            "plugin.name": "pgoutput",
            "topic.prefix": "c",
            "slot.name": "connector_slot",
            "publication.name": "connector_pub",
            "publication.autocreate.mode": "disabled",
            "table.include.list": "inventory\\.customers,cdc\\.heartbeat",
            "snapshot.mode": "no_data",
            **EXACT,
            **config,
        },
    }


@pytest.mark.usefixtures("source")
def test_the_life_of_a_connector(services: Services) -> None:
    provider, props = ConnectorProvider(), _props(services)
    outs = provider.create(props).outs
    assert outs is not None
    rest = f"{services.connect}/connectors/test"
    assert provider.read("test", outs).outs == outs
    shown = requests.get(rest, timeout=10).text + requests.get(f"{rest}/tasks", timeout=10).text
    assert READER_PASSWORD not in shown

    started = requests.get(f"{rest}/status", timeout=10).json()
    provider.update("test", outs, props)
    assert requests.get(f"{rest}/status", timeout=10).json() == started, "nothing was restarted"

    changed = _props(services, **{"poll.interval.ms": "77"})
    assert provider.diff("test", outs, changed).changes
    provider.update("test", outs, changed)
    assert requests.get(f"{rest}/config", timeout=10).json()["poll.interval.ms"] == "77"

    requests.put(f"{rest}/config", json={**props["config"], "poll.interval.ms": "9"}, timeout=10)
    time.sleep(1)
    seen = provider.read("test", changed).outs
    assert seen is not None
    assert "config" in provider.changed(seen, changed), "drift by hand"
    provider.update("test", seen, changed)

    requests.put(f"{rest}/pause", timeout=10)
    _until_state(rest, "PAUSED")
    seen = provider.read("test", changed).outs
    assert seen is not None
    assert provider.changed(seen, changed) == ["running"]
    provider.update("test", seen, changed)
    assert requests.get(f"{rest}/status", timeout=10).json()["connector"]["state"] == "RUNNING"

    provider.update("test", changed, {**changed, "generation": "2"})
    provider.delete("test", changed)
    assert provider.read("test", changed).id == ""
    provider.delete("test", changed)


@pytest.mark.usefixtures("source")
def test_a_wrong_value_is_named_before_anything_is_registered(services: Services) -> None:
    wrong = _props(services, **{"snapshot.mode": "sometimes"})
    with pytest.raises(ProviderError, match=r"snapshot\.mode"):
        ConnectorProvider().create(wrong)
    assert ConnectorProvider().read("test", wrong).id == ""


@pytest.mark.usefixtures("source")
def test_a_failing_tasks_trace_is_what_the_user_reads(services: Services) -> None:
    wrong = _props(services, **BROKEN)
    provider = ConnectorProvider()
    with pytest.raises(ProviderError, match="ublication"):
        provider.create(wrong)
    provider.delete("test", wrong)


@pytest.mark.usefixtures("source")
def test_a_slot_that_was_made_again_stops_the_connector_and_is_replaced(services: Services) -> None:
    beat = {"heartbeat.interval.ms": "200", "heartbeat.action.query": BEAT}
    provider, props = ConnectorProvider(), _props(services, **beat)
    outs = provider.create(props).outs
    assert outs is not None
    slots, slot = SlotProvider(), _slot(services)
    rest = f"{services.connect}/connectors/test"
    try:
        with services.sql() as conn:
            _wait(lambda: requests.get(f"{rest}/offsets", timeout=10).json()["offsets"])
            assert not slots.diff("connector_slot", slot, slot).changes
            # While it stands still: the one moment in which nothing else would tell.
            requests.put(f"{rest}/stop", timeout=10)
            _wait(lambda: not _being_read(conn))
            conn.execute("SELECT pg_drop_replication_slot('connector_slot')")
            conn.execute(BEAT)
            conn.execute("SELECT pg_create_logical_replication_slot('connector_slot', 'pgoutput')")
            conn.execute(BEAT)
            assert "was made again" in fault(conn, "connector_slot", slot["reader"])
        with pytest.raises(ProviderError, match=r"no longer in its slot.*cdc up"):
            provider.update("test", outs, props)
        assert slots.diff("connector_slot", slot, slot).replaces == ["slot"]
        slots.delete("connector_slot", slot)
        made = slots.create(slot).outs
        assert made is not None
        provider.update("test", outs, {**props, "generation": made["lsn"]})
        assert not slots.diff("connector_slot", slot, slot).changes
    finally:
        provider.delete("test", props)


UNASSIGNED = {"state": "UNASSIGNED", "trace": None, "worker_id": "gone:1", "generation": 1_000_000}


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("statuses", "seen"),
    [
        ({"task-test-0": UNASSIGNED}, "connector RUNNING on .*, task 0 UNASSIGNED on gone:1"),
        ({"connector-test": UNASSIGNED}, "connector UNASSIGNED on gone:1, task 0 RUNNING on .*"),
        ({"connector-test": None}, "it has no status"),
        ({"task-test-0": None}, "connector RUNNING on [^,]*"),
    ],
)
def test_what_connect_takes_for_neither_running_nor_failed_is_started_once_more(
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    statuses: dict[str, dict[str, Any] | None],
    seen: str,
) -> None:
    monkeypatch.setattr(connector, "STARTING", 1.0)
    provider, props = ConnectorProvider(), _props(services)
    outs = provider.create(props).outs
    assert outs is not None
    try:
        _say(services, statuses)
        _wait(lambda: provider.diff("test", outs, props).changes)
        monkeypatch.setattr(connector, "SETTLE", 1.0)
        with pytest.raises(ProviderError, match=rf"within 1 s: {seen} \(`./cdc logs"):
            provider.update("test", outs, props)
        monkeypatch.setattr(connector, "SETTLE", 30.0)
        monkeypatch.setattr(connector, "STUCK", 1.0)
        provider.update("test", outs, props)
        assert not provider.diff("test", outs, props).changes
    finally:
        provider.delete("test", props)


def _say(services: Services, statuses: dict[str, dict[str, Any] | None]) -> None:
    """Writes what Connect is to believe: the last word in its status topic counts."""
    producer = Producer({"bootstrap.servers": services.kafka})
    for part, status in statuses.items():
        value = json.dumps(status) if status else None
        producer.produce("cdc-connect-status", value, f"status-{part}")
    assert producer.flush(10) == 0


def _being_read(conn: psycopg.Connection[Any]) -> bool:
    """Whether somebody reads from the slot, which no other session can do meanwhile."""
    row = conn.execute(
        "SELECT active FROM pg_replication_slots WHERE slot_name = 'connector_slot'"
    ).fetchone()
    return row is not None and bool(row[0])


def _wait(happened: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


def _until_state(rest: str, state: str) -> None:
    deadline = time.monotonic() + 30
    while requests.get(f"{rest}/status", timeout=10).json()["connector"]["state"] != state:
        assert time.monotonic() < deadline
        time.sleep(0.2)
