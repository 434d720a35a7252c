"""The publication: which tables' changes the server decodes for the connector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from psycopg import sql
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from providers.base import Props, Provider, own
from providers.postgres import connected, table, value


class PublicationProvider(Provider):
    """A publication of exactly the given tables
    (https://www.postgresql.org/docs/16/sql-createpublication.html).
    """

    replace_on = ("publication",)

    def create(self, props: Props) -> CreateResult:
        return CreateResult(props["publication"], self._apply(props))

    def read(self, id_: str, props: Props) -> ReadResult:
        with connected(props["connection"]) as connection:
            found = connection.execute(
                "SELECT oid::text, pubinsert AND pubupdate AND pubdelete AND pubtruncate "
                "FROM pg_publication WHERE pubname = %s",
                [props["publication"]],
            ).fetchone()
            if found is None:
                return ReadResult("", own(props))
            rows = connection.execute(
                "SELECT format('%%s.%%s', schemaname, tablename) FROM pg_publication_tables "
                "WHERE pubname = %s ORDER BY 1",
                [props["publication"]],
            ).fetchall()
        tables = [row[0] for row in rows]
        return ReadResult(id_, {**own(props), "oid": found[0], "whole": found[1], "tables": tables})

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        return UpdateResult(self._apply(_news))

    def delete(self, _id: str, _props: Props) -> None:
        name = sql.Identifier(_props["publication"])
        with connected(_props["connection"]) as connection:
            connection.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(name))

    def _apply(self, props: Props) -> Props:
        name = sql.Identifier(props["publication"])
        tables = sql.SQL(", ").join(table(each) for each in props["tables"])
        publish = sql.SQL("publish = 'insert, update, delete, truncate'")
        with connected(props["connection"]) as connection, connection.transaction():
            if value(
                connection, "SELECT 1 FROM pg_publication WHERE pubname = %s", props["publication"]
            ):
                connection.execute(
                    sql.SQL("ALTER PUBLICATION {} SET TABLE {}").format(name, tables)
                )
                connection.execute(sql.SQL("ALTER PUBLICATION {} SET ({})").format(name, publish))
            else:
                connection.execute(
                    sql.SQL("CREATE PUBLICATION {} FOR TABLE {} WITH ({})").format(
                        name, tables, publish
                    )
                )
            oid = value(
                connection,
                "SELECT oid::text FROM pg_publication WHERE pubname = %s",
                props["publication"],
            )
        return {**own(props), "oid": oid}


class Publication(Resource, module="cdc", name="PostgresPublication"):
    """A publication of `tables` (`schema.table`), all operations, truncate included.

    `oid` tells one publication from its successor of the same name.
    """

    publication: pulumi.Output[str]
    oid: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        connection: Mapping[str, pulumi.Input[Any]],
        publication: str,
        tables: Sequence[pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            PublicationProvider(),
            name,
            {
                "connection": dict(connection),
                "publication": publication,
                "tables": pulumi.Output.all(*tables).apply(sorted),
                "whole": True,
                "oid": None,
            },
            opts,
        )
