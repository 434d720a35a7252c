"""The providers behind the containers, on a real Docker engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker
import pytest
from pulumi.dynamic import CreateResult

from platforms.containers import STACK_LABEL
from platforms.images import IMAGES
from providers.base import Props, ProviderError
from providers.config_volume import ConfigVolumeProvider
from providers.container_ready import ContainerReadyProvider
from tests.docker.conftest import STACK

LABELS = {STACK_LABEL: STACK}
FILES = {"a.conf": "key=value\n", "conf.d/more": "x", "secret": "hidden"}


@pytest.fixture
def image(client: docker.DockerClient) -> str:
    return str(client.images.get(IMAGES["kafka"].reference).id)


@pytest.fixture
def props(client: docker.DockerClient, image: str) -> Iterator[Props]:
    yield {
        "volume": f"cdc-{STACK}-config",
        "labels": LABELS,
        "image": image,
        "owner": "1234:1234",
        "files": dict(FILES),
        "binaries": {"b.bin": "AAEC/w=="},
        "made": None,
    }
    for volume in client.volumes.list(filters={"label": f"{STACK_LABEL}={STACK}"}):
        volume.remove()


@pytest.fixture
def started(client: docker.DockerClient, image: str) -> Iterator[Any]:
    """Starts containers of a shell script; they are removed at the end."""
    made = []

    def start(script: str, check: str = "true") -> Any:
        container = client.containers.run(
            image,
            ["sh", "-c", script],
            detach=True,
            labels=LABELS,
            # Docker's own turn never comes: whoever waits asks by himself.
            healthcheck={"test": ["CMD", check], "interval": 3600 * 10**9},
        )
        made.append(container)
        return container

    yield start
    for container in made:
        container.remove(force=True, v=True)


def test_a_volume_holds_the_files_for_its_owner_alone(
    client: docker.DockerClient, props: Props, image: str
) -> None:
    made = ConfigVolumeProvider().create(props)
    # Where the image has a volume anyway, or Docker would make one that nobody removes.
    here = IMAGES["kafka"].volume
    look = "stat -c '%n %a %u:%g %s' $(find * -type f); stat -c '%n %a %u:%g' conf.d"
    told = client.containers.run(
        image,
        ["sh", "-c", f"cd {here}; {look}; cat a.conf; od -An -tx1 b.bin"],
        volumes={made.id: {"bind": here, "mode": "ro"}},
        remove=True,
    ).decode()
    assert told.splitlines() == [
        "a.conf 400 1234:1234 10",
        "b.bin 400 1234:1234 4",
        "conf.d/more 400 1234:1234 1",
        "secret 400 1234:1234 6",
        "conf.d 500 1234:1234",
        "key=value",
        " 00 01 02 ff",
    ]
    assert _outs(made)["made"] == made.id
    assert "hidden" not in str(client.volumes.get(made.id).attrs)


def test_other_files_make_another_volume_beside_it_and_another_image_does_not(
    client: docker.DockerClient, props: Props
) -> None:
    provider = ConfigVolumeProvider()
    made = provider.create(props)
    same = provider.diff(made.id, _outs(made), {**props, "image": "another"})
    assert not same.changes
    other = {**props, "files": {**FILES, "secret": "changed"}}
    changed = provider.diff(made.id, _outs(made), other)
    assert changed.replaces == ["files"] and not changed.delete_before_replace
    assert provider.create(other).id != made.id
    provider.delete(made.id, _outs(made))
    provider.delete(made.id, _outs(made))
    assert provider.read(made.id, _outs(made)).id == ""
    assert len(client.volumes.list(filters={"label": f"{STACK_LABEL}={STACK}"})) == 1


def _outs(made: CreateResult) -> Props:
    assert made.outs is not None
    return made.outs


def _ready(container: Any) -> Props:
    return {
        "container": container.id,
        "service": "thing",
        "health": {"kind": "container"},
        "start_seconds": 4,
        "running": True,
    }


def test_a_container_that_ends_is_told_with_its_last_words(started: Any) -> None:
    container = started("echo starting; echo 'no such file: x.conf' >&2; exit 3")
    with pytest.raises(ProviderError, match=r"does not stay up \(exit 3\).*no such file: x\.conf"):
        ContainerReadyProvider().create(_ready(container))


def test_a_container_that_never_answers_is_told_with_its_last_words(started: Any) -> None:
    container = started("echo waiting for godot; sleep 60", check="false")
    with pytest.raises(ProviderError, match=r"within 4 s.*waiting for godot"):
        ContainerReadyProvider().create(_ready(container))


def test_a_stopped_container_is_a_difference_and_is_started_again(started: Any) -> None:
    container = started("sleep 60")
    provider, props = ContainerReadyProvider(), _ready(container)
    made = provider.create(props)
    assert not provider.diff(made.id, _outs(made), props).changes
    container.kill()
    assert provider.diff(made.id, _outs(made), props).changes
    provider.update(made.id, _outs(made), props)
    container.reload()
    assert container.status == "running"
