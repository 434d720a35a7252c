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


def test_every_setting_is_described_in_the_project_file() -> None:
    from ops import places

    described = (places.project() / "Pulumi.yaml").read_text()
    names = {"portOffset", *_read().ports.by_setting()} | {
        re.sub("_(.)", lambda m: m[1].upper(), field)
        for field in Settings.model_fields
        if field != "ports"
    }
    assert {name for name in names if f"cdc:{name}:" not in described} == set()
