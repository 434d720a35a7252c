"""Data folders for services that a test starts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platforms.supervisor import Supervisor


@contextmanager
def stack_home() -> Iterator[Path]:
    """A folder for $CDC_HOME, with the supervisors below it stopped at the end.

    Not pytest's own temporary folder: that is closed to others, and Postgres runs as `nobody` where
    the tests run as root. Short, because a socket's path ends at 107 characters.
    """
    home = Path(tempfile.mkdtemp(prefix="cdc-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        for stack in home.iterdir():
            Supervisor(stack).stop()
        shutil.rmtree(home)
