"""Prometheus, and Alertmanager, which it tells."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pulumi

from components.configuration import config_file
from platforms.service import Health, Platform, Service


@dataclass(frozen=True)
class PrometheusArgs:
    """port, alertmanager_port: HTTP ports; None where there is no Alertmanager.

    targets: a service's name to `host:port` with its metrics. retention: how long they are kept.
    """

    port: int
    alertmanager_port: int | None
    targets: Mapping[str, str]
    retention: str = "30d"


class Prometheus(pulumi.ComponentResource):
    """Prometheus, after the Alertmanager that it tells.

    Attributes:
        urls: of each of the two that is there, for the operator.
        server: Prometheus itself.
    """

    def __init__(
        self,
        name: str,
        args: PrometheusArgs,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
        *,
        after: Collection[pulumi.Resource] = (),
    ) -> None:
        super().__init__("cdc:tier:Prometheus", name, None, opts)
        self._platform = platform
        self.urls: dict[str, str] = {}
        alertmanagers, first = {}, [*after]
        if args.alertmanager_port is not None:
            alertmanager = "alertmanager"
            address = platform.address(alertmanager, args.alertmanager_port)
            alertmanagers[alertmanager] = address.inside
            first.append(
                self._run(
                    alertmanager,
                    args.alertmanager_port,
                    files={"alertmanager.yml": config_file("alertmanager/alertmanager.yml")},
                )
            )
        itself = {name: platform.address(name, args.port).inside}
        self.server = self._run(
            name,
            args.port,
            files={
                "prometheus.yml": config_file("prometheus/prometheus.yml"),
                "targets.json": _targets({**args.targets, **alertmanagers, **itself}),
                "alertmanagers.json": _targets(alertmanagers),
            },
            environment={"RETENTION": args.retention},
            after=first,
        )
        self.register_outputs(dict(self.urls))

    def _run(
        self,
        service: str,
        port: int,
        *,
        files: Mapping[str, pulumi.Input[str]],
        environment: Mapping[str, str] | None = None,
        after: Collection[pulumi.Resource] = (),
    ) -> pulumi.Resource:
        address = self._platform.address(service, port)
        self.urls[service] = f"http://{address.operator}"
        return self._platform.run(
            Service(
                name=service,
                ports={"http": port},
                published=[port],
                interface=True,
                health=Health("http", port, "/-/ready"),
                files=files,
                environment={"LISTEN": f"{address.bind}:{port}", **(environment or {})},
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[*after]),
        )


def _targets(addresses: Mapping[str, str]) -> str:
    """Prometheus' own form of a list of targets."""
    return json.dumps(
        [
            {"targets": [address], "labels": {"job": service}}
            for service, address in sorted(addresses.items())
        ],
        indent=2,
    )
