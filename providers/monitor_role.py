"""The role a monitor logs in as: it sees the server's own views, and no table's rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from psycopg import sql
from pulumi.dynamic import ReadResult, Resource

from providers.base import Props, own
from providers.login import LoginProvider
from providers.postgres import connected, value

ABLE = """
SELECT rolcanlogin AND NOT rolsuper AND NOT rolreplication AND NOT rolcreaterole
   AND pg_has_role(oid, 'pg_monitor', 'USAGE')
FROM pg_roles WHERE rolname = %s
"""
CONNECTIONS = 5  # an exporter that is asked faster than it answers must not take the server's


class MonitorRoleProvider(LoginProvider):
    """A login that is a member of pg_monitor
    (https://www.postgresql.org/docs/16/predefined-roles.html) and of nothing else.
    """

    def read(self, id_: str, props: Props) -> ReadResult:
        with connected(props["connection"]) as connection:
            able = value(connection, ABLE, props["role"])
        if able is None:
            return ReadResult("", own(props))
        return ReadResult(id_, {**own(props), "able": able})

    def _apply(self, props: Props) -> None:
        role = sql.Identifier(props["role"])
        with connected(props["connection"]) as connection, connection.transaction():
            made = value(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", props["role"])
            connection.execute(
                sql.SQL(
                    "{} ROLE {} LOGIN NOSUPERUSER NOREPLICATION NOCREATEROLE CONNECTION LIMIT {} "
                    "PASSWORD {}"
                ).format(
                    sql.SQL("ALTER" if made else "CREATE"),
                    role,
                    sql.Literal(CONNECTIONS),
                    sql.Literal(props["password"]),
                )
            )
            connection.execute(sql.SQL("GRANT pg_monitor TO {}").format(role))
            connection.execute(
                sql.SQL("COMMENT ON ROLE {} IS {}").format(role, sql.Literal(props["mark"]))
            )


class MonitorRole(Resource, module="cdc", name="PostgresMonitorRole"):
    """A monitor's login.

    Args:
        connection: an administrator's connection to the server.
        password: secret.
        mark: the comment by which the stack knows the role as its own.
    """

    def __init__(
        self,
        name: str,
        *,
        connection: Mapping[str, pulumi.Input[Any]],
        role: str,
        password: pulumi.Input[str],
        mark: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            MonitorRoleProvider(),
            name,
            {
                "connection": dict(connection),
                "role": role,
                "password": pulumi.Output.secret(password),
                "mark": mark,
                "able": True,
            },
            opts,
        )
