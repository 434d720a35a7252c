"""The plain settings of our ClickHouse files, looked up in the real engine's own lists.

A server refuses or ignores a name that it doesn't know; which of them it is shows only on a real
one. How the others nest is checked by tests/static/clickhouse.rng.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.embedded.daemon import ROOT, Daemon

FILES = ROOT / "configs" / "clickhouse"
# The server reads these before there is anything that could list them.
NOT_LISTED = {"listen_host", "http_port", "tcp_port", "system_profile"}


def _plain(file: str) -> set[str]:
    root = ET.parse(FILES / file).getroot()  # noqa: S314 - our own file
    return {element.tag for element in root if len(element) == 0}


@pytest.mark.parametrize("file", ["config.xml", "cluster.xml", "keeper.xml"])
def test_every_plain_server_setting_is_one_of_the_engine_s(shared: Daemon, file: str) -> None:
    known = set(shared.ask("SELECT name FROM system.server_settings").split())
    assert len(known) > 200
    assert _plain(file) - NOT_LISTED <= known


@pytest.mark.parametrize("file", ["users.xml", "cluster-users.xml"])
def test_every_setting_of_a_profile_is_one_of_the_engine_s_and_holds_such_a_value(
    shared: Daemon, file: str
) -> None:
    profiles = ET.parse(FILES / file).getroot().find("profiles")  # noqa: S314
    assert profiles is not None
    given = {
        (setting.tag, (setting.text or "").strip())
        for profile in profiles
        for setting in profile
        if setting.tag not in ("profile", "constraints")
    }
    assert given
    for name, value in sorted(given):
        text = "1000" if value.startswith("$") else value
        # An unknown name, or a value that it can't have, is an error of its own.
        shared.ask(f"SELECT 1 SETTINGS {name} = '{text}'")
