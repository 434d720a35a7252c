"""`cdc` says in one line what a machine lacks, installs once and only when it must."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "cdc"
TOOLS = ("sh", "uname", "readlink", "dirname", "cat", "cksum", "rm", "mv", "mkdir", "sleep")


def script(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text + "\n")
    path.chmod(0o755)


class Machine:
    """A checkout and a PATH that holds only what is put there."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.bin = folder / "bin"
        for made in (self.checkout / "ops", self.bin):
            made.mkdir(parents=True)
        shutil.copy(SOURCE, self.checkout / "cdc")
        (self.checkout / "requirements.txt").write_text("")
        (self.checkout / "ops" / "__main__.py").write_text(
            "import os, sys; print('ran', sys.argv[1:], os.getcwd())"
        )
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or "")

    def run(self, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [path or self.checkout / "cdc", *arguments],
            capture_output=True,
            text=True,
            env={"PATH": str(self.bin), "HOME": str(self.bin)},
            cwd="/",
            check=False,
            timeout=120,
        )

    def python(self) -> None:
        """A Python whose environments come from this one, and whose pip is counted, not run."""
        fake = self.checkout / "fake-venv-python"
        script(
            fake,
            f'case "$*" in *" pip install "*) echo pip >>"{self.checkout}/pip.log"; '
            f'[ ! -e "{self.checkout}/broken" ]; exit ;; esac\nexec {sys.executable} "$@"',
        )
        script(
            self.bin / "python3.11",
            'if [ "$1" = -m ]; then for last; do :; done; '
            f'mkdir -p "$last/bin" && cp "{fake}" "$last/bin/python"; exit; fi\n'
            f'exec {sys.executable} "$@"',
        )
        (self.bin / "cp").symlink_to(shutil.which("cp") or "")

    def installs(self) -> int:
        log = self.checkout / "pip.log"
        return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_launcher_is_plain_posix_shell() -> None:
    shell = shutil.which("dash") or shutil.which("sh") or ""
    assert subprocess.run([shell, "-n", SOURCE], check=False).returncode == 0
    assert os.access(SOURCE, os.X_OK)


def test_a_machine_without_python_is_told_which_to_install(machine: Machine) -> None:
    found = machine.run("up")
    assert found.returncode == 1
    assert found.stderr.splitlines() == [
        "cdc: needs Python 3.11, 3.12 or 3.13; found: none on PATH. "
        "Install one (Debian: apt install python3 python3-venv)."
    ]


def test_a_python_too_old_or_broken_is_named_and_passed_over(machine: Machine) -> None:
    script(machine.bin / "python3", "echo 9")
    script(machine.bin / "python3.12", "exit 127")  # a version manager's shim
    found = machine.run("up")
    assert found.returncode == 1
    assert "found: python3 is 3.9," in found.stderr
    assert "3.12," not in found.stderr.split("found:")[1]


def test_a_python_without_venv_is_told_the_package(machine: Machine) -> None:
    script(machine.bin / "python3.11", 'case "$2" in *ensurepip*) exit 1 ;; *) echo 11 ;; esac')
    found = machine.run("up")
    assert found.returncode == 1
    assert found.stderr.splitlines() == [
        "cdc: python3.11 has no venv module; install it (Debian: apt install python3-venv)."
    ]


def test_another_platform_is_refused_by_name(machine: Machine) -> None:
    (machine.bin / "uname").unlink()
    script(machine.bin / "uname", "echo Darwin arm64")
    found = machine.run("up")
    assert found.returncode == 1
    assert "this is Darwin arm64" in found.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_checkout_of_someone_else_is_refused(machine: Machine) -> None:
    machine.python()
    machine.checkout.chmod(0o500)
    try:
        found = machine.run("up")
    finally:
        machine.checkout.chmod(0o700)
    assert found.returncode == 1
    assert "no write access" in found.stderr


def test_a_second_start_installs_nothing(machine: Machine) -> None:
    machine.python()
    assert machine.run("up", "two words").stdout.endswith(
        f"ran ['up', 'two words'] {machine.checkout}\n"
    )
    assert machine.run("status").returncode == 0
    assert machine.installs() == 1


def test_a_changed_lock_installs_again(machine: Machine) -> None:
    machine.python()
    machine.run()
    (machine.checkout / "requirements.txt").write_text("# changed\n")
    assert machine.run().returncode == 0
    assert machine.installs() == 2


def test_an_interrupted_installation_is_repeated(machine: Machine) -> None:
    machine.python()
    (machine.checkout / "broken").touch()
    assert machine.run().returncode == 1
    (machine.checkout / "broken").unlink()
    assert machine.run().returncode == 0
    assert machine.installs() == 2


def test_a_symbolic_link_leads_to_its_checkout(machine: Machine) -> None:
    machine.python()
    link = machine.bin / "cdc"
    link.symlink_to(os.path.relpath(machine.checkout / "cdc", machine.bin))
    assert machine.run("up", path=link).stdout.endswith(f"ran ['up'] {machine.checkout}\n")


def test_two_first_starts_at_once_install_once(machine: Machine) -> None:
    machine.python()
    flock = shutil.which("flock")
    if not flock:
        pytest.skip("no flock on this machine")
    (machine.bin / "flock").symlink_to(flock)
    command = [str(machine.checkout / "cdc"), "up"]
    both = [
        subprocess.Popen(command, env={"PATH": str(machine.bin)}, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert all("ran ['up']" in process.communicate(timeout=120)[0] for process in both)
    assert machine.installs() == 1
