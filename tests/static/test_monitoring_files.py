"""The configuration of what runs beside the data path, read by its own programs or in its format.

Not checked here: that Grafana and Kafka's web interface know every key.
"""

from __future__ import annotations

import configparser
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from components.configuration import config_file
from ops import places

CONFIGS = places.project() / "configs"
YAML = sorted(CONFIGS.rglob("*.yml"))


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine: its file is only read as YAML")
    return found


def _accepted(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", YAML, ids=lambda path: path.name)
def test_yaml_holds_one_mapping(file: Path) -> None:
    assert isinstance(yaml.safe_load(file.read_text()), dict)


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    promtool = _tool("promtool")
    shutil.copy(CONFIGS / "prometheus" / "prometheus.yml", tmp_path)
    for name in ("targets.json", "alertmanagers.json"):
        (tmp_path / name).write_text(json.dumps([{"targets": ["a:1"], "labels": {"job": "a"}}]))
    _accepted(promtool, "check", "config", str(tmp_path / "prometheus.yml"))


def test_alertmanager_takes_its_configuration() -> None:
    amtool = _tool("amtool")
    _accepted(amtool, "check-config", str(CONFIGS / "alertmanager" / "alertmanager.yml"))


def test_grafanas_password_is_read_from_its_file() -> None:
    text = config_file("grafana/grafana.ini", BIND="0.0.0.0", PORT=3000, DATA="/d", CONFIG="/c")  # noqa: S104
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.read_string(text)
    assert parser["security"]["admin_password"] == "$__file{/c/admin-password}"
    assert parser["auth.anonymous"]["enabled"] == "false"


def test_kafkas_web_interface_changes_nothing() -> None:
    text = config_file("kafka-ui/kafka-ui.yml", BIND="0.0.0.0", PORT=9001, BOOTSTRAP="kafka:9093")  # noqa: S104
    known = yaml.safe_load(text)
    assert [each["readOnly"] for each in known["kafka"]["clusters"]] == [True]
    assert known["dynamic"]["config"]["enabled"] is False
