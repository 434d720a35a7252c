"""Whether a port is free, and if not, whose it is."""

from __future__ import annotations

from collections.abc import Mapping

import psutil


def taken(ports: Mapping[str, int], supervisor: int | None) -> list[str]:
    """A sentence for each port that a process of somebody else listens on.

    Args:
        ports: setting name to port number.
        supervisor: the process whose descendants are the stack's own services, if it runs.
    """
    listeners: dict[int, int | None] = {
        each.laddr.port: each.pid
        for each in psutil.net_connections(kind="tcp")
        if each.status == psutil.CONN_LISTEN
    }
    return [
        f"port {port} is taken by {_owner(listeners[port])}: "
        f"stop it, or set cdc:{setting} (or cdc:portOffset to move all ports)"
        for setting, port in ports.items()
        if port in listeners and not _is_ours(listeners[port], supervisor)
    ]


def _owner(pid: int | None) -> str:
    if pid is None:
        return "another user's process"
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"


def _is_ours(pid: int | None, supervisor: int | None) -> bool:
    if pid is None or supervisor is None:
        return False
    try:
        return any(parent.pid == supervisor for parent in psutil.Process(pid).parents())
    except psutil.NoSuchProcess:
        return True  # it ended while we looked
