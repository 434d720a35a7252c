"""Topics on a real broker."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from providers.base import ProviderError
from providers.topic import TopicProvider
from tests.providers.conftest import Services


def _props(services: Services, topic: str, **changed: Any) -> dict[str, Any]:
    return {
        "topic": topic,
        "bootstrap": services.kafka,
        "partitions": 2,
        "replication": 1,
        "config": {"retention.ms": "60000"},
        **changed,
    }


def test_created_twice_is_the_same_topic(services: Services) -> None:
    provider, props = TopicProvider(), _props(services, "twice")
    first, again = provider.create(props), provider.create(props)
    assert first.id == again.id == "twice"
    assert provider.read("twice", props).outs == props


def test_partitions_grow_and_configuration_follows(services: Services) -> None:
    provider, props = TopicProvider(), _props(services, "grows")
    provider.create(props)
    wanted = _props(services, "grows", partitions=5, config={"cleanup.policy": "compact"})
    assert provider.diff("grows", props, wanted).changes
    provider.update("grows", props, wanted)
    assert provider.read("grows", props).outs == wanted


def test_a_shrink_is_refused_at_preview_and_at_the_broker(services: Services) -> None:
    provider, props = TopicProvider(), _props(services, "shrinks")
    provider.create(props)
    smaller = _props(services, "shrinks", partitions=1)
    (failure,) = provider.check(props, smaller).failures
    assert "has 2 partitions and can't shrink to 1" in failure.reason
    with pytest.raises(ProviderError, match="can't shrink to 1"):
        provider.update("shrinks", props, smaller)
    assert provider.read("shrinks", props).outs == props


def test_what_was_changed_by_hand_is_seen_and_healed(services: Services) -> None:
    provider, props = TopicProvider(), _props(services, "drifts")
    provider.create(props)
    admin = AdminClient({"bootstrap.servers": services.kafka})
    by_hand = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in (("retention.ms", "5"), ("segment.ms", "7000"))
    ]
    resource = ConfigResource(ResourceType.TOPIC, "drifts", incremental_configs=by_hand)
    admin.incremental_alter_configs([resource])[resource].result()
    seen = provider.read("drifts", props).outs
    assert seen is not None
    assert seen["config"] == {"retention.ms": "5", "segment.ms": "7000"}
    assert provider.diff("drifts", seen, props).changes
    provider.update("drifts", seen, props)
    assert provider.read("drifts", props).outs == props


def test_a_topic_deleted_by_hand_is_missed(services: Services) -> None:
    provider, props = TopicProvider(), _props(services, "vanishes")
    provider.create(props)
    provider.delete("vanishes", props)
    assert provider.read("vanishes", props).id == ""
    provider.delete("vanishes", props)  # deleting what is gone is no failure


def test_a_broker_that_is_away_is_not_taken_for_a_missing_topic(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.topic.TIMEOUT", 1.0)
    nowhere = _props(services, "twice", bootstrap="127.0.0.1:9")
    with pytest.raises(ProviderError, match="Kafka does not answer"):
        TopicProvider().read("twice", nowhere)


def test_another_number_of_copies_is_told_and_the_topic_stays(services: Services) -> None:
    provider, props = TopicProvider(), _props(services, "copied")
    provider.create(props)
    wanted = {**props, "replication": 3}
    difference = provider.diff("copied", props, wanted)
    assert difference.changes and not difference.replaces
    for attempt in (lambda: provider.create(wanted), lambda: provider.update("copied", {}, wanted)):
        with pytest.raises(ProviderError, match="has 1 copies on the brokers and should have 3"):
            attempt()
    assert provider.read("copied", wanted).outs == props
