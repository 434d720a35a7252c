"""ClickHouse Keeper: what replicas of ClickHouse agree through."""

from __future__ import annotations

import pulumi

from components.configuration import config_file
from platforms.service import Health, Platform, Service, numbered

PORT, CONTROL_PORT, RAFT_PORT = 9181, 9182, 9234


class Keeper(pulumi.ComponentResource):
    """One Keeper, or three that outlive the loss of one. Only services reach them.

    Attributes:
        hosts: of each, as services call it. servers: complete once each has a leader.
    """

    def __init__(
        self,
        name: str,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
        *,
        members: int = 1,
    ) -> None:
        super().__init__("cdc:tier:Keeper", name, None, opts)
        services = numbered(name, members)
        addresses = [platform.address(service, PORT) for service in services]
        self.hosts = [address.host for address in addresses]
        known = "".join(
            f"<server><id>{number}</id><hostname>{host}</hostname><port>{RAFT_PORT}</port></server>"
            for number, host in enumerate(self.hosts, 1)
        )
        # Together: none of three is ready before two of them are there.
        self.servers = platform.run_together(
            [
                Service(
                    name=service,
                    kind=name,
                    ports={"clients": PORT, "control": CONTROL_PORT, "raft": RAFT_PORT},
                    health=Health("http", CONTROL_PORT, "/ready"),
                    files={
                        "keeper.xml": config_file(
                            "clickhouse/keeper.xml",
                            BIND=address.bind,
                            NUMBER=number,
                            PORT=PORT,
                            CONTROL_PORT=CONTROL_PORT,
                            DATA=platform.folders(service, name).data,
                            MEMBERS=known,
                        )
                    },
                )
                for number, (service, address) in enumerate(
                    zip(services, addresses, strict=True), 1
                )
            ],
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"port": PORT})
