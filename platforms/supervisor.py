"""supervisord, as the embedded stack uses it: one for each stack, over a socket of its own.

Programs are kept in `conf.d/`, one file each, so that a supervisor that was killed, or a machine
that was restarted, comes back with the same programs.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.options import UnhosedConfigParser
from supervisor.xmlrpc import Faults, SupervisorTransport

SETTINGS = """\
[unix_http_server]
file={home}/supervisor.sock
chmod=0700

[supervisord]
logfile={home}/logs/supervisor.log
logfile_maxbytes=5MB
logfile_backups=2
pidfile={home}/supervisor.pid
directory={home}
umask=077
{user}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[include]
files={home}/conf.d/*.conf
"""

START_SECONDS = 15.0


class Supervisor:
    """The supervisor of the stack whose data is in `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.programs = home / "conf.d"

    @property
    def pid(self) -> int | None:
        """The running daemon's process, None when it doesn't answer."""
        try:
            return int(self.rpc().getPID())
        except (OSError, Fault):
            return None

    def rpc(self) -> Any:
        """supervisord's XML-RPC interface (http://supervisord.org/api.html).

        Calls raise OSError when nobody listens, Fault when supervisord refuses.
        """
        transport = SupervisorTransport(None, None, f"unix://{self.home}/supervisor.sock")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def start(self) -> None:
        """Starts the daemon with all its programs unless it runs; it outlives its terminal.

        Raises OSError with the last line of its log when it doesn't come up.
        """
        self.programs.mkdir(parents=True, exist_ok=True)
        (self.home / "logs").mkdir(exist_ok=True)
        with self._alone():
            if self.pid is not None:
                return
            settings = self.home / "supervisord.conf"
            # As root it wants to hear that this is meant; only Postgres refuses, and drops root.
            user = "user=root" if os.getuid() == 0 else ""
            settings.write_text(SETTINGS.format(home=self.home, user=user))
            told = subprocess.run(
                [sys.executable, "-m", "supervisor.supervisord", "-c", str(settings)],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            deadline = time.monotonic() + START_SECONDS
            while self.pid is None:
                if told.returncode or time.monotonic() > deadline:
                    raise OSError(
                        f"supervisord did not start: {_last(told.stderr + told.stdout)} "
                        f"(log: {self.home}/logs/supervisor.log)"
                    )
                time.sleep(0.05)

    def stop(self) -> None:
        """Stops all programs cleanly, then the daemon. Nothing happens when it doesn't run."""
        if self.pid is not None:  # where nothing ever ran there is no folder for the lock
            with self._alone():
                self._stop()

    def stop_unless_needed(self) -> None:
        """Stops the daemon when it has no program left."""
        with self._alone():
            if not self.states():
                self._stop()

    def _stop(self) -> None:
        pid = self.pid
        if pid is None:
            return
        self.rpc().shutdown()
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.05)

    def state(self, name: str) -> dict[str, Any] | None:
        """The program's process information, None when supervisord doesn't know it."""
        try:
            return dict(self.rpc().getProcessInfo(name))
        except Fault as fault:
            if fault.faultCode == Faults.BAD_NAME:
                return None
            raise

    def states(self) -> dict[str, dict[str, Any]]:
        """Every program's process information by name; empty when the daemon doesn't run."""
        try:
            return {info["name"]: dict(info) for info in self.rpc().getAllProcessInfo()}
        except OSError:
            return {}

    def declared(self, name: str) -> str | None:
        """The program section on disk."""
        path = self.programs / f"{name}.conf"
        return path.read_text() if path.exists() else None

    def declare(self, name: str, section: str) -> None:
        """Makes supervisord run `section`; a program that runs under another one is replaced."""
        UnhosedConfigParser().read_string(section)
        path = self.programs / f"{name}.conf"
        beside = path.with_suffix(".new")
        beside.write_text(section)
        beside.rename(path)
        self._drop(name)
        rpc = self.rpc()
        rpc.reloadConfig()
        rpc.addProcessGroup(name)

    def remove(self, name: str) -> None:
        """Stops the program cleanly and forgets it.

        The daemon isn't asked for anything more: with its last program gone, whoever removes
        another one at the same time may be stopping it. It reads its files when it declares.
        """
        self._drop(name)
        (self.programs / f"{name}.conf").unlink(missing_ok=True)

    def _drop(self, name: str) -> None:
        if self.state(name) is None:
            return
        rpc = self.rpc()
        try:
            rpc.stopProcess(name)
        except Fault as fault:
            if fault.faultCode != Faults.NOT_RUNNING:
                raise
        rpc.removeProcessGroup(name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Several resources may want the daemon at the same moment; one starts or stops it."""
        with (self.home / "supervisor.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no output"
