"""What can go wrong with a load."""

from __future__ import annotations


class BackfillError(Exception):
    """A load could not be finished; one sentence: what is wrong, and what to do."""


class SourceMovedError(Exception):
    """Rows moved without an event in the stream: what was copied is void, begin again."""
