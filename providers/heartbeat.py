"""The heartbeat table: a change to capture even when the source is idle.

Without one an idle database keeps its log for ever: the slot is confirmed only by events of
captured tables (https://debezium.io/documentation/reference/3.7/connectors/postgresql.html#postgresql-wal-disk-space).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from psycopg import sql
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from providers.base import Props, Provider, own
from providers.postgres import connected, value

TABLE = "cdc.heartbeat"
BEAT = f"UPDATE {TABLE} SET beat = clock_timestamp() WHERE id = 1"

CREATE = f"""
CREATE SCHEMA IF NOT EXISTS cdc;
CREATE TABLE IF NOT EXISTS {TABLE} (id integer PRIMARY KEY, beat timestamptz NOT NULL);
INSERT INTO {TABLE} VALUES (1, now()) ON CONFLICT DO NOTHING;
"""


class HeartbeatProvider(Provider):
    """Makes `cdc.heartbeat` with its one row, and lets the connector's role update it."""

    def create(self, props: Props) -> CreateResult:
        self._apply(props)
        return CreateResult(TABLE, own(props))

    def read(self, id_: str, props: Props) -> ReadResult:
        with connected(props["connection"]) as connection:
            found = value(connection, "SELECT to_regclass(%s) IS NOT NULL", TABLE) and value(
                connection, f"SELECT 1 FROM {TABLE} WHERE id = 1"
            )
        return ReadResult(id_ if found else "", own(props))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        self._apply(_news)
        return UpdateResult(own(_news))

    def delete(self, _id: str, _props: Props) -> None:
        with connected(_props["connection"]) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
            # Somebody else may have put something into the schema: then it stays.
            if not value(
                connection,
                "SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace('cdc') LIMIT 1",
            ):
                connection.execute("DROP SCHEMA IF EXISTS cdc")

    def _apply(self, props: Props) -> None:
        with connected(props["connection"]) as connection, connection.transaction():
            connection.execute(CREATE.encode())
            role = sql.Identifier(props["role"])
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA cdc TO {}").format(role))
            connection.execute(
                sql.SQL("GRANT SELECT, UPDATE ON {} TO {}").format(
                    sql.Identifier(*TABLE.split(".")), role
                )
            )


class Heartbeat(Resource, module="cdc", name="PostgresHeartbeat"):
    """The heartbeat table, updated by the connector as `role`."""

    def __init__(
        self,
        name: str,
        *,
        connection: Mapping[str, pulumi.Input[Any]],
        role: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            HeartbeatProvider(), name, {"connection": dict(connection), "role": role}, opts
        )
