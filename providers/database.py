"""A database and the idempotent script that makes its schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from psycopg import sql
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from providers.base import Props, Provider, own
from providers.postgres import connected, value


class DatabaseProvider(Provider):
    """Creates a database and runs a script in it.

    Destroying it drops nothing: what is in a source database was never this program's to delete.
    """

    replace_on = ("database",)

    def create(self, props: Props) -> CreateResult:
        self._apply(props)
        return CreateResult(props["database"], own(props))

    def read(self, id_: str, props: Props) -> ReadResult:
        with connected(props["connection"]) as connection:
            found = _exists(connection, props["database"])
        return ReadResult(id_ if found else "", own(props))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        self._apply(_news)
        return UpdateResult(own(_news))

    def _apply(self, props: Props) -> None:
        name = props["database"]
        with connected(props["connection"]) as connection:
            if not _exists(connection, name):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        if props["script"]:
            with connected({**props["connection"], "database": name}) as connection:
                connection.execute(props["script"].encode())


class Database(Resource, module="cdc", name="PostgresDatabase"):
    """A database of the source.

    Args:
        connection: an administrator's connection to an existing database of the same server.
        script: SQL that may be run any number of times; run again when it changes. May be empty.
    """

    database: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        connection: Mapping[str, pulumi.Input[Any]],
        database: str,
        script: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            DatabaseProvider(),
            name,
            {"connection": dict(connection), "database": database, "script": script},
            opts,
        )


def _exists(connection: Any, name: str) -> bool:
    return bool(value(connection, "SELECT 1 FROM pg_database WHERE datname = %s", name))
