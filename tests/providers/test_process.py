"""Supervised processes: files, health, drift, restart, and what their end leaves behind."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from platforms.ports import taken
from platforms.supervisor import Supervisor
from providers.base import ProviderError
from providers.process import SECTION, ProcessProvider
from tests.free_ports import free_offset

SERVER = "import http.server,sys;http.server.test(http.server.SimpleHTTPRequestHandler,port={port},bind='127.0.0.1')"  # noqa: E501


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    Supervisor(tmp_path).stop()


def _props(home: Path, command: str, port: int, **changed: Any) -> dict[str, Any]:
    section = SECTION.format(
        name="web",
        command=command,
        folder=home,
        home=home,
        environment="",
        stop_signal="TERM",
        stop_seconds=5,
    )
    return {
        "name": "web",
        "home": str(home),
        "section": section,
        "files": {"secret": "hidden\n"},
        "user": "",
        "health": {"kind": "http", "url": f"http://127.0.0.1:{port}/"},
        "start_seconds": 15,
        "running": True,
        **changed,
    }


def _web(home: Path) -> tuple[dict[str, Any], int]:
    port = 8000 + free_offset()
    return _props(home, f'python3 -c "{SERVER.format(port=port)}"', port), port


def _pid(home: Path) -> int:
    state = Supervisor(home).state("web")
    assert state is not None
    return int(state["pid"])


def test_a_process_is_healthy_when_it_is_created_and_gone_when_it_is_deleted(home: Path) -> None:
    props, _ = _web(home)
    outs = ProcessProvider().create(props).outs
    assert outs is not None
    pid = _pid(home)
    secret = home / "web" / "config" / "secret"
    assert secret.read_text() == "hidden\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert ProcessProvider().read("web", outs).outs == outs
    (home / "web" / "data" / "rows").write_text("kept")
    ProcessProvider().delete("web", outs)
    assert not psutil.pid_exists(pid)
    assert not secret.exists()
    assert (home / "web" / "data" / "rows").read_text() == "kept"
    assert Supervisor(home).pid is None, "the last program takes the supervisor along"


def test_processes_that_are_deleted_at_the_same_moment_are_gone_with_their_supervisor(
    home: Path,
) -> None:
    supervisor = Supervisor(home)
    for _ in range(5):
        supervisor.start()
        each = {name: _props(home, "sleep 1000", 0, name=name) for name in "abcd"}
        for name, props in each.items():
            supervisor.declare(name, props["section"].replace("program:web", f"program:{name}"))
        with ThreadPoolExecutor(len(each)) as hands:
            list(hands.map(ProcessProvider().delete, each, each.values()))
        assert supervisor.pid is None
        assert not list(supervisor.programs.iterdir())


def test_a_killed_process_comes_back_by_itself(home: Path) -> None:
    props, _ = _web(home)
    ProcessProvider().create(props)
    before = _pid(home)
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 15
    while _pid(home) in (0, before):
        assert time.monotonic() < deadline, "not restarted"
        time.sleep(0.1)


def test_a_killed_supervisor_leaves_nothing_running_and_is_healed_by_an_update(home: Path) -> None:
    port = 8000 + free_offset()
    command = f'setpriv --pdeathsig=TERM python3 -c "{SERVER.format(port=port)}"'
    props = _props(home, command, port)
    outs = ProcessProvider().create(props).outs
    assert outs is not None
    child, supervisor = _pid(home), Supervisor(home).pid
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=10)
    assert not psutil.pid_exists(child)
    assert ProcessProvider().diff("web", outs, props).changes
    ProcessProvider().update("web", outs, props)
    assert not ProcessProvider().diff("web", outs, props).changes


def test_a_changed_file_by_hand_is_seen_and_put_right(home: Path) -> None:
    props, _ = _web(home)
    outs = ProcessProvider().create(props).outs
    assert outs is not None
    (home / "web" / "config" / "secret").write_text("changed")
    seen = ProcessProvider().read("web", outs).outs
    assert seen is not None
    assert ProcessProvider().changed(seen, props) == ["files"]
    ProcessProvider().update("web", seen, props)
    assert (home / "web" / "config" / "secret").read_text() == "hidden\n"


def test_a_process_stopped_by_hand_is_seen(home: Path) -> None:
    props, _ = _web(home)
    outs = ProcessProvider().create(props).outs
    assert outs is not None
    Supervisor(home).rpc().stopProcess("web")
    assert ProcessProvider().diff("web", outs, props).changes
    ProcessProvider().update("web", outs, props)
    assert not ProcessProvider().diff("web", outs, props).changes


def test_a_program_that_fails_is_told_with_its_last_words(home: Path) -> None:
    props = _props(home, "sh -c 'echo no such disk >&2; exit 3'", 1, start_seconds=90)
    with pytest.raises(ProviderError, match="no such disk"):
        ProcessProvider().create(props)


def test_a_taken_port_is_named_with_its_owner_and_our_own_is_not(home: Path) -> None:
    props, port = _web(home)
    ProcessProvider().create(props)
    supervisor = Supervisor(home).pid
    assert taken({"webPort": port}, supervisor) == []
    (sentence,) = taken({"webPort": port}, None)
    assert f"port {port} is taken by python" in sentence
    assert "cdc:webPort" in sentence
