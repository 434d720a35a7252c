"""A Debezium connector on a real Connect worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from components.capture import EXACT
from providers.base import ProviderError
from providers.connector import ConnectorProvider
from providers.heartbeat import HeartbeatProvider
from providers.publication import PublicationProvider
from providers.role import RoleProvider
from providers.slot import SlotProvider
from providers.topic import TopicProvider
from tests.providers.conftest import READER_PASSWORD, Services

TABLES = ["inventory.customers", "cdc.heartbeat"]


@pytest.fixture(scope="module")
def source(services: Services) -> Iterator[None]:
    """Everything that the connector reads from and writes to."""
    connection = services.postgres
    role = {
        "connection": connection,
        "role": "connector_reader",
        "password": READER_PASSWORD,
        "tables": ["inventory.customers"],
    }
    heartbeat = {"connection": connection, "role": "connector_reader"}
    publication = {"connection": connection, "publication": "connector_pub", "tables": TABLES}
    slot = {"connection": connection, "slot": "connector_slot", "publication": "1"}
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


def _props(services: Services, **config: str) -> dict[str, Any]:
    secrets = services.home / "connect" / "config"
    return {
        "connector": "test",
        "url": services.connect,
        "generation": "1",
        "running": True,
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
    wrong = _props(services, **{"publication.name": "not_there", "errors.max.retries": "0"})
    provider = ConnectorProvider()
    with pytest.raises(ProviderError, match="ublication"):
        provider.create(wrong)
    provider.delete("test", wrong)


def _until_state(rest: str, state: str) -> None:
    deadline = time.monotonic() + 30
    while requests.get(f"{rest}/status", timeout=10).json()["connector"]["state"] != state:
        assert time.monotonic() < deadline
        time.sleep(0.2)
