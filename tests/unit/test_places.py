"""Folders: what is set wins, root's can be passed by `nobody`, a user's are private."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest
from rich.console import Console

from ops import doctor, places


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("CDC_CACHE", "CDC_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def as_user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_the_most_specific_setting_of_the_cache_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_user(monkeypatch, 1000)
    assert places.cache() == tmp_path / ".cache" / "cdc"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert places.cache() == Path("/xdg/cdc")
    monkeypatch.setenv("CDC_CACHE", "/given")
    assert places.cache() == Path("/given")


def test_root_keeps_nothing_where_nobody_cannot_go(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    assert places.cache() == Path("/var/cache/cdc")
    assert places.home("local").parent.parent == Path("/var/lib/cdc")


def test_two_checkouts_of_one_name_share_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    homes = set()
    for root in ("/a/cdc", "/b/cdc"):
        monkeypatch.setattr(places, "project", lambda root=root: Path(root))
        homes.add(places.home("local"))
    assert len(homes) == 2
    assert all(home.parent.name.startswith("cdc-") for home in homes)


def test_a_users_data_lies_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 1000)
    assert places.home("local") == places.project() / ".cdc" / "local"
    monkeypatch.setenv("CDC_HOME", "/data")
    assert places.home("dev") == Path("/data/dev")


@pytest.mark.parametrize(("uid", "expected"), [(0, 0o711), (1000, 0o700)])
def test_new_folders_are_closed_as_far_as_postgres_allows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uid: int, expected: int
) -> None:
    as_user(monkeypatch, uid)
    before = os.umask(0o077)
    try:
        made = places.ensure(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [mode(made.parent), mode(made)] == [expected, expected]
    made.chmod(0o755)
    assert mode(places.ensure(made)) == 0o755  # what the user made stays as it is


def test_the_doctor_names_the_folder_that_stops_nobody(tmp_path: Path) -> None:
    for step in (*reversed(tmp_path.parents), tmp_path):
        if doctor.closed_to_others(step) == step:
            return  # the temporary folder itself is private here: the closed one has been named
    closed = tmp_path / "closed"
    (closed / "cache").mkdir(parents=True)
    closed.chmod(0o700)
    assert doctor.closed_to_others(closed / "cache") == closed


def test_the_doctor_reads_what_the_kernel_calls_available() -> None:
    text = "MemTotal: 16000000 kB\nMemFree: 100 kB\nMemAvailable:    2000000 kB\n"
    assert doctor.available_memory(text) == 2_048_000_000


def test_what_is_lacking_comes_with_what_to_do() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    lacking = doctor.Check("kafka", False, "not fetched [x]", "pinned in tools/kafka", "fetch it")
    doctor.render([doctor.Check("python", True, "3.11.7", "3.11"), lacking], console)
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert lines == [
        "ok python 3.11.7",
        "lacks kafka not fetched [x], pinned in tools/kafka",
        "fetch it",
    ]
