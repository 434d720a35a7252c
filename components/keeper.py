"""ClickHouse Keeper: what replicas of ClickHouse agree through."""

from __future__ import annotations

import pulumi

from components.configuration import config_file
from platforms.service import Health, Platform, Service

PORT, CONTROL_PORT, RAFT_PORT = 9181, 9182, 9234


class Keeper(pulumi.ComponentResource):
    """One Keeper, which only services reach."""

    def __init__(
        self,
        name: str,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cdc:tier:Keeper", name, None, opts)
        address = platform.address(name, PORT)
        platform.run(
            Service(
                name=name,
                ports={"clients": PORT, "control": CONTROL_PORT, "raft": RAFT_PORT},
                # Ready is one that has a leader, itself for one.
                health=Health("http", CONTROL_PORT, "/ready", every_seconds=15),
                files={
                    "keeper.xml": config_file(
                        "clickhouse/keeper.xml",
                        BIND=address.bind,
                        HOST=address.host,
                        PORT=PORT,
                        CONTROL_PORT=CONTROL_PORT,
                        RAFT_PORT=RAFT_PORT,
                        DATA=platform.folders(name).data,
                    )
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"port": PORT})
