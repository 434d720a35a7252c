"""The test suites, tier by tier, and what each of them needs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ops import engine, places

# In the order in which a mistake is found soonest.
TIERS = {
    "static": "lint, format, strict types, the configuration files' own checkers",
    "unit": "components with Pulumi mocks, pure logic",
    "embedded": "the embedded ClickHouse daemon, the SQL of a captured table",
    "providers": "dynamic providers against the real services",
    "engine": "the real Pulumi engine: preview, up, drift, refresh, interruption, destroy",
    "local": "the whole embedded stack, end to end",
    "docker": "the whole stack as containers, on the Docker engine of this machine",
    "property": "random workloads on random tables through the whole stack",
    "faults": "kill -9 of each service under load, and the data after it",
}

STATIC = (
    ("ruff check", [sys.executable, "-m", "ruff", "check", "."]),
    ("ruff format", [sys.executable, "-m", "ruff", "format", "--check", "."]),
    ("mypy --strict", [sys.executable, "-m", "mypy"]),
)


@dataclass
class _Result:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0


def run(tiers: list[str], console: Console) -> int:
    """Runs the tiers one after the other, all of them even when one fails.

    Returns the exit status: 0 when nothing failed.
    """
    results: dict[str, _Result] = {}
    for tier in tiers:
        console.rule(f"{tier}: {TIERS[tier]}", align="left")
        began = time.monotonic()
        results[tier] = _static(console) if tier == "static" else _pytest(tier)
        results[tier].seconds = time.monotonic() - began
    _summary(results, console)
    return 1 if any(each.failed for each in results.values()) else 0


def _static(console: Console) -> _Result:
    result = _Result()
    for name, command in STATIC:
        done = subprocess.run(command, cwd=places.project(), check=False)
        console.print(f"{name}: {'passed' if done.returncode == 0 else 'FAILED'}")
        result.passed += done.returncode == 0
        result.failed += done.returncode != 0
    checked = _pytest("static")
    result.passed += checked.passed
    result.failed += checked.failed
    result.skipped += checked.skipped
    return result


def _pytest(tier: str) -> _Result:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", f"tests/{tier}", "-q", f"--junitxml={report}"),
                *("--durations=10", "--durations-min=10"),  # where the time went
            ],
            cwd=places.project(),
            env={**os.environ, **engine.environment()},
            check=False,
        )
        if not report.exists():
            return _Result(failed=1)
        suite = next(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 - pytest's own
    count = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    # A tier that ran nothing has proven nothing.
    nothing = count["tests"] == 0 or (done.returncode != 0 and failed == 0)
    return _Result(
        passed=count["tests"] - failed - count["skipped"],
        failed=failed + nothing,
        skipped=count["skipped"],
    )


def _summary(results: dict[str, _Result], console: Console) -> None:
    table = Table(title="Tests", title_justify="left")
    for heading in ("tier", "passed", "failed", "skipped", "seconds"):
        table.add_column(heading, justify="left" if heading == "tier" else "right")
    for tier, each in results.items():
        table.add_row(
            tier,
            str(each.passed),
            f"[red]{each.failed}[/]" if each.failed else "0",
            str(each.skipped),
            f"{each.seconds:.0f}",
        )
    console.print(table)
    console.print("Not run: kubernetes, which has no stack yet.")
    total = [sum(getattr(r, k) for r in results.values()) for k in ("passed", "failed", "skipped")]
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
