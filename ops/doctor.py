"""What this machine has and lacks for the platform."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from platforms.containers import EngineError
from platforms.containers import engine as docker_engine
from platforms.images import IMAGES

from . import engine, parts, places
from .stack import declared_platform

if TYPE_CHECKING:
    from rich.console import Console

DISK = 4 * 10**9  # bytes: parts 0.3 GB, the rest for data
BUILD = 4 * 10**9  # bytes: what Go keeps when the engine has to be built, in its own caches
MEMORY = 3 * 10**9  # bytes: the stack takes 2 GB, linking the engine 1 GB
FETCH = "`./cdc doctor --fix` or `./cdc up` fetches it"


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report.

    What is not `required` serves only some stacks; `remedy` is empty where `ok`.
    """

    name: str
    ok: bool
    found: str
    needed: str
    remedy: str = ""
    required: bool = True


def _check(
    name: str, ok: bool, found: str, needed: str, remedy: str, required: bool = True
) -> Check:
    return Check(name, ok, found, needed, "" if ok else remedy, required)


def _existing(path: Path) -> Path:
    """The path itself or the nearest parent that exists."""
    while not path.exists():
        path = path.parent
    return path


def _platform() -> Check:
    found = f"{platform.system()} {platform.machine()} {' '.join(platform.libc_ver())}".strip()
    ok = found.startswith("Linux x86_64 glibc")
    needed = "Linux x86_64 glibc"
    return _check("platform", ok, found, needed, "use the dev stack (Docker) on such a machine")


def _python() -> Check:
    ok = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return _check(
        "python", ok, platform.python_version(), "3.11 to 3.13", "install one and run `./cdc` again"
    )


def _disk(folder: Path, what: str, needed: int = DISK) -> Check:
    free = shutil.disk_usage(_existing(folder)).free
    return _check(
        f"disk for {what}",
        free >= needed,
        f"{free / 1e9:.1f} GB free at {folder}",
        f"{needed / 1e9:.1f} GB needed",
        "free some, or set CDC_CACHE and CDC_HOME to folders on a larger disk",
    )


def available_memory(meminfo: str) -> int:
    """Bytes the kernel says can be had without swapping, from the text of /proc/meminfo."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _memory() -> Check:
    available = available_memory(Path("/proc/meminfo").read_text())
    return _check(
        "memory",
        available >= MEMORY,
        f"{available / 1e9:.1f} GB available",
        f"{MEMORY / 1e9:.1f} GB needed",
        "stop something large first",
    )


def closed_to_others(folder: Path) -> Path | None:
    """The first folder on the way to `folder` that another user can't pass through."""
    for step in [*reversed(folder.parents), folder]:
        if step.exists() and not step.stat().st_mode & stat.S_IXOTH:
            return step
    return None


def _folder(name: str, folder: Path, variable: str) -> Check:
    needed = "writable"
    start = _existing(folder)
    if not os.access(start, os.W_OK | os.X_OK):
        remedy = f"set {variable} to a folder of your own"
        return _check(name, False, f"{start} is not writable", needed, remedy)
    if places.is_root():
        needed = "writable, passable for `nobody`"
        if closed := closed_to_others(folder):
            remedy = (
                f"`chmod o+x {closed}`, or set {variable} elsewhere: Postgres can't run as root"
            )
            return _check(name, False, f"{closed} is closed to `nobody`", needed, remedy)
    return _check(name, True, str(folder), needed, "")


def _parts() -> list[Check]:
    absent = parts.missing()
    return [
        _check(
            part.name,
            part.name not in absent,
            "not fetched" if part.name in absent else str(part.folder),
            f"pinned in tools/{part.name}",
            FETCH,
        )
        for part in parts.PARTS
    ]


def _engine() -> Check:
    try:
        found = str(engine.locate_engine())
    except parts.MissingPart:
        return _check("pulumi engine", False, "none", "3.232 to below 4", FETCH)
    return _check("pulumi engine", True, found, "3.232 to below 4", "")


def _tool(name: str, serves: str, remedy: str, required: bool) -> Check:
    found = shutil.which(name)
    return _check(name, bool(found), found or "not on PATH", serves, remedy, required)


def _docker(required: bool) -> Check:
    """The engine that a deployment would use, and how many of the images it has."""
    try:
        with docker_engine() as client:
            version = client.version()["Version"]
            tags = {tag for image in client.images.list() for tag in image.tags}
    except EngineError as error:
        found, _, remedy = str(error).partition(": ")
        return _check("docker", False, found, "stack dev", remedy, required)
    wanted = {image.reference for image in IMAGES.values()}
    found = (
        f"engine {version}, {len(wanted & tags)} of {len(wanted)} images; `up` pulls what it needs"
    )
    return _check("docker", True, found, "stack dev", "")


def _kubectl() -> Check:
    """An optional tool that is there only if what it talks to answers."""
    found, serves = shutil.which("kubectl"), "stack prod"
    if not found:
        remedy = "install kubectl to use it"
        return _check("kubectl", False, "not on PATH", serves, remedy, required=False)
    command = [found, "get", "--raw=/readyz", "--request-timeout=5s"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
        ok, last = run.returncode == 0, (run.stderr.strip().splitlines() or ["no message"])[-1]
    except subprocess.TimeoutExpired:
        ok, last = False, "no answer within 10 s"
    state = found if ok else f"{found}, but: {last}"
    remedy = "start it, or see to your rights on it"
    return _check("kubectl", ok, state, serves, remedy, required=False)


def checks(stack: str = "local") -> list[Check]:
    """Everything looked at, in the order to put it right; changes nothing, a second or two."""
    cache, home = places.cache(), places.home(stack)
    present = _engine()
    wanted: list[Callable[[], Check]] = [
        _platform,
        _python,
        lambda: _folder("cache", cache, "CDC_CACHE"),
        lambda: _folder("data", home, "CDC_HOME"),
        lambda: _disk(cache, "the cache", DISK if present.ok else DISK + BUILD),
        lambda: _disk(home, "the data"),
        _memory,
    ]
    found = [look() for look in wanted]
    found.append(_tool("setpriv", "starting services", "apt install util-linux", required=True))
    found += [*_parts(), present]
    found.append(_tool("git", "updates of the checkout", "apt install git", required=False))
    return [*found, _docker(required=declared_platform(stack) == "docker"), _kubectl()]


def render(found: list[Check], console: Console) -> None:
    """Print a line for each check, and what to do below those that fail."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for each in found:
        mark = "[green]ok[/]" if each.ok else "[red]lacks[/]" if each.required else "[dim]–[/]"
        state = escape(each.found)
        if not each.ok:
            state += escape(f" (for {each.needed})" if not each.required else f", {each.needed}")
            state += f"\n[yellow]{escape(each.remedy)}[/]"
        table.add_row(mark, each.name, state)
    console.print(table)
