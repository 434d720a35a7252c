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

from providers.base import Props, Provider, ProviderError, own
from providers.postgres import Connection, connected, value

TABLE = "cdc.heartbeat"
BEAT = f"UPDATE {TABLE} SET beat = clock_timestamp() WHERE id = 1"

# What is marked so was made by a stack; what isn't is somebody else's and stays as it is.
MARK = "heartbeat of change data capture"

SCHEMA = f"CREATE SCHEMA cdc; COMMENT ON SCHEMA cdc IS '{MARK}'"
CREATE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (id integer PRIMARY KEY, beat timestamptz NOT NULL);
COMMENT ON TABLE {TABLE} IS '{MARK}';
INSERT INTO {TABLE} VALUES (1, now()) ON CONFLICT DO NOTHING;
"""


class HeartbeatProvider(Provider):
    """Makes `cdc.heartbeat` with its one row, and lets the connector's role update it.

    Stacks that capture the same database share it: the last one takes it away.
    """

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
        with connected(_props["connection"]) as connection, connection.transaction():
            if _marked(connection, "pg_class", TABLE) and not value(
                connection,
                "SELECT 1 FROM pg_publication_rel WHERE prrelid = to_regclass(%s) LIMIT 1",
                TABLE,
            ):
                connection.execute(f"DROP TABLE {TABLE}")
            # Somebody else may have put something into the schema: then it stays.
            if _marked(connection, "pg_namespace", "cdc") and not value(
                connection,
                "SELECT 1 FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass "
                "AND refobjid = to_regnamespace('cdc') LIMIT 1",
            ):
                connection.execute("DROP SCHEMA cdc")

    def _apply(self, props: Props) -> None:
        with connected(props["connection"]) as connection, connection.transaction():
            if value(connection, "SELECT to_regnamespace('cdc') IS NULL"):
                connection.execute(SCHEMA)
            if value(connection, "SELECT to_regclass(%s)", TABLE) and not _marked(
                connection, "pg_class", TABLE
            ):
                raise ProviderError(
                    f"a table {TABLE} exists that no stack made: rename it, the heartbeat needs it"
                )
            connection.execute(CREATE.encode())
            role = sql.Identifier(props["role"])
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA cdc TO {}").format(role))
            connection.execute(
                sql.SQL("GRANT SELECT, UPDATE ON {} TO {}").format(
                    sql.Identifier(*TABLE.split(".")), role
                )
            )


def _marked(connection: Connection, catalog: str, name: str) -> bool:
    """Whether the table (pg_class) or schema (pg_namespace) of this name is a stack's."""
    kind = "regclass" if catalog == "pg_class" else "regnamespace"
    said = value(connection, f"SELECT obj_description(to_{kind}(%s), %s)", name, catalog)
    return bool(said == MARK)


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
