"""The role the connector logs in as: replication, and SELECT on the captured tables only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from psycopg import sql
from pulumi.dynamic import ReadResult, Resource

from providers.base import Props, own
from providers.login import LoginProvider
from providers.postgres import Connection, connected, table, value

READABLE = """
SELECT DISTINCT format('%%s.%%s', table_schema, table_name)
FROM information_schema.role_table_grants
WHERE grantee = %s AND privilege_type = 'SELECT'
  AND table_schema <> 'cdc'  -- the heartbeat's, which its own resource grants
"""

SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
# Amazon's servers know a role for it instead of the attribute.
REPLICATES = (
    "rolreplication OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = pg_roles.oid "
    "AND m.roleid = to_regrole('rds_replication'))"
)


class RoleProvider(LoginProvider):
    """A least-privilege replication role
    (https://debezium.io/documentation/reference/3.7/connectors/postgresql.html#postgresql-permissions).

    Nothing is granted to it that everybody has: what is granted has to be taken back.
    """

    def read(self, id_: str, props: Props) -> ReadResult:
        with connected(props["connection"]) as connection:
            able = value(
                connection,
                f"SELECT rolcanlogin AND ({REPLICATES}) AND NOT rolsuper "
                "FROM pg_roles WHERE rolname = %s",
                props["role"],
            )
            if able is None:
                return ReadResult("", own(props))
            readable = {row[0] for row in connection.execute(READABLE, [props["role"]])}
        tables = [name for name in props["tables"] if name in readable]
        extra = sorted(readable - set(props["tables"]))
        return ReadResult(id_, {**own(props), "able": able, "tables": tables + extra})

    def _apply(self, props: Props) -> None:
        role = sql.Identifier(props["role"])
        with connected(props["connection"]) as connection, connection.transaction():
            self._login(connection, props)
            database = props["connection"]["database"]
            if not value(
                connection,
                "SELECT has_database_privilege(%s, current_database(), 'CONNECT')",
                props["role"],
            ):
                connection.execute(
                    sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                        sql.Identifier(database), role
                    )
                )
            had = {row[0] for row in connection.execute(READABLE, [props["role"]])}
            for name in sorted(had - set(props["tables"])):
                connection.execute(sql.SQL("REVOKE SELECT ON {} FROM {}").format(table(name), role))
            for name in props["tables"]:
                schema = name.split(".", 1)[0]
                if not value(
                    connection,
                    "SELECT has_schema_privilege(%s, %s, 'USAGE')",
                    props["role"],
                    schema,
                ):
                    connection.execute(
                        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(
                            sql.Identifier(schema), role
                        )
                    )
                connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(table(name), role))

    def _login(self, connection: Connection, props: Props) -> None:
        role = sql.Identifier(props["role"])
        made = value(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", props["role"])
        superuser = value(connection, SUPERUSER)
        amazon = value(connection, "SELECT to_regrole('rds_replication') IS NOT NULL")
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN {} {} PASSWORD {}").format(
                sql.SQL("ALTER" if made else "CREATE"),
                role,
                sql.SQL("" if amazon else "REPLICATION"),
                sql.SQL("NOSUPERUSER" if superuser else ""),  # only they may even say so
                sql.Literal(props["password"]),
            )
        )
        if amazon:
            connection.execute(sql.SQL("GRANT rds_replication TO {}").format(role))
        # Rows that a policy would hide from it are an error then, not missing.
        connection.execute(sql.SQL("ALTER ROLE {} SET row_security = off").format(role))
        connection.execute(
            sql.SQL("COMMENT ON ROLE {} IS {}").format(role, sql.Literal(props["mark"]))
        )
        if not made and not superuser:
            # To drop what is granted to it, and to end its sessions, takes a member of it.
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))


class Role(Resource, module="cdc", name="PostgresRole"):
    """The connector's login.

    Args:
        connection: an administrator's connection to the captured database.
        password: secret.
        mark: the comment by which the stack knows the role as its own.
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
        mark: str,
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
                "mark": mark,
                "tables": list(tables),
                "able": True,
            },
            opts,
        )
