"""The publication: which tables' changes the server decodes for the connector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from psycopg import sql
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from providers.base import Props, Provider, ProviderError, own
from providers.postgres import Connection, connected, table, value

# The rows of a partitioned table come under its own name, whichever partition they lie in: one
# that is attached later needs no deployment.
PUBLISH = sql.SQL("publish = 'insert, update, delete, truncate', publish_via_partition_root = true")


class PublicationProvider(Provider):
    """A publication of exactly the given tables
    (https://www.postgresql.org/docs/16/sql-createpublication.html).

    One that somebody else has `prepared` is only looked at; any other that doesn't bear the stack's
    `mark` is refused.

    Its id is the server's: it tells a publication from its successor of the same name, and unlike
    an output it is known in a preview while the publication's tables change.
    """

    replace_on = ("publication",)

    def create(self, props: Props) -> CreateResult:
        with connected(props["connection"]) as connection:
            found = connection.execute(
                "SELECT obj_description(oid, 'pg_publication') FROM pg_publication "
                "WHERE pubname = %s",
                [props["publication"]],
            ).fetchone()
        if found and not props["prepared"] and found[0] != props["mark"]:
            raise ProviderError(
                f"a publication {props['publication']} exists that this stack did not make: set "
                "cdc:publication to another name, or drop it if nobody needs it"
            )
        self._apply(props)
        with connected(props["connection"]) as connection:
            oid = value(
                connection,
                "SELECT oid::text FROM pg_publication WHERE pubname = %s",
                props["publication"],
            )
        return CreateResult(oid, own(props))

    def read(self, id_: str, props: Props) -> ReadResult:
        with connected(props["connection"]) as connection:
            found = connection.execute(
                "SELECT oid::text, pubinsert AND pubupdate AND pubdelete AND pubtruncate "
                "AND pubviaroot FROM pg_publication WHERE pubname = %s",
                [props["publication"]],
            ).fetchone()
            # States of older versions have the name as id.
            if found is None or id_ not in (found[0], props["publication"]):
                return ReadResult("", own(props))
            rows = connection.execute(
                "SELECT format('%%s.%%s', n.nspname, c.relname) FROM pg_publication p "
                "JOIN pg_publication_rel r ON r.prpubid = p.oid "
                "JOIN pg_class c ON c.oid = r.prrelid "
                "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = %s",
                [props["publication"]],
            ).fetchall()
        tables = sorted(row[0] for row in rows)  # as Python sorts, not as the database's locale
        if props.get("prepared"):
            return ReadResult(id_, own(props))
        return ReadResult(id_, {**own(props), "whole": found[1], "tables": tables})

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        self._apply(_news)
        return UpdateResult(own(_news))

    def delete(self, _id: str, _props: Props) -> None:
        if _props.get("prepared"):
            return
        name = sql.Identifier(_props["publication"])
        with connected(_props["connection"]) as connection:
            connection.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(name))

    def _apply(self, props: Props) -> None:
        name = sql.Identifier(props["publication"])
        # ONLY: without it the tables that inherit from one would come along.
        tables = sql.SQL(", ").join(
            sql.SQL("ONLY {}").format(table(each)) for each in props["tables"]
        )
        with connected(props["connection"]) as connection, connection.transaction():
            _refuse_partitions(connection, props["tables"])
            exists = value(
                connection, "SELECT 1 FROM pg_publication WHERE pubname = %s", props["publication"]
            )
            if props["prepared"]:
                if not exists:
                    raise ProviderError(
                        f"there is no publication {props['publication']}: with cdc:sourceUser "
                        "`reader` somebody else makes it; `pulumi preview` says how"
                    )
            elif exists:
                connection.execute(
                    sql.SQL("ALTER PUBLICATION {} SET TABLE {}").format(name, tables)
                )
                connection.execute(sql.SQL("ALTER PUBLICATION {} SET ({})").format(name, PUBLISH))
            else:
                connection.execute(
                    sql.SQL("CREATE PUBLICATION {} FOR TABLE {} WITH ({})").format(
                        name, tables, PUBLISH
                    )
                )
            if not props["prepared"]:
                connection.execute(
                    sql.SQL("COMMENT ON PUBLICATION {} IS {}").format(
                        name, sql.Literal(props["mark"])
                    )
                )


class Publication(Resource, module="cdc", name="PostgresPublication"):
    """A publication of `tables` (`schema.table`), all operations, truncate included.

    Args:
        mark: the comment by which the stack knows it as its own.
        prepared: somebody else has made it, and it stays as it is.
    """

    publication: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        connection: Mapping[str, pulumi.Input[Any]],
        publication: str,
        tables: Sequence[pulumi.Input[str]],
        mark: str,
        prepared: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            PublicationProvider(),
            name,
            {
                "connection": dict(connection),
                "publication": publication,
                "tables": pulumi.Output.all(*tables).apply(sorted),
                "mark": mark,
                "prepared": prepared,
                "whole": True,
            },
            opts,
        )


def _refuse_partitions(connection: Connection, tables: Sequence[str]) -> None:
    """Raises ProviderError for a table and its own partition: the partition would get nothing."""
    for each in tables:
        found = connection.execute(
            "SELECT format('%%s.%%s', n.nspname, c.relname) "
            "FROM pg_partition_ancestors(to_regclass(%s)) a JOIN pg_class c ON c.oid = a.relid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace",
            [table(each).as_string(connection)],
        )
        if above := {row[0] for row in found} & set(tables) - {each}:
            raise ProviderError(
                f"{each} is a partition of {min(above)}, which is captured with all its "
                "partitions: leave the partition out of cdc:tables"
            )
