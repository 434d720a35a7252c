"""Bringing a stack up and taking it down, through Pulumi's automation interface."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pulumi import automation as auto
from pulumi.automation import events
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ops import engine, places
from ops.stack import StackError, activate, declared_runtime, must_be_known, stacks
from providers.initial_load import LOADING
from providers.source_table import LOADED_AGAIN

# What the engine adds to a failure that it has already told.
ECHOES = (
    "update failed",
    "preview failed",
    "resource registration",
    "an unhandled error occurred: program exited",
)
PAST = {"create": "created", "update": "updated", "delete": "deleted", "replace": "replaced"}
T = TypeVar("T")
Events = Callable[[events.EngineEvent], None]


def deploy(name: str, console: Console) -> str:
    """`pulumi up`: previews, so that what is wrong is told before anything changes, and applies.

    Returns what changed, in a few words. Raises StackError with the failing resource's own words.
    """
    must_be_known(name)
    stack = _select(name)
    _wake(name)
    release_stale_lock(name, console)
    cautions: dict[str, None] = {}
    with _told() as (failures, listen), console.status("Checking what has to change"):

        def heed(event: events.EngineEvent) -> None:
            listen(event)
            diagnostic = event.diagnostic_event
            if diagnostic is None:
                return
            told = _plain(diagnostic.message)
            if diagnostic.severity == "warning" or told.startswith(LOADED_AGAIN):
                cautions[told] = None

        plan = _run(failures, lambda: stack.preview(on_event=heed))
    for caution in cautions:
        console.print(f"warning: {caution}", style="yellow", markup=False, highlight=False)
    total = sum(count for kind, count in plan.change_summary.items() if str(kind) != "same")
    if not total:
        return "nothing to change"
    with _told() as (failures, listen), _progress("Deploying", total, console) as advance:

        def watch(event: events.EngineEvent) -> None:
            listen(event)
            advance(event)

        done = _run(failures, lambda: stack.up(on_event=watch))
    # Not the plan's: what can't be known beforehand counts as a change there.
    made = done.summary.resource_changes or {}
    changes = {str(kind): count for kind, count in made.items() if str(kind) != "same"}
    return ", ".join(f"{count} {PAST.get(kind, kind)}" for kind, count in sorted(changes.items()))


def destroy(name: str, purge: bool, console: Console) -> str:
    """`pulumi destroy`: no slot, publication, topic or process is left; data folders stay.

    Args:
        purge: also delete the stack's data folders and its Pulumi state.
    """
    must_be_known(name)
    if name in stacks():
        stack = _select(name)
        _wake(name)
        release_stale_lock(name, console)
        with _told() as (failures, listen):
            resources = len((stack.export_stack().deployment or {}).get("resources", []))
            with _progress("Removing", resources, console) as advance:

                def watch(event: events.EngineEvent) -> None:
                    listen(event)
                    advance(event)

                _run(failures, lambda: stack.destroy(on_event=watch))
        if purge:
            stack.workspace.remove_stack(name, preserve_config=True)
    running = declared_runtime(name)
    running.end(purge=purge)
    if not purge:
        return f"stack {name} is down; its data stays in {running.keeps} (remove it with --purge)"
    return f"stack {name} and its data in {running.keeps} are gone"


def release_stale_lock(name: str, console: Console) -> None:
    """Takes away the lock of a `pulumi` that was killed on this machine; any other lock stays."""
    for path in (engine.state() / ".pulumi" / "locks").glob(f"**/{name}/*.json"):
        lock = json.loads(path.read_text())
        if lock.get("hostname") == socket.gethostname() and not _alive(int(lock["pid"])):
            console.print(f"An earlier run (process {lock['pid']}) was killed: going on from there")
            path.unlink()


def _select(name: str) -> auto.Stack:
    activate()
    return auto.create_or_select_stack(name, work_dir=str(places.project()))


def _wake(name: str) -> None:
    """After a reboot every service of the stack comes back by itself."""
    try:
        declared_runtime(name).wake()
    except OSError as error:
        raise StackError(str(error)) from error


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _run(failures: list[str], action: Callable[[], T]) -> T:
    try:
        return action()
    except auto.ConcurrentUpdateError as error:
        raise StackError(
            "another `pulumi` works on this stack: wait for it, or run `pulumi cancel`"
        ) from error
    except auto.CommandError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        told = list(dict.fromkeys(failures)) or [line for line in lines if "rror:" in line]
        raise StackError("\n".join(told) or "pulumi failed: --debug shows how") from error


@contextmanager
def _told() -> Iterator[tuple[list[str], Events]]:
    """Collects what the engine reports as errors, shortened to what a person needs."""
    failures: list[str] = []

    def listen(event: events.EngineEvent) -> None:
        diagnostic = event.diagnostic_event
        if diagnostic is None or diagnostic.severity != "error":
            return
        text = _plain(diagnostic.message)
        if text.startswith(ECHOES):
            return
        if text.startswith("Program failed with an unhandled exception"):
            text = "the program failed (--debug shows where): " + text.splitlines()[-1]
        resource = (diagnostic.urn or "").rsplit("::", 1)[-1]
        prefix = "" if not resource or resource.startswith("cdc-") else f"{resource}: "
        failures.append(prefix + text)

    yield failures, listen


def _plain(message: str) -> str:
    """A diagnostic without Pulumi's and gRPC's wrapping."""
    text = message.replace("<{%reset%}>", "").strip()
    for wrapping in (
        "Exception calling application: ",
        "pulumi.errors.RunError: ",
        " has a problem: ",
    ):
        text = text.split(wrapping)[-1]
    return text.strip()


@contextmanager
def _progress(what: str, total: int, console: Console) -> Iterator[Events]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total, now="")
        busy: dict[str, None] = {}

        def advance(event: events.EngineEvent) -> None:
            told = event.diagnostic_event
            if told is not None and _plain(told.message).startswith(LOADING):
                progress.update(task, now=_plain(told.message))
                if not console.is_terminal:
                    console.print(f"  {_plain(told.message)}", markup=False)
                return
            begun, ended = event.resource_pre_event, event.res_outputs_event
            if begun is not None and str(begun.metadata.op) != "same":
                busy[_label(begun.metadata.urn)] = None
            if ended is not None and str(ended.metadata.op) != "same":
                label = _label(ended.metadata.urn)
                busy.pop(label, None)
                done = progress.tasks[0].completed + 1
                progress.update(task, completed=done, total=max(total, done))
                if not console.is_terminal:
                    console.print(f"  {label}", markup=False)
            progress.update(task, now=", ".join(list(busy)[-3:]))

        yield advance
        progress.update(task, total=progress.tasks[0].completed, now="")


def _label(urn: str) -> str:
    return Path(urn.rsplit("::", 1)[-1]).name
