"""The source database of a stack that brings its own: Postgres, tuned for logical decoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.configuration import config_file
from platforms.service import Health, Platform, Service
from providers.database import Database
from providers.password import Password

ADMINISTRATOR = "postgres"
SAMPLE = Path(__file__).parent.parent / "sql" / "postgres" / "inventory.sql"


@dataclass(frozen=True)
class PostgresArgs:
    """port: TCP port. database: made unless it exists. sample: create the inventory schema."""

    port: int
    database: str
    sample: bool


class Postgres(pulumi.ComponentResource):
    """A Postgres server with the source database.

    Attributes:
        connection: the administrator's connection to `database`, as the operator reaches it.
        inside: how the connector reaches it: settings of Debezium, without user and password.
        ca: certificates the connector has to trust: none, there is no TLS on loopback.
    """

    connection: dict[str, pulumi.Input[Any]]

    def __init__(
        self,
        name: str,
        args: PostgresArgs,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cdc:tier:Postgres", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.password = Password(f"{name}-password", opts=child)
        self.address = platform.address(name, args.port)
        server = platform.run(
            Service(
                name=name,
                ports={"postgres": args.port},
                published=[args.port],
                health=Health("tcp", args.port),
                files={
                    "postgresql.conf": config_file(
                        "postgres/postgresql.conf", BIND=self.address.bind, PORT=args.port
                    ),
                    "pg_hba.conf": config_file(
                        "postgres/pg_hba.conf", NEIGHBOURS=platform.neighbours
                    ),
                    "superuser-password": self.password.value,
                },
                # Fast shutdown: sessions are ended, everything is written, the slots are kept.
                stop_signal="INT",
            ),
            child,
        )
        database = Database(
            f"{name}-database",
            connection=self._connection("postgres"),
            database=args.database,
            script=SAMPLE.read_text() if args.sample else "",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[server]),
        )
        self.connection = self._connection(database.database)
        self.inside: dict[str, pulumi.Input[str]] = {
            "database.hostname": self.address.host,
            "database.port": str(self.address.port),
            "database.dbname": args.database,
        }
        self.ca = ""
        self.register_outputs({"port": args.port, "database": database.database})

    def _connection(self, database: pulumi.Input[str]) -> dict[str, pulumi.Input[Any]]:
        return {
            "host": self.address.operator_host,
            "port": self.address.operator_port,
            "user": ADMINISTRATOR,
            "password": self.password.value,
            "database": database,
        }
