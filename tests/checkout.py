"""A copy of the project, as somebody who cloned it has it, with ports and data of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ops import engine, places
from ops.stack import Deployed
from tests.free_ports import free_offset
from tests.homes import stack_home

# What git would not have put there either.
NOT_CLONED = (".git", ".venv", ".cdc", ".pulumi-state", "*_cache", "__pycache__", ".hypothesis")


class Checkout:
    """Runs `./cdc` and `pulumi` in the copy, each as a process of its own."""

    def __init__(self, folder: Path, home: Path, stack: str = "local") -> None:
        self.folder = folder
        self.home = home
        self.stack = stack
        self._file = folder / f"Pulumi.{stack}.yaml"
        self.environment = {
            **engine.environment(),
            "CDC_STACK": stack,
            "CDC_HOME": str(home),
            "CDC_CACHE": str(places.cache()),
            "PULUMI_CONFIG_PASSPHRASE": "for tests",
        }
        self.environment.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)

    def cdc(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """`./cdc ARGUMENTS`, without the launcher, which would make another environment."""
        return self._run(self.command(*arguments), timeout)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ops", *arguments]

    def pulumi(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return self._run(["pulumi", *arguments, "--non-interactive"], timeout)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A command that the test is going to interrupt, in a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def outputs(self) -> dict[str, Any]:
        shown = self.pulumi("stack", "output", "--json", "--show-secrets", "-s", self.stack)
        assert shown.returncode == 0, shown.stderr
        return dict(json.loads(shown.stdout))

    def deployed(self) -> Deployed:
        return Deployed.of(self.stack, self.outputs())

    def verified(self) -> list[dict[str, Any]]:
        """What `./cdc verify --json` says of each table, differences or not."""
        done = self.cdc("verify", "--json", "--wait", "120")
        assert done.returncode in (0, 1), done.stderr
        return list(json.loads(done.stdout))

    def configure(self, *, secret: bool = False, **settings: object) -> None:
        """Sets values of the stack, by their names without `cdc:`."""
        option = ["--secret"] if secret else []
        for name, value in settings.items():
            done = self.pulumi(
                "config", "set", *option, f"cdc:{name}", str(value), "-s", self.stack
            )
            assert done.returncode == 0, done.stderr

    def write(self, **settings: object) -> None:
        """Puts values, lists too, into the stack's file, which needs no engine and no stack yet."""
        stack = self._settings()
        stack["config"] |= {f"cdc:{name}": value for name, value in settings.items()}
        text = yaml.safe_dump(stack, allow_unicode=True, sort_keys=False)
        self._file.write_text(text, encoding="utf-8")

    def beside(self) -> list[str]:
        """The stack's `cdc:services`."""
        return list(self._settings()["config"].get("cdc:services", []))

    def capture(self, add: tuple[str, ...] = (), drop: tuple[str, ...] = ()) -> None:
        """Changes the stack's `cdc:tables`."""
        listed = self._settings()["config"]["cdc:tables"]
        self.write(tables=[each for each in listed if each not in drop] + [*add])

    def _settings(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self._file.read_text(encoding="utf-8")))

    def _run(self, command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


@contextmanager
def checkout(folder: Path, stack: str = "local", like: str = "local") -> Iterator[Checkout]:
    """A copy in `folder`, its stack on free ports; what still runs of a local one is stopped.

    Args:
        like: the stack whose file `stack` gets a copy of.
    """
    shutil.copytree(
        places.project(), folder, ignore=shutil.ignore_patterns(*NOT_CLONED), dirs_exist_ok=True
    )
    (folder / ".venv").symlink_to(sys.prefix)
    lines = (folder / f"Pulumi.{like}.yaml").read_text().splitlines()
    lines = [line for line in lines if "encryptionsalt" not in line]
    lines.insert(lines.index("config:") + 1, f"  cdc:portOffset: {free_offset()}")
    (folder / f"Pulumi.{stack}.yaml").write_text("\n".join(lines) + "\n")
    with stack_home() as home:
        yield Checkout(folder, home, stack)


def equal(reports: list[dict[str, Any]]) -> bool:
    """Whether every table is equal; there must be some."""
    assert len(reports) == 5, reports
    return all(report["equal"] for report in reports)


def kill_group(process: subprocess.Popen[str]) -> None:
    """kill -9 of a command and everything it started in its group."""
    os.killpg(process.pid, 9)
    process.wait()
