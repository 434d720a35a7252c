"""The Docker engine, as this machine reaches it, and a stack's containers on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

STACK_LABEL = "cdc.stack"
SERVICE_LABEL = "cdc.service"
WORDS = 300  # characters of a log's line, some of which hold a whole stack trace


class EngineError(ConnectionError):
    """One line: the engine can't be reached, and what to do."""


@contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """A client of the engine that DOCKER_HOST names, the local socket's without.

    Raises EngineError when nobody answers there.
    """
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except DockerException as error:
        where = os.environ.get("DOCKER_HOST", "its usual socket")
        raise EngineError(
            f"no Docker engine answers at {where}: start it, set DOCKER_HOST, or see to your "
            "rights there"
        ) from error
    try:
        yield client
    finally:
        client.close()


def containers(client: docker.DockerClient, stack: str) -> dict[str, Any]:
    """The stack's containers by service, stopped ones too."""
    found = client.containers.list(all=True, filters={"label": f"{STACK_LABEL}={stack}"})
    return {each.labels[SERVICE_LABEL]: each for each in found if SERVICE_LABEL in each.labels}


def published(client: docker.DockerClient, stack: str) -> set[int]:
    """Ports of this machine that the stack's running containers have."""
    return {
        int(binding["HostPort"])
        for container in containers(client, stack).values()
        for bindings in (container.attrs["NetworkSettings"].get("Ports") or {}).values()
        for binding in bindings or ()
    }


def well(container: Any) -> bool:
    """Whether its own health check succeeds, asked now and not when Docker next does."""
    _, *check = container.attrs["Config"]["Healthcheck"]["Test"]
    try:
        return bool(container.exec_run(check).exit_code == 0)
    except (APIError, RequestException):  # it is starting or ending, or the check hangs
        return False


def last_words(container: Any, lines: int = 8) -> str:
    """The end of a container's log, on one line."""
    text = container.logs(tail=5 * lines).decode(errors="replace")
    told = dict.fromkeys(line.strip()[:WORDS] for line in text.splitlines() if line.strip())
    return " | ".join(list(told)[-lines:]) or "none"
