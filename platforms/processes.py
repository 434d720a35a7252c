"""What a stack's services take of the machine: memory and processor time, children included."""

from __future__ import annotations

import psutil

MIB = 1024 * 1024


def memory(pid: int) -> int:
    """Resident bytes of a process and its children; pages they share are counted once.

    0 where there is no such process.
    """
    return sum(_proportional(each) for each in _family(pid))


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, its children, and those of them that have ended.

    0 where there is no such process.
    """
    total = 0.0
    for process in _family(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:  # its parent has its time from now on
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _family(pid: int) -> list[psutil.Process]:
    if not pid:
        return []
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:  # another user's, as root's Postgres is to an ordinary user
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
