"""Grafana."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pulumi

from components.configuration import config_file
from platforms.service import Health, Platform, Service
from providers.password import Password

ADMINISTRATOR = "admin"


@dataclass(frozen=True)
class GrafanaArgs:
    """port: HTTP port."""

    port: int


class Grafana(pulumi.ComponentResource):
    """Grafana with one administrator.

    Attributes:
        url: for the operator.
        password: the administrator's, secret.
        target: where it tells its own metrics, `host:port` for services.
    """

    def __init__(
        self,
        name: str,
        args: GrafanaArgs,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
        *,
        after: Collection[pulumi.Resource] = (),
    ) -> None:
        super().__init__("cdc:tier:Grafana", name, None, opts)
        self.password = Password(f"{name}-password", opts=pulumi.ResourceOptions(parent=self)).value
        address, folders = platform.address(name, args.port), platform.folders(name)
        self.url = f"http://{address.operator}"
        platform.run(
            Service(
                name=name,
                ports={"http": args.port},
                published=[args.port],
                interface=True,
                health=Health("http", args.port, "/api/health"),
                files={
                    "grafana.ini": config_file(
                        "grafana/grafana.ini",
                        BIND=address.bind,
                        PORT=args.port,
                        DATA=folders.data,
                        CONFIG=folders.config,
                    ),
                    "admin-password": self.password,
                },
                # It makes its database the first time.
                start_seconds=120,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[*after]),
        )
        self.register_outputs({"url": self.url})
