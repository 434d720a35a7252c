"""Request bodies on their way into the engine, which reads an INSERT fastest from a file."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

IN_MEMORY = 16 << 20
"""Bytes of one body kept in memory (tmpfs); a longer one continues on disk."""


class Spool:
    """Where bodies wait: memory for small ones, the data directory's disk for the rest.

    Args:
        data: the engine's data directory; whatever a killed process left is removed.
    """

    def __init__(self, data: Path) -> None:
        self._disk = data / "spool"
        shared = Path("/dev/shm")  # noqa: S108 - the directory made in it is this user's alone
        mark = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:16]
        memory = shared / f"clickhouse-embedded-{os.getuid()}-{mark}"
        self._memory = memory if os.access(shared, os.W_OK) else self._disk
        for directory in {self._disk, self._memory}:
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(mode=0o700)

    @contextmanager
    def hold(self, chunks: Iterable[bytes]) -> Iterator[Path]:
        """A file with these bytes, removed on exit.

        Raises:
            OSError: no space left.
        """
        path = _new_file(self._memory)
        try:
            rest = iter(chunks)
            if _write(path, rest, limit=IN_MEMORY):
                path = _move(path, self._disk)
                _write(path, rest, limit=None)
            yield path
        finally:
            path.unlink()

    def close(self) -> None:
        """Remove the directories."""
        shutil.rmtree(self._memory, ignore_errors=True)
        shutil.rmtree(self._disk, ignore_errors=True)


def _new_file(directory: Path) -> Path:
    handle, name = mkstemp(dir=directory)
    os.close(handle)
    return Path(name)


def _write(path: Path, chunks: Iterator[bytes], limit: int | None) -> bool:
    """Append chunks; True if it stopped because the file has grown past the limit."""
    size = 0
    with path.open("ab") as target:
        for chunk in chunks:
            target.write(chunk)
            size += len(chunk)
            if limit is not None and size > limit:
                return True
    return False


def _move(path: Path, directory: Path) -> Path:
    target = _new_file(directory)
    shutil.copyfile(path, target)
    path.unlink()
    return target
