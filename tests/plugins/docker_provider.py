"""Containers, networks, volumes, images of a real Docker engine, by pulumi-docker's names.

What a property means is the published provider's documentation
(https://www.pulumi.com/registry/packages/docker/api-docs/container/); its own differences of state
and inputs are not shown here, only that the same inputs change nothing.
"""

from __future__ import annotations

import re
from typing import Any

import docker
from docker.errors import ImageNotFound, NotFound

from tests.plugins.serving import Kind, Props, StandIn

MIB = 1024 * 1024


def _labels(props: Props) -> dict[str, str]:
    return {each["label"]: each["value"] for each in props.get("labels", [])}


class _Unchanging:
    """What is there or not, and never changed; `collection` is the engine's of its kind."""

    in_place = frozenset[str]()

    def __init__(self, collection: Any) -> None:
        self._all = collection

    def read(self, id_: str, _props: Props) -> Props | None:
        try:
            self._all.get(id_)
        except NotFound:
            return None
        return {}

    def update(self, id_: str, props: Props) -> Props:
        raise NotImplementedError

    def delete(self, id_: str, _props: Props) -> None:
        try:
            self._all.get(id_).remove()
        except NotFound:
            return


class _Network(_Unchanging):
    knows = frozenset({"name", "driver", "internal", "options", "labels"})

    def create(self, props: Props) -> tuple[str, Props]:
        made = self._all.create(
            props["name"],
            driver=props["driver"],
            internal=props["internal"],
            options=props.get("options") or None,
            labels=_labels(props),
            check_duplicate=True,
        )
        return str(made.id), {}


class _Volume(_Unchanging):
    knows = frozenset({"name", "labels"})

    def create(self, props: Props) -> tuple[str, Props]:
        made = self._all.create(props["name"], labels=_labels(props))
        return str(made.name), {}


class _RemoteImage:
    knows = frozenset({"name", "keepLocally"})
    in_place = frozenset({"keepLocally"})

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client

    def create(self, props: Props) -> tuple[str, Props]:
        try:
            image = self._client.images.get(props["name"])
        except ImageNotFound:
            image = self._client.images.pull(props["name"])
        return f"{image.id}{props['name']}", {"imageId": image.id}

    def read(self, _id: str, props: Props) -> Props | None:
        try:
            return {"imageId": self._client.images.get(props["name"]).id}
        except ImageNotFound:
            return None

    def update(self, _id: str, props: Props) -> Props:
        return {"imageId": self._client.images.get(props["name"]).id}

    def delete(self, _id: str, props: Props) -> None:
        if not props.get("keepLocally"):
            self._client.images.remove(props["name"])


class _Container:
    knows = frozenset(
        {
            *("name", "image", "hostname", "entrypoints", "command", "envs", "user", "volumes"),
            *("readOnly", "tmpfs", "capabilities", "securityOpts", "cpus", "memory", "memorySwap"),
            *("networkMode", "networksAdvanced", "ports", "healthcheck", "restart", "stopSignal"),
            *("stopTimeout", "destroyGraceSeconds", "logDriver", "logOpts", "labels", "mustRun"),
            *("wait", "groupAdds", "pidMode", "mounts"),
        }
    )
    # The published provider changes these on the running container.
    in_place = frozenset(
        {"memory", "memorySwap", "restart", "destroyGraceSeconds", "mustRun", "wait"}
    )

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client

    def create(self, props: Props) -> tuple[str, Props]:
        api = self._client.api
        id_: str = api.create_container_from_config(_config(props), props["name"])["Id"]
        try:
            # As the published provider does: out of the default network, into the named ones.
            api.disconnect_container_from_network(id_, "bridge")
            for network in props["networksAdvanced"]:
                api.connect_container_to_network(
                    id_, network["name"], aliases=network.get("aliases") or None
                )
            api.start(id_)
        except BaseException:
            api.remove_container(id_, v=True, force=True)
            raise
        return id_, {}

    def read(self, id_: str, props: Props) -> Props | None:
        try:
            container = self._client.containers.get(id_)
        except NotFound:
            return None
        return None if props.get("mustRun") and container.status != "running" else {}

    def update(self, id_: str, props: Props) -> Props:
        self._client.containers.get(id_).update(
            mem_limit=props["memory"] * MIB,
            memswap_limit=props["memorySwap"] * MIB,
            restart_policy={"Name": props["restart"]},
        )
        return {}

    def delete(self, id_: str, props: Props) -> None:
        try:
            container = self._client.containers.get(id_)
        except NotFound:
            return
        container.stop(timeout=props.get("destroyGraceSeconds", 10))
        container.remove(v=True, force=True)


def _config(props: Props) -> dict[str, Any]:
    """The engine's own words (https://docs.docker.com/reference/api/engine/version/v1.41/)."""
    health = props["healthcheck"]
    ports = {f"{each['internal']}/{each['protocol']}": each for each in props.get("ports", [])}
    return {
        "Image": props["image"],
        "Hostname": props["hostname"],
        "Entrypoint": props.get("entrypoints"),
        "Cmd": props.get("command"),
        "Env": props.get("envs", []),
        "User": props.get("user", ""),
        "Labels": _labels(props),
        "StopSignal": props.get("stopSignal"),
        "StopTimeout": props.get("stopTimeout"),
        "ExposedPorts": {port: {} for port in ports},
        "Healthcheck": {
            "Test": health["tests"],
            "Interval": _nanoseconds(health["interval"]),
            "Timeout": _nanoseconds(health["timeout"]),
            "StartPeriod": _nanoseconds(health["startPeriod"]),
            "Retries": health["retries"],
        },
        "HostConfig": {
            "Binds": [_bind(each) for each in props.get("volumes", [])],
            "ReadonlyRootfs": props.get("readOnly", False),
            "Tmpfs": props.get("tmpfs", {}),
            "CapDrop": props.get("capabilities", {}).get("drops", []),
            "CapAdd": props.get("capabilities", {}).get("adds", []),
            "SecurityOpt": props.get("securityOpts", []),
            "NanoCpus": int(float(props["cpus"]) * 1_000_000_000),
            "Memory": props["memory"] * MIB,
            "MemorySwap": props["memorySwap"] * MIB,
            "NetworkMode": props["networkMode"],
            "PidMode": props.get("pidMode", ""),
            "GroupAdd": props.get("groupAdds", []),
            "PortBindings": {
                port: [{"HostIp": each["ip"], "HostPort": str(each["external"])}]
                for port, each in ports.items()
            },
            "RestartPolicy": {"Name": props["restart"]},
            "LogConfig": {"Type": props["logDriver"], "Config": props.get("logOpts", {})},
        },
    }


def _bind(volume: Props) -> str:
    source = volume.get("hostPath") or volume["volumeName"]
    return f"{source}:{volume['containerPath']}:{'ro' if volume.get('readOnly') else 'rw'}"


def _nanoseconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)(ms|s|m|h)", text)
    if found is None:
        raise ValueError(f"{text} is no duration")
    return int(found[1]) * {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}[found[2]]


class DockerProvider(StandIn):
    """The four types that the project uses, on the engine that DOCKER_HOST names."""

    version = "5.2.0"

    def __init__(self) -> None:
        client = docker.from_env(timeout=120)
        kinds: dict[str, Kind] = {
            "docker:index/network:Network": _Network(client.networks),
            "docker:index/volume:Volume": _Volume(client.volumes),
            "docker:index/remoteImage:RemoteImage": _RemoteImage(client),
            "docker:index/container:Container": _Container(client),
        }
        super().__init__(kinds)
