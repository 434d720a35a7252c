"""A stack on the Docker engine of this machine, and what stands in for what can't be had here."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, get_args

import docker
import pytest
from docker.errors import DockerException, ImageNotFound

from components.settings import BesideName
from ops import engine as pulumi_engine
from ops import places
from platforms.containers import STACK_LABEL, EngineError, containers, engine
from platforms.images import IMAGES
from tests.checkout import Checkout, checkout
from tests.images.build import stand_ins

STACK = "dockertest"
PLUGIN = ("docker", "5.2.0")
_stood_in: list[str] = []
_left_out: list[str] = []


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """The engine that DOCKER_HOST names, with every image that the platform wants."""
    try:
        with engine() as found, _alone():
            _stood_in.extend(f"image {each}" for each in stand_ins(found))
            yield found
    except EngineError as error:
        pytest.skip(str(error))


@contextmanager
def _alone() -> Iterator[None]:
    """Another run on this machine would take this one's stack for what a killed run left."""
    with (places.ensure(places.cache() / "locks") / STACK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def plugin() -> str:
    """A folder for PATH with the provider's stand-in; empty where the published one is had."""
    installed = subprocess.run(
        [str(pulumi_engine.locate_engine() / "pulumi"), "plugin", "install", "resource", *PLUGIN],
        env=pulumi_engine.environment(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    if installed.returncode == 0:
        return ""
    _stood_in.append("Pulumi's plugin {} {}".format(*PLUGIN))
    return str(places.project() / "tests" / "plugins")


@pytest.fixture(scope="module")
def project(
    client: docker.DockerClient, plugin: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Checkout]:
    """A checkout whose stack is to run in containers; nothing of it is left at the end."""
    _remove(client)
    with checkout(tmp_path_factory.mktemp("clone"), STACK, like="dev") as copy:
        if plugin:
            copy.environment["PATH"] = os.pathsep.join([plugin, copy.environment["PATH"]])
        services = get_args(BesideName)
        had = [each for each in services if _had(client, IMAGES[each].reference)]
        _left_out.extend(each for each in services if each not in had)
        copy.write(services=had)
        try:
            yield copy
        finally:
            _remove(client)


def _had(client: docker.DockerClient, reference: str) -> bool:
    try:
        client.images.get(reference)
    except ImageNotFound:
        try:
            client.images.pull(reference)
        except DockerException:
            return False
    return True


def _remove(client: docker.DockerClient) -> None:
    ours = {"label": f"{STACK_LABEL}={STACK}"}
    for container in client.containers.list(all=True, filters=ours):
        container.remove(force=True, v=True)
    for kind in (client.networks, client.volumes):
        for each in kind.list(filters=ours):
            each.remove()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A failure's report ends with what the stack's containers told last."""
    report = yield
    found = getattr(item, "funcargs", {}).get("client")
    if report.failed and isinstance(found, docker.DockerClient):
        for service, container in containers(found, STACK).items():
            told = container.logs(tail=30 if service == "connect" else 5)
            report.sections.append((f"{service}'s log", told.decode(errors="replace")))
            if service == "connect" and container.status == "running":
                report.sections.append(("Connect's threads", _threads(container)))
    return report


def _threads(container: Any) -> str:
    """Where the worker's own threads stand: a JVM prints that when it gets this signal."""
    container.kill(signal="SIGQUIT")
    time.sleep(2)
    dump = container.logs(tail=2000).decode(errors="replace").split("Full thread dump")[-1]
    ours = ("task-thread", "connector-thread", "DistributedHerder", "KafkaBasedLog")
    stacks = [each.splitlines() for each in dump.split("\n\n")]
    return "\n".join(
        "\n".join(stack[:12]) for stack in stacks if any(name in stack[0] for name in ours if stack)
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for each in dict.fromkeys(_stood_in):
        terminalreporter.write_line(f"stand-in: {each}")
    for each in dict.fromkeys(_left_out):
        terminalreporter.write_line(f"not run, its image can't be had: {each}")
