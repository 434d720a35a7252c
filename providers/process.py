"""A native process under the stack's supervisor, with the files it reads."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from platforms.probe import answers
from platforms.supervisor import Supervisor
from providers.base import Props, Provider, ProviderError, own, until

SECTION = """\
[program:{name}]
command={command}
directory={folder}
environment={environment}
autostart=true
autorestart=true
startsecs=2
startretries=60
stopsignal={stop_signal}
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={home}/logs/{name}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=3
"""

PATIENCE = 15.0  # seconds in which a program may fail at first, and be started again
RUNNING = ("STARTING", "RUNNING", "BACKOFF")


class ProcessProvider(Provider):
    """Writes the files, declares the program, waits until it is healthy.

    Its data folder stays when it is destroyed: removing data is `./cdc down --purge`'s business.
    """

    replace_on = ("name", "home")

    def create(self, props: Props) -> CreateResult:
        self._apply(props)
        return CreateResult(props["name"], own(props))

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        # After a reboot the state is as it was and nothing runs: a look costs a millisecond.
        return super().diff(_id, {**_olds, "running": _running(_olds)}, _news)

    def read(self, id_: str, props: Props) -> ReadResult:
        supervisor = Supervisor(Path(props["home"]))
        if supervisor.declared(props["name"]) is None:
            return ReadResult("", own(props))
        folder = _folder(props) / "config"
        files = {p.name: p.read_text() for p in sorted(folder.iterdir())} if folder.exists() else {}
        return ReadResult(
            id_,
            {
                **own(props),
                "files": files,
                "section": supervisor.declared(props["name"]),
                "running": _running(props),
            },
        )

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        self._apply(_news)
        return UpdateResult(own(_news))

    def delete(self, _id: str, _props: Props) -> None:
        supervisor = Supervisor(Path(_props["home"]))
        if supervisor.pid is None:
            (supervisor.programs / f"{_props['name']}.conf").unlink(missing_ok=True)
        else:
            supervisor.remove(_props["name"])
            supervisor.stop_unless_needed()
        # The configuration holds credentials; it is written again when needed.
        shutil.rmtree(_folder(_props) / "config", ignore_errors=True)

    def _apply(self, props: Props) -> None:
        supervisor = Supervisor(Path(props["home"]))
        try:
            supervisor.start()
        except OSError as error:
            raise ProviderError(str(error)) from error
        _write(_folder(props), props["files"], props["user"])
        supervisor.declare(props["name"], props["section"])
        log = Path(props["home"]) / "logs" / f"{props['name']}.log"
        try:
            began = time.monotonic()
            until(
                lambda: _healthy(supervisor, props, time.monotonic() - began),
                float(props["start_seconds"]),
                f"{props['name']} becoming healthy",
            )
        except ProviderError as error:
            raise ProviderError(f"{error}; its last words ({log}): {_last_words(log)}") from error


class Process(Resource, module="cdc", name="Process"):
    """A supervised process, complete once healthy.

    Args:
        home: the stack's data folder.
        command: program and arguments; nothing secret, other users may read them.
        files: name to text, written to `<home>/<name>/config` with mode 0600.
        user: the account that must be able to read the files, empty for the operator's own.
        health: `{"kind": "http", "url": …}` or `{"kind": "tcp", "host": …, "port": …}`.
    """

    def __init__(
        self,
        name: str,
        *,
        program: str,
        home: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        files: Mapping[str, pulumi.Input[str]],
        user: str,
        health: Mapping[str, Any],
        stop_signal: str,
        stop_seconds: int,
        start_seconds: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        section = SECTION.format(
            name=program,
            command=_escaped(shlex.join(command)),
            folder=home,
            home=home,
            environment=",".join(f'{k}="{_escaped(v)}"' for k, v in sorted(environment.items())),
            stop_signal=stop_signal,
            stop_seconds=stop_seconds,
        )
        super().__init__(
            ProcessProvider(),
            name,
            {
                "name": program,
                "home": str(home),
                "section": section,
                "files": dict(files),
                "user": user,
                "health": dict(health),
                "start_seconds": start_seconds,
                "running": True,
            },
            opts,
        )


def _escaped(text: str) -> str:
    return text.replace("%", "%%")  # supervisord expands %(…)s


def _folder(props: Mapping[str, Any]) -> Path:
    return Path(props["home"]) / str(props["name"])


def _running(props: Mapping[str, Any]) -> bool:
    state = Supervisor(Path(props["home"])).states().get(props["name"])
    return state is not None and state["statename"] in RUNNING


def _write(folder: Path, files: Mapping[str, str], user: str) -> None:
    config = folder / "config"
    shutil.rmtree(config, ignore_errors=True)
    for path in (folder / "data", config):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in files.items():
        with os.fdopen(os.open(config / name, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(text)
    if user:
        for path in (folder, folder / "data", config, *config.iterdir()):
            shutil.chown(path, user, primary_group(user))


def primary_group(user: str) -> int:
    """The account's own group. Raises KeyError where there is no such account."""
    return pwd.getpwnam(user).pw_gid


def _healthy(supervisor: Supervisor, props: Mapping[str, Any], waited: float) -> bool:
    state = supervisor.state(props["name"])
    failing = state is not None and state["statename"] == "BACKOFF" and waited > PATIENCE
    if state is None or state["statename"] not in RUNNING or failing:
        raise ProviderError(f"{props['name']} does not stay up")
    return answers(props["health"])


def _last_words(log: Path, lines: int = 8) -> str:
    if not log.exists():
        return "none"
    told = dict.fromkeys(log.read_text(errors="replace").strip().splitlines()[-5 * lines :])
    return " | ".join(list(told)[-lines:])
