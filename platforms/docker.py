"""Services as containers of a Docker engine, on networks of the stack's own."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker

from ops import parts
from platforms.containers import (
    SERVICE_LABEL,
    STACK_LABEL,
    EngineError,
    engine,
    published,
)
from platforms.images import IMAGES, SIZES, Image
from platforms.ports import taken
from platforms.service import Endpoint, Folders, Service
from providers.config_volume import ConfigVolume
from providers.container_ready import ContainerReady

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - in a container's own network; published on loopback
CONFIG = "/etc/cdc"
SCRATCH = "/tmp"  # noqa: S108 - a container's own tmpfs
PLUGINS = f"{SCRATCH}/plugins"
MACHINE = "/host"  # where what sees the machine finds its files
NO_WAY_OUT = {"com.docker.network.bridge.enable_ip_masquerade": "false"}
# Each check is a process in the container. Nothing waits for it: see ContainerReady.
HEALTH_SECONDS = 15
LAUNCHER, HEALTH = "launch.sh", "health.sh"
SCRIPTS = Path(__file__).parent


class DockerPlatform:
    """Containers: `backend` is internal, `operator` and `frontend` publish and let nothing out.

    An internal network publishes nothing. So a service that the operator must reach is on a second
    one, which does, without the masquerading that would give it a way to the internet: what serves
    people in a browser on `frontend`, the data path on `operator`. Only who needs that way is on
    `outside` instead. `frontend` and it exist where they are needed.
    """

    def __init__(self, stack: str) -> None:
        self._stack = stack
        self.parts = parts.locate()
        self.backend = self._network("backend", internal=True)
        self.operator = self._network("operator", NO_WAY_OUT)
        self._frontend: docker.Network | None = None
        self._outside: docker.Network | None = None

    @property
    def connect_plugins(self) -> str:
        return PLUGINS

    @property
    def neighbours(self) -> str:
        return "samenet"

    def preflight(self, ports: Mapping[str, int]) -> None:
        try:
            with engine() as client:
                ours = published(client, self._stack)
        except EngineError as error:
            raise pulumi.RunError(str(error)) from error
        others = {setting: port for setting, port in ports.items() if port not in ours}
        if problems := taken(others, None):
            raise pulumi.RunError("\n".join(problems))

    def folders(self, service: str, kind: str = "") -> Folders:
        return Folders(config=CONFIG, data=_data(IMAGES[kind or service]))

    def address(self, service: str, port: int) -> Endpoint:
        return Endpoint(service, port, LOOPBACK, port, bind=EVERYWHERE)

    def run(self, service: Service, opts: pulumi.ResourceOptions) -> pulumi.Resource:
        [ready] = self.run_together([service], opts)
        return ready

    def run_together(
        self, services: Sequence[Service], opts: pulumi.ResourceOptions
    ) -> list[pulumi.Resource]:
        containers = [self._declare(each, opts) for each in services]
        # Not one after the other, however few resources Pulumi makes at a time.
        all_there = pulumi.ResourceOptions(parent=opts.parent, depends_on=containers)
        return [
            self._ready(service, container, all_there)
            for service, container in zip(services, containers, strict=True)
        ]

    def _declare(self, service: Service, opts: pulumi.ResourceOptions) -> docker.Container:
        name, image = service.name, IMAGES[service.program]
        parent = pulumi.ResourceOptions(parent=opts.parent)
        # An image that is there is not pulled again, and stays when the stack goes.
        local = docker.RemoteImage(
            f"{name}-image", name=image.reference, keep_locally=True, opts=parent
        )
        config = ConfigVolume(
            f"{name}-config",
            volume=f"cdc-{self._stack}-{name}-config",
            labels=self._labels(name),
            image=local.image_id,
            owner=image.user,
            files={
                LAUNCHER: (SCRIPTS / "launch" / f"{image.launcher}.sh").read_text(),
                HEALTH: (SCRIPTS / "health" / f"{image.health}.sh").read_text(),
                **service.files,
            },
            binaries=self._binaries(service.program),
            opts=parent,
        )
        return self._container(service, image, local, self._volumes(service, config, parent), opts)

    def _ready(
        self, service: Service, container: docker.Container, opts: pulumi.ResourceOptions
    ) -> ContainerReady:
        return ContainerReady(
            f"{service.name}-ready",
            container=container.id,
            service=service.name,
            health=_question(service),
            start_seconds=service.start_seconds,
            opts=opts,
        )

    def _volumes(
        self, service: Service, config: ConfigVolume, parent: pulumi.ResourceOptions
    ) -> list[docker.ContainerVolumeArgs]:
        name = service.name
        path = IMAGES[service.program].volume
        mounted = [
            docker.ContainerVolumeArgs(
                container_path=CONFIG, volume_name=config.made, read_only=True
            )
        ]
        if service.sees_machine:
            # Without `rslave`, which node-exporter's manual has: Docker chooses it where it can;
            # where the root is mounted privately (WSL, a container) it would refuse to start
            # (https://github.com/prometheus/node_exporter/issues/1509).
            mounted.append(
                docker.ContainerVolumeArgs(container_path=MACHINE, host_path="/", read_only=True)
            )
        if path:
            data = docker.Volume(
                f"{name}-data",
                name=f"cdc-{self._stack}-{name}-data",
                labels=[docker.VolumeLabelArgs(label=STACK_LABEL, value=self._stack)],
                # Data goes with `./cdc down --purge`, never with `pulumi destroy`.
                opts=pulumi.ResourceOptions.merge(
                    parent, pulumi.ResourceOptions(retain_on_delete=True)
                ),
            )
            mounted.append(docker.ContainerVolumeArgs(container_path=path, volume_name=data.name))
        return mounted

    def _container(
        self,
        service: Service,
        image: Image,
        local: docker.RemoteImage,
        volumes: list[docker.ContainerVolumeArgs],
        opts: pulumi.ResourceOptions,
    ) -> docker.Container:
        size = SIZES[service.program]
        environment = {
            "CDC_CONFIG": CONFIG,
            "CDC_DATA": _data(image),
            "CLASS_ARCHIVES": image.volume,
            "HEALTH_PATH": service.health.path,
            "HEALTH_PORT": str(service.health.port),
            "PLUGINS": PLUGINS,
            **image.environment,
            **service.environment,
        }
        return docker.Container(
            f"{service.name}-container",
            name=self._container_name(service, image),
            image=local.image_id,
            hostname=service.name,
            entrypoints=["sh", f"{CONFIG}/{LAUNCHER}"],
            command=list(service.arguments),
            envs=[f"{key}={value}" for key, value in sorted(environment.items())],
            user=image.user,
            volumes=volumes,
            pid_mode="host" if service.sees_machine else None,
            read_only=True,
            # Java unpacks native libraries there and runs them.
            tmpfs={SCRATCH: "rw,exec,nosuid,nodev,size=128m,mode=1777"},
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            # Docker adds the second one by itself, which the provider would find different.
            security_opts=[
                "no-new-privileges:true",
                *(["label=disable"] if service.sees_machine else []),
            ],
            cpus=size.cpus,
            memory=size.memory_mb,
            memory_swap=size.memory_mb,
            # Said, for the provider would find Docker's own answer different each time
            # (https://github.com/pulumi/pulumi-docker/issues/1272).
            network_mode="bridge",
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=[service.name])
                for network in self._networks(service)
            ],
            ports=[
                docker.ContainerPortArgs(internal=port, external=port, ip=LOOPBACK, protocol="tcp")
                for port in sorted(set(service.published))
            ],
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD", image.interpreter, f"{CONFIG}/{HEALTH}"],
                interval=f"{HEALTH_SECONDS}s",
                timeout="5s",
                retries=3,
                start_period=f"{service.start_seconds}s",
            ),
            restart="unless-stopped",
            stop_signal=f"SIG{service.stop_signal}",
            stop_timeout=service.stop_seconds,
            destroy_grace_seconds=service.stop_seconds,
            log_driver="json-file",
            log_opts={"max-size": "20m", "max-file": "4"},
            labels=[
                docker.ContainerLabelArgs(label=label, value=value)
                for label, value in self._labels(service.name).items()
            ],
            must_run=True,
            wait=False,
            opts=pulumi.ResourceOptions.merge(
                opts,
                pulumi.ResourceOptions(
                    # Name and ports are unique: two can't stand side by side.
                    delete_before_replace=True,
                    # The provider changes it in its state only
                    # (https://github.com/kreuzwerker/terraform-provider-docker/issues/988).
                    replace_on_changes=["healthcheck"],
                ),
            ),
        )

    def _networks(self, service: Service) -> list[docker.Network]:
        if service.outside:
            self._outside = self._outside or self._network("outside")
            return [self.backend, self._outside]
        if service.interface:
            self._frontend = self._frontend or self._network("frontend", NO_WAY_OUT)
            return [self.backend, self._frontend]
        return [self.backend, self.operator] if service.published else [self.backend]

    def _network(
        self, name: str, options: Mapping[str, str] | None = None, *, internal: bool = False
    ) -> docker.Network:
        return docker.Network(
            f"network-{name}",
            name=f"cdc-{self._stack}-{name}",
            driver="bridge",
            internal=internal,
            options=dict(options or {}),
            labels=[docker.NetworkLabelArgs(label=STACK_LABEL, value=self._stack)],
        )

    def _container_name(self, service: Service, image: Image) -> str:
        # The second of a kind differs from the first as the services' names do.
        name = image.container + service.name.removeprefix(service.program)
        return name if self._stack == "dev" else f"{self._stack}-{name}"

    def _labels(self, service: str) -> dict[str, str]:
        return {STACK_LABEL: self._stack, SERVICE_LABEL: service}

    def _binaries(self, program: str) -> dict[str, str]:
        if program != "connect":
            return {}
        jar = self.parts.connect_plugins / parts.PLUGIN / parts.CONVERTER_JAR
        return {parts.CONVERTER_JAR: base64.b64encode(jar.read_bytes()).decode()}


def _data(image: Image) -> str:
    """A folder below the volume: services make and replace it, a mount point they couldn't."""
    return f"{image.volume or SCRATCH}/cdc"


def _question(service: Service) -> dict[str, Any]:
    """What the operator asks himself, if he can reach the service and that tells.

    Docker's own proxy accepts connections for a service that doesn't listen yet.
    """
    health = service.health
    asked = health.kind == "http" and health.port in service.published
    return health.question(LOOPBACK) if asked else {"kind": "container"}
