"""That a container is up and its service answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from docker.errors import APIError, NotFound
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from platforms.containers import EngineError, engine, last_words, well
from platforms.probe import answers
from providers.base import Props, Provider, ProviderError, own, until

EVERY = 0.3  # seconds between questions, some of which start a process
RESTARTS = 3  # which a container may need until what it depends on is there


class ContainerReadyProvider(Provider):
    """Starts a container that is stopped, waits until its service answers.

    Over HTTP by the operator's own question and not by the container's health: a worker with a
    failed task is unhealthy, and what mends the task comes after it.
    """

    def create(self, props: Props) -> CreateResult:
        self._wait(props)
        return CreateResult(props["service"], own(props))

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        return super().diff(_id, {**_olds, "running": _running(_olds["container"])}, _news)

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        self._wait(_news)
        return UpdateResult(own(_news))

    def _wait(self, props: Props) -> None:
        try:
            with engine() as client:
                container = client.containers.get(props["container"])
                if container.status != "running":
                    container.start()
                restarts = int(container.attrs["RestartCount"])
                try:
                    until(
                        lambda: _ready(container, props, restarts),
                        float(props["start_seconds"]),
                        f"{props['service']} becoming ready",
                        every=EVERY,
                    )
                except ProviderError as error:
                    told = f"{error}; its last words: {last_words(container)}"
                    raise ProviderError(told) from error
        except (EngineError, NotFound, APIError) as error:
            raise ProviderError(f"{props['service']}: {error}") from error


class ContainerReady(Resource, module="cdc", name="ContainerReady"):
    """Complete once the service in the container answers.

    Args:
        container: its id.
        health: `{"kind": "http", "url": …}`, or `{"kind": "container"}` where the operator can't
            ask that: the container's own check.
    """

    def __init__(
        self,
        name: str,
        *,
        container: pulumi.Input[str],
        service: str,
        health: Mapping[str, Any],
        start_seconds: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            ContainerReadyProvider(),
            name,
            {
                "container": container,
                "service": service,
                "health": dict(health),
                "start_seconds": start_seconds,
                "running": True,
            },
            opts,
        )


def _running(id_: str) -> bool:
    try:
        with engine() as client:
            return bool(client.containers.get(id_).status == "running")
    except (EngineError, NotFound):
        return False


def _ready(container: Any, props: Mapping[str, Any], restarts: int) -> bool:
    container.reload()
    state = container.attrs["State"]
    if int(container.attrs["RestartCount"]) - restarts > RESTARTS or state["Status"] == "exited":
        raise ProviderError(f"{props['service']} does not stay up (exit {state['ExitCode']})")
    health = props["health"]
    return well(container) if health["kind"] == "container" else answers(health)
