"""What every dynamic provider here shares.

Pulumi stores a provider in its state as a pickle. The classes are therefore imported by name, hold
no client and no value: all they need comes in as inputs, credentials among them, so that a state
written by one version of this code is still readable by the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from pulumi.dynamic import CheckFailure, CheckResult, DiffResult, ResourceProvider, UpdateResult

PROVIDER_KEY = "__provider"
Props = dict[str, Any]
T = TypeVar("T")


class ProviderError(Exception):
    """A failure told in one line: what is wrong, and what to do."""


class Provider(ResourceProvider):
    """A provider whose outputs repeat its inputs.

    `read` answers with what is really there under the inputs' own names, so that drift made by hand
    shows up as a difference between outputs and inputs, and the next update heals it.
    """

    serialize_as_secret_always = False  # the pickle holds a class name, no value
    replace_on: ClassVar[tuple[str, ...]] = ()

    def check(self, _olds: Props, news: Props) -> CheckResult:
        # Of a property that is named, Pulumi prints the whole value: pages of SQL.
        return CheckResult(news, [CheckFailure("", each) for each in self.faults(_olds, news)])

    def faults(self, olds: Props, news: Props) -> list[str]:
        """A sentence for each input that can't work; found at preview."""
        del olds, news
        return []

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        changed = self.changed(_olds, _news)
        return DiffResult(
            changes=bool(changed),
            replaces=[name for name in changed if name in self.replace_on],
            delete_before_replace=True,  # names and ports are unique: two can't stand side by side
        )

    def changed(self, olds: Props, news: Props) -> list[str]:
        """The inputs that differ from what is there; an output yet to be made (None) is none."""
        return [
            name
            for name, wanted in news.items()
            if name != PROVIDER_KEY and wanted is not None and olds.get(name) != wanted
        ]

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        raise NotImplementedError


def own(props: Mapping[str, Any]) -> Props:
    """The properties without the one in which Pulumi keeps the provider itself."""
    return {name: value for name, value in props.items() if name != PROVIDER_KEY}


def until(
    probe: Callable[[], T | None],
    seconds: float,
    what: str,
    *,
    every: float = 0.1,
    instead: Callable[[], str] = str,
) -> T:
    """Calls `probe` until it returns something other than None and False.

    Args:
        seconds: how long to try; the last exception's text goes into the error.
        instead: what was seen instead, for the error in the exception's place.

    Raises:
        ProviderError: `what` didn't happen in time.
    """
    deadline = time.monotonic() + seconds
    last = ""
    while True:
        try:
            found = probe()
            if found is not None and found is not False:
                return found
        except ProviderError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a starting service answers with
            last = _first_line(error)
        if time.monotonic() > deadline:
            told = instead() or last
            raise ProviderError(
                f"{what} did not happen within {seconds:.0f} s{told and f': {told}'}"
            )
        time.sleep(every)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
