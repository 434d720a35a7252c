"""Telling the operator how far a fetch is."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


class Report(Protocol):
    """Receives progress, possibly from several threads at once."""

    def start(self, name: str, total_bytes: int | None) -> None:
        """Work on `name` begins; `total_bytes` is None where its size can't be known."""

    def advance(self, name: str, count: int) -> None:
        """`count` more bytes of `name` are here."""

    def note(self, name: str, text: str) -> None:
        """Something about `name` the operator should read, in one line."""

    def done(self, name: str, text: str) -> None:
        """`name` is complete; `text` says what is there now."""


class Lines:
    """Plain lines for logs and pipes: begin, every quarter of the way, notes, end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: dict[str, tuple[float, int, int]] = {}  # name: began, bytes, total

    def _print(self, name: str, text: str) -> None:
        print(f"{name}: {text}", flush=True)

    def start(self, name: str, total_bytes: int | None) -> None:
        """See :class:`Report`."""
        with self._lock:
            self._state[name] = (time.monotonic(), 0, total_bytes or 0)
            self._print(name, f"fetching {total_bytes / 1e6:.0f} MB" if total_bytes else "started")

    def advance(self, name: str, count: int) -> None:
        """See :class:`Report`."""
        with self._lock:
            began, have, total = self._state[name]
            self._state[name] = (began, have + count, total)
            if total and (have + count) * 4 // total > have * 4 // total:
                self._print(name, f"{(have + count) / 1e6:.0f} of {total / 1e6:.0f} MB")

    def note(self, name: str, text: str) -> None:
        """See :class:`Report`."""
        with self._lock:
            self._print(name, text)

    def done(self, name: str, text: str) -> None:
        """See :class:`Report`."""
        with self._lock:
            began, _, _ = self._state.pop(name, (time.monotonic(), 0, 0))
            self._print(name, f"{text} ({time.monotonic() - began:.1f} s)")


class Bars:
    """A bar for each name, for terminals."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def start(self, name: str, total_bytes: int | None) -> None:
        """See :class:`Report`."""
        self._tasks[name] = self._progress.add_task(name, total=total_bytes)

    def advance(self, name: str, count: int) -> None:
        """See :class:`Report`."""
        self._progress.advance(self._tasks[name], count)

    def note(self, name: str, text: str) -> None:
        """See :class:`Report`."""
        self._progress.console.print(f"{name}: {text}", markup=False, highlight=False)

    def done(self, name: str, text: str) -> None:
        """See :class:`Report`."""
        if name in self._tasks:
            task = self._progress.tasks[self._tasks[name]]
            total = task.total if task.total is not None else 1
            self._progress.update(task.id, total=total, completed=total, description=name)
        self.note(name, text)


@contextmanager
def terminal() -> Iterator[Report]:
    """The report that suits standard output: bars on a terminal, lines elsewhere."""
    if not sys.stdout.isatty():
        yield Lines()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console()) as progress:
        yield Bars(progress)
