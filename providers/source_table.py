"""A captured table as the source has it: its columns, and the replica identity capture needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from catalog.changes import completed, former_names, must_load_again
from catalog.introspect import capturable, missing_values, replica_identities
from catalog.model import CaptureOptions, CatalogError
from catalog.model import SourceTable as Described
from providers.base import Props, Provider, ProviderError, own
from providers.postgres import Connection, alter_table, connected, value

#: Begins a line on standard output that a preview and an update show: why a table is copied.
LOADED_AGAIN = "to be loaded again: "


class SourceTableProvider(Provider):
    """Describes the table and sets REPLICA IDENTITY FULL: updates and deletes carry the whole old
    row. So do all partitions, which don't inherit it. The identities they had are given back when
    the table is no longer captured.
    """

    replace_on = ("table",)

    def create(self, props: Props) -> CreateResult:
        with connected(props["connection"]) as connection:
            outs = {**_described(connection, props), "loads": 1, "former": []}
            previous = replica_identities(connection, props["table"])
            _set_full(connection, previous)
        return CreateResult(props["table"], {**outs, "previous": previous})

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Looks at the live table: a column or a partition added in Postgres is news that no input
        tells of.
        """
        try:
            with connected(_olds["connection"], patience=1.0) as connection:
                described = _described(connection, _news, _olds)["described"]
                live = {**_olds, "identity": _identity(connection, _news["table"])}
        except ProviderError:
            # Unreachable, or no longer capturable; the update, if any, will say so.
            described, live = _olds["described"], _olds
        if described == live["described"]:
            described = None
        return super().diff(_id, live, {**_news, "described": described})

    def read(self, id_: str, props: Props) -> ReadResult:
        with connected(props["connection"]) as connection:
            identity = _identity(connection, props["table"])
        if identity is None:
            return ReadResult("", own(props))
        return ReadResult(id_, {**own(props), "identity": identity})

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        with connected(_news["connection"]) as connection:
            outs = _described(connection, _news, _olds)
            found = replica_identities(connection, _news["table"])
            _set_full(connection, found)
        # Of a partition that is new since, what it has now is what it had before.
        return UpdateResult({**outs, "previous": {**found, **_olds["previous"]}})

    def delete(self, _id: str, _props: Props) -> None:
        with connected(_props["connection"]) as connection:
            # Not only those of its present family: a partition may have been detached since.
            for name, identity in _props["previous"].items():
                if identity != "FULL":
                    _set_identity(connection, name, identity)


class SourceTable(Resource, module="cdc", name="SourceTable"):
    """A table of the source.

    Args:
        connection: an administrator's connection to its database.
        options: what the stack's configuration says of the table.

    Attributes:
        described: a `catalog.model.SourceTable` as JSON.
        loads: how often the table has to be loaded, because Postgres changed its rows without an
            event. The first load counts.
    """

    table: pulumi.Output[str]
    described: pulumi.Output[str]
    loads: pulumi.Output[int]

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
                "previous": None,
                "loads": None,
                "former": None,
            },
            opts,
        )


def _described(connection: Connection, props: Props, olds: Props | None = None) -> Props:
    """The outputs that tell of the table; beside `olds`, those it was last deployed with."""
    options = CaptureOptions.model_validate_json(props["options"])
    try:
        described = capturable(connection, options)
    except CatalogError as error:
        raise ProviderError(str(error)) from error
    if olds is None:
        return {**own(props), "described": described.model_dump_json()}
    before = Described.model_validate_json(olds["described"])
    described = completed(described, before, missing_values(connection, described))
    reason = must_load_again(before, described, olds["former"]) or _ordered_anew(olds, options)
    if reason:
        print(f"{LOADED_AGAIN}{options.table}: {reason}", flush=True)
    return {
        **own(props),
        "described": described.model_dump_json(),
        "loads": olds["loads"] + bool(reason),
        "former": former_names(before, described, olds["former"]),
    }


def _ordered_anew(olds: Props, options: CaptureOptions) -> str:
    """Its tables in ClickHouse have to be made again for such a change."""
    before = CaptureOptions.model_validate_json(olds["options"])
    same = before.order_by == options.order_by and before.partition_by == options.partition_by
    return "" if same else "another order or partitioning"


def _identity(connection: Connection, name: str) -> str | None:
    """FULL if the table and all its partitions have it, else what is there; None: no such table."""
    found = replica_identities(connection, name)
    if not found:
        return None
    return ", ".join(f"{each}: {what}" for each, what in found.items() if what != "FULL") or "FULL"


def _set_full(connection: Connection, found: Mapping[str, str]) -> None:
    for name, identity in found.items():
        if identity != "FULL":
            _set_identity(connection, name, "FULL")


def _set_identity(connection: Connection, name: str, identity: str) -> None:
    # A partition may have been dropped meanwhile.
    if value(connection, "SELECT to_regclass(%s)", name):
        alter_table(connection, name, f"REPLICA IDENTITY {identity}")
