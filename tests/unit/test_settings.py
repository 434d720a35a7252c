"""Bad configuration is told in one line each, before anything is declared."""

from __future__ import annotations

import json
import re
from typing import Any

import pulumi
import pytest
from pulumi.runtime import config as runtime_config

from components.settings import Settings


def _read(**values: Any) -> Settings:
    texts = {
        f"cdc:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in {"tables": ["inventory.orders"], **values}.items()
    }
    runtime_config.set_all_config(texts)
    return Settings.read(pulumi.Config("cdc"), "my-stack")


def test_what_the_stack_leaves_out_keeps_its_default() -> None:
    settings = _read()
    assert settings.database == "inventory"
    assert settings.slot == "cdc_my_stack"
    assert settings.ports.postgres == 5432


def test_one_offset_moves_every_port() -> None:
    before, after = _read(postgresPort=6000).ports, _read(postgresPort=6000, portOffset=100).ports
    assert after.postgres == 6100
    pairs = zip(before.model_dump().values(), after.model_dump().values(), strict=True)
    assert {moved - port for port, moved in pairs} == {100}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"partitions": 0}, "cdc:partitions"),
        ({"portOffset": 70000}, "is not a TCP port"),
        ({"slot": "Not-A-Slot"}, "cdc:slot"),
        ({"platform": "mainframe"}, "cdc:platform"),
        ({"platform": "docker", "services": ["gafana"]}, "cdc:services.*'gafana'"),
        ({"services": ["grafana"]}, "cdc:services are containers.*take grafana out"),
        (
            {"platform": "docker", "services": ["alertmanager"]},
            "alertmanager is told by prometheus",
        ),
        ({"tables": []}, "list at least one table"),
        ({"tables": ["orders"]}, "schema.table|two names with a dot"),
        ({"tables": ["inventory.orders", "inventory.orders"]}, "listed twice"),
        ({"tables": [{"table": "inventory.orders", "colour": "red"}]}, "colour"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        _read(**values)
    assert re.search(sentence, str(caught.value)), caught.value


def test_the_ports_of_services_that_are_not_wanted_may_be_taken() -> None:
    assert "grafanaPort" not in _read().ports_used()
    used = _read(platform="docker", services=["grafana", "kafka-ui", "node-exporter"]).ports_used()
    assert (used["grafanaPort"], used["kafkaUiPort"]) == (3000, 9001)
    assert "prometheusPort" not in used


SOURCE = "postgresql://me:secret-word@db:5433/shop?sslmode=require"


def _read_secret(**values: Any) -> Settings:
    texts = {"cdc:tables": '["sales.*"]', "cdc:source": SOURCE}
    texts |= {f"cdc:{name}": json.dumps(value).strip('"') for name, value in values.items()}
    runtime_config.set_all_config(texts, ["cdc:source"])
    return Settings.read(pulumi.Config("cdc"), "my-stack")


def test_with_a_source_the_port_of_a_postgres_of_its_own_is_not_asked_for() -> None:
    assert "postgresPort" in _read().ports_used()
    settings = _read_secret(database="inventory")  # the project file's default
    assert settings.source is not None
    assert settings.source.port == 5433
    assert set(_read().ports_used()) - set(settings.ports_used()) == {"postgresPort"}


def test_a_password_that_is_not_kept_secret_is_refused_and_not_repeated() -> None:
    runtime_config.set_all_config({"cdc:tables": '["a.b"]', "cdc:source": SOURCE}, [])
    with pytest.raises(pulumi.RunError, match="config set --secret cdc:source") as caught:
        Settings.read(pulumi.Config("cdc"), "my-stack")
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sample": True}, "cdc:sample is for a Postgres of the stack's own"),
        ({"database": "other"}, "cdc:database is other and cdc:source names shop"),
        ({"sourceUser": "king"}, "cdc:sourceUser"),
        (
            {"platform": "docker", "services": ["postgres-exporter"]},
            "postgres-exporter watches a Postgres of the stack's own",
        ),
        ({"source": "nonsense"}, "cdc:source: it is no connection string"),
        (
            {"platform": "docker", "source": "postgresql://me:secret-word@127.0.0.1/shop"},
            "which in a container is the container itself",
        ),
        (
            {"platform": "docker", "source": "postgresql://me:secret-word@localhost/shop"},
            "which in a container is the container itself",
        ),
    ],
)
def test_what_contradicts_the_source_is_named(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(pulumi.RunError, match=sentence) as caught:
        _read_secret(**values)
    assert "secret-word" not in str(caught.value)


def test_without_a_source_its_user_and_patterns_are_refused() -> None:
    with pytest.raises(pulumi.RunError, match="cdc:sourceUser goes with cdc:source"):
        _read(sourceUser="reader")
    with pytest.raises(pulumi.RunError, match=r"a\.\*: a pattern needs a server"):
        _read(tables=["a.*"]).named_tables()


def test_every_setting_is_described_in_the_project_file() -> None:
    from ops import places

    described = (places.project() / "Pulumi.yaml").read_text()
    names = {"portOffset", *_read().ports.by_setting()} | {
        re.sub("_(.)", lambda m: m[1].upper(), field)
        for field in Settings.model_fields
        if field != "ports"
    }
    assert {name for name in names if f"cdc:{name}:" not in described} == set()
