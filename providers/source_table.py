"""A captured table as the source has it: its columns, and the replica identity capture needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from psycopg import sql
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from catalog.introspect import describe
from catalog.model import CaptureOptions, CatalogError
from catalog.objects import check
from providers.base import Props, Provider, ProviderError, own
from providers.postgres import Connection, connected, table, value

IDENTITIES = {"d": "DEFAULT", "n": "NOTHING", "f": "FULL"}
IDENTITY = "SELECT relreplident::text FROM pg_class WHERE oid = to_regclass(%s)"


class SourceTableProvider(Provider):
    """Describes the table and sets REPLICA IDENTITY FULL: updates and deletes carry the whole old
    row. The identity it had is given back when the table is no longer captured.
    """

    replace_on = ("table",)

    def create(self, props: Props) -> CreateResult:
        with connected(props["connection"]) as connection:
            outs = _described(connection, props)
            identity = value(connection, IDENTITY, _regclass(props))
            _set_identity(connection, props["table"], "FULL")
        return CreateResult(props["table"], {**outs, "previous_identity": identity})

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Looks at the live table: a column added in Postgres is news that no input tells of."""
        try:
            with connected(_olds["connection"], patience=1.0) as connection:
                described = _described(connection, _news)["described"]
        except ProviderError:
            described = _olds["described"]  # unreachable now; the update, if any, will say so
        if described == _olds["described"]:
            return super().diff(_id, _olds, {**_news, "described": None})
        return super().diff(_id, _olds, {**_news, "described": described})

    def read(self, id_: str, props: Props) -> ReadResult:
        with connected(props["connection"]) as connection:
            identity = value(connection, IDENTITY, _regclass(props))
        if identity is None:
            return ReadResult("", own(props))
        return ReadResult(id_, {**own(props), "identity": IDENTITIES.get(identity, "INDEX")})

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        with connected(_news["connection"]) as connection:
            outs = _described(connection, _news)
            _set_identity(connection, _news["table"], "FULL")
        return UpdateResult({**outs, "previous_identity": _olds["previous_identity"]})

    def delete(self, _id: str, _props: Props) -> None:
        with connected(_props["connection"]) as connection:
            exists = value(connection, IDENTITY, _regclass(_props)) is not None
            previous = IDENTITIES.get(_props["previous_identity"])
            if exists and previous:
                _set_identity(connection, _props["table"], previous)


class SourceTable(Resource, module="cdc", name="SourceTable"):
    """A table of the source.

    Args:
        connection: an administrator's connection to its database.
        options: what the stack's configuration says of the table.

    Attributes:
        described: a `catalog.model.SourceTable` as JSON.
    """

    table: pulumi.Output[str]
    described: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        connection: Mapping[str, pulumi.Input[Any]],
        options: CaptureOptions,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            SourceTableProvider(),
            name,
            {
                "connection": dict(connection),
                "table": options.table,
                "options": options.model_dump_json(),
                "identity": "FULL",
                "described": None,
                "previous_identity": None,
            },
            opts,
        )


def _described(connection: Connection, props: Props) -> Props:
    options = CaptureOptions.model_validate_json(props["options"])
    try:
        described = describe(connection, options.table, options.as_text)
        check(described, options)
    except CatalogError as error:
        raise ProviderError(str(error)) from error
    return {**own(props), "described": described.model_dump_json()}


def _set_identity(connection: Connection, name: str, identity: str) -> None:
    connection.execute(
        sql.SQL("ALTER TABLE {} REPLICA IDENTITY {}").format(table(name), sql.SQL(identity))
    )


def _regclass(props: Props) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in props["table"].split(".", 1))
