"""A source that is there already: nothing of it is declared, only reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pulumi
from psycopg.conninfo import make_conninfo

from catalog.introspect import capturable
from catalog.model import CaptureOptions, CatalogError
from catalog.selection import Entry, expand, tables_of
from components.source_url import SourceUrl
from ops.readiness import cautions, first_line, needs, told
from ops.readiness_model import Need, Plan

CONNECT_SECONDS = 10


class ExistingPostgres:
    """What `components.postgres.Postgres` is to a stack with a server of its own.

    Attributes:
        connection: the given user's connection to the captured database.
        inside: how the connector reaches it: settings of Debezium, without user and password.
        ca: certificates the connector has to trust, PEM text, or empty.
    """

    def __init__(self, url: SourceUrl) -> None:
        self.connection: dict[str, pulumi.Input[Any]] = {
            "host": url.host,
            "port": url.port,
            "user": url.user,
            "password": pulumi.Output.secret(url.password),
            "database": url.database,
            "parameters": url.parameters,
        }
        self.inside: dict[str, pulumi.Input[str]] = {
            "database.hostname": url.host,
            "database.port": str(url.port),
            "database.dbname": url.database,
            **url.for_debezium,
        }
        self.ca = url.ca

    @staticmethod
    def tables(url: SourceUrl, entries: Sequence[Entry], plan: Plan) -> tuple[CaptureOptions, ...]:
        """The tables that `entries` mean there, once the server is ready for all of them.

        plan: its tables are filled in here.

        Raises:
            pulumi.RunError: what is missing, all of it in one message; nothing was changed.
        """
        dsn = make_conninfo(
            host=url.host,
            port=url.port,
            user=url.user,
            password=url.password,
            dbname=url.database,
            **{"connect_timeout": str(CONNECT_SECONDS), **url.parameters},
        )
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                chosen = expand(entries, tables_of(connection))
                plan = replace(
                    plan,
                    tables=[each.table for each in chosen],
                    unkeyed=[each.table for each in chosen if not each.key],
                )
                missing = [*needs(connection, plan, dsn), *_unsupported(connection, chosen)]
                warnings = cautions(connection)
        except psycopg.Error as error:
            raise pulumi.RunError(
                f"cdc:source: {url.where} as {url.user}: {first_line(str(error))}"
            ) from error
        except CatalogError as error:
            raise pulumi.RunError(f"cdc:tables: {error}") from error
        if missing:
            raise pulumi.RunError(told(url.where, missing))
        for warning in warnings:
            pulumi.warn(warning)
        return chosen


def _unsupported(
    connection: psycopg.Connection[Any], chosen: Sequence[CaptureOptions]
) -> list[Need]:
    faults = []
    for options in chosen:
        try:
            capturable(connection, options)
        except CatalogError as error:
            faults.append(str(error))
        except psycopg.errors.InsufficientPrivilege:
            continue  # told among the needs
    if not faults:
        return []
    return [
        Need(
            f"{len(faults)} of {len(chosen)} tables can't be captured as configured",
            "change them, their options, or leave them out (`exclude` in a pattern's entry)",
            tuple(faults),
        )
    ]
