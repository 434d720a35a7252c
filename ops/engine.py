"""The Pulumi engine: found on PATH, downloaded, or built; and the environment it runs in."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from . import engine_build, parts, places
from .parts import MissingPart, Parts
from .parts_maven import FetchError

if TYPE_CHECKING:
    from .parts_report import Report

VERSION = "3.232.0"  # that of the `pulumi` package in the lock file and of tools/pulumi/go.mod
OLDEST, TOO_NEW = (3, 232, 0), (4,)
PROGRAMS = (
    "pulumi",
    "pulumi-language-python",
    "pulumi-language-python-exec",
    "pulumi-resource-pulumi-python",
)
OFFICIAL = "https://get.pulumi.com/install.sh"
PROBE_SECONDS = 5
DOWNLOAD_SECONDS = 600


def fits(version: str) -> bool:
    """Whether an engine of this version (as `pulumi version` prints it) can run the program."""
    return OLDEST <= engine_build.numbers(version) < TOO_NEW


def version_of(program: Path) -> str:
    """What `pulumi version` prints; empty if it does not start."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        run = subprocess.run(
            [program, "version"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip()


def on_path() -> Path | None:
    """Folder of a fitting engine on PATH that has all its helpers beside it."""
    found = shutil.which("pulumi")
    if not found:
        return None
    for folder in (Path(found).parent, Path(found).resolve().parent):
        if all(os.access(folder / name, os.X_OK) for name in PROGRAMS):
            return folder if fits(version_of(folder / "pulumi")) else None
    return None


def _kept() -> Path:
    """Where a downloaded or built engine is kept; there means whole and proven."""
    sums = b"".join(module.joinpath("go.sum").read_bytes() for module in engine_build.modules())
    mark = hashlib.sha256(sums).hexdigest()[:12]
    return places.cache() / "parts" / f"pulumi-{VERSION}-{mark}"


def locate_engine() -> Path:
    """Folder with the engine's programs. Raises MissingPart if there is none yet."""
    folder = on_path() or _kept()
    if not folder.is_dir():
        raise MissingPart(
            "no Pulumi engine from 3.232 on. `./cdc up` or `./cdc doctor --fix` fetches one."
        )
    return folder


def _prove(folder: Path) -> None:
    if lacking := [name for name in PROGRAMS if not os.access(folder / name, os.X_OK)]:
        raise FetchError(f"the engine lacks {', '.join(lacking)}")
    found = version_of(folder / "pulumi")
    if not fits(found):
        raise FetchError(f"the engine says it is {found or 'nothing'}, {VERSION} was expected")


def _download(folder: Path) -> None:
    """The official installer, run by the SDK. Raises FetchError saying why it can't be had."""
    import requests  # slow to import, and only the first run needs it

    try:
        # The installer itself waits minutes for an address that swallows packets.
        requests.head(OFFICIAL, timeout=PROBE_SECONDS, allow_redirects=True).raise_for_status()
    except requests.RequestException as error:
        raise FetchError(f"no official download here ({type(error).__name__})") from None
    install = (
        "import sys; from pulumi.automation import PulumiCommand; from semver import VersionInfo;"
        "PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))"
    )
    root = folder / "official"
    try:
        run = subprocess.run(
            [sys.executable, "-c", install, root, VERSION],
            capture_output=True,
            text=True,
            check=False,
            timeout=DOWNLOAD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise FetchError(f"the official download took over {DOWNLOAD_SECONDS} s") from None
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise FetchError(f"the official installer failed: {last}")
    for program in (root / "bin").iterdir():
        program.rename(folder / program.name)
    shutil.rmtree(root)


def ensure_engine(report: Report) -> Path:
    """Folder to put first on PATH, holding the engine and its Python helpers.

    Taken from PATH if it fits, else the official download, else built from the pinned Go modules.
    Milliseconds when present; safe when two run at once. Raises FetchError (one line).
    """
    if found := on_path():
        return found
    kept = _kept()
    if kept.is_dir():
        return kept
    name = engine_build.NAME
    with parts.alone(name, report):
        if kept.is_dir():
            return kept
        report.start(name, None)
        try:
            with parts.built_beside(kept) as folder:
                _download(folder)
                _prove(folder)
            source = "downloaded"
        except FetchError as error:
            report.note(name, f"{error}; building from source instead")
            with parts.built_beside(kept) as folder:
                engine_build.build(VERSION, folder, report)
                _prove(folder)
            source = "built"
        report.done(name, f"pulumi {VERSION} {source} in {kept}")
    return kept


def fetch_all(report: Report) -> tuple[Parts, Path]:
    """Everything native at once: the engine compiles while the parts download."""
    with ThreadPoolExecutor(1) as pool:
        engine = pool.submit(ensure_engine, report)
        found = parts.fetch(report)
        return found, engine.result()


def state() -> Path:
    """Folder of Pulumi's state (`backend: url: file://./.pulumi-state`) and its passphrase."""
    return places.project() / ".pulumi-state"


def passphrase_file() -> Path:
    """The generated passphrase that encrypts the secrets in the state; made once, mode 0600."""
    path = state() / "passphrase"
    if not path.exists():
        state().mkdir(mode=0o700, exist_ok=True)
        half = path.with_name(f"passphrase.{os.getpid()}")
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
        try:
            os.link(half, path)  # unlike a rename this never replaces another run's passphrase
        except FileExistsError:
            pass
        finally:
            half.unlink()
    return path


def environment(engine: Path | None = None) -> dict[str, str]:
    """The variables every `pulumi` of this project runs with, on top of the process's own.

    `engine` is :func:`ensure_engine`'s folder, looked up when not given (MissingPart if absent).
    """
    programs = [str(engine or locate_engine()), str(Path(sys.prefix) / "bin")]
    found = {
        **os.environ,
        "PATH": os.pathsep.join([*programs, os.environ.get("PATH", os.defpath)]),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_PYTHON_CMD": sys.executable,
    }
    found.pop("PYTHONHOME", None)
    if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & os.environ.keys():
        found["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase_file())
    return found
