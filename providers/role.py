"""The role the connector logs in as: replication, and SELECT on the captured tables only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from psycopg import sql
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from providers.base import Props, Provider, own
from providers.postgres import Connection, connected, table, value

READABLE = """
SELECT DISTINCT format('%%s.%%s', table_schema, table_name)
FROM information_schema.role_table_grants
WHERE grantee = %s AND privilege_type = 'SELECT'
  AND table_schema <> 'cdc'  -- the heartbeat's, which its own resource grants
"""


class RoleProvider(Provider):
    """A least-privilege replication role
    (https://debezium.io/documentation/reference/3.7/connectors/postgresql.html#postgresql-permissions).
    """

    replace_on = ("role",)

    def create(self, props: Props) -> CreateResult:
        self._apply(props)
        return CreateResult(props["role"], own(props))

    def read(self, id_: str, props: Props) -> ReadResult:
        with connected(props["connection"]) as connection:
            able = value(
                connection,
                "SELECT rolcanlogin AND rolreplication AND NOT rolsuper "
                "FROM pg_roles WHERE rolname = %s",
                props["role"],
            )
            if able is None:
                return ReadResult("", own(props))
            readable = {row[0] for row in connection.execute(READABLE, [props["role"]])}
        tables = [name for name in props["tables"] if name in readable]
        extra = sorted(readable - set(props["tables"]))
        return ReadResult(id_, {**own(props), "able": able, "tables": tables + extra})

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        self._apply(_news)
        return UpdateResult(own(_news))

    def delete(self, _id: str, _props: Props) -> None:
        with connected(_props["connection"]) as connection:
            if _exists(connection, _props["role"]):
                role = sql.Identifier(_props["role"])
                # DROP OWNED takes the grants back; the role owns nothing.
                connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
                connection.execute(sql.SQL("DROP ROLE {}").format(role))

    def _apply(self, props: Props) -> None:
        role = sql.Identifier(props["role"])
        with connected(props["connection"]) as connection, connection.transaction():
            verb = "ALTER" if _exists(connection, props["role"]) else "CREATE"
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN REPLICATION NOSUPERUSER PASSWORD {}").format(
                    sql.SQL(verb), role, sql.Literal(props["password"])
                )
            )
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    sql.Identifier(props["connection"]["database"]), role
                )
            )
            had = {row[0] for row in connection.execute(READABLE, [props["role"]])}
            for name in sorted(had - set(props["tables"])):
                connection.execute(sql.SQL("REVOKE SELECT ON {} FROM {}").format(table(name), role))
            for name in props["tables"]:
                schema = sql.Identifier(name.split(".", 1)[0])
                connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
                connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(table(name), role))


class Role(Resource, module="cdc", name="PostgresRole"):
    """The connector's login.

    Args:
        connection: an administrator's connection to the captured database.
        password: secret.
        tables: `schema.table` of each table it may read; any other grant is taken back.
    """

    role: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        connection: Mapping[str, pulumi.Input[Any]],
        role: str,
        password: pulumi.Input[str],
        tables: Sequence[pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            RoleProvider(),
            name,
            {
                "connection": dict(connection),
                "role": role,
                "password": pulumi.Output.secret(password),
                "tables": list(tables),
                "able": True,
            },
            opts,
        )


def _exists(connection: Connection, role: str) -> bool:
    return bool(value(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role))
