"""How a long operation tells its caller how far it is."""

from __future__ import annotations

from collections.abc import Callable

#: Called with what is being done, how much is done, and how much there is in all (None: unknown).
Progress = Callable[[str, int, int | None], None]


def silent(what: str, done: int, total: int | None) -> None:
    """A :data:`Progress` nobody watches."""
