"""The seed of what is random in a test run."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def run_seed() -> int:
    """CDC_TEST_SEED; by default one that the committed files decide.

    So each commit tries something else, and a failure comes again when the same commit is tried.
    """
    if given := os.environ.get("CDC_TEST_SEED"):
        return int(given)
    if git := shutil.which("git"):
        command = [git, "rev-parse", "--short=8", "HEAD^{tree}"]
        found = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return int(found.stdout[:8], 16) % 10**6
    return random.randrange(10**6)  # no checkout
