"""What change data capture needs in the source database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from providers.heartbeat import TABLE as HEARTBEAT
from providers.heartbeat import Heartbeat
from providers.password import Password
from providers.publication import Publication
from providers.role import Role
from providers.slot import Slot


@dataclass(frozen=True)
class SourceArgs:
    """connection: an administrator's, to the captured database. tables: `schema.table` each.

    reader: address of the connector in Kafka Connect's REST API.
    """

    connection: Mapping[str, pulumi.Input[Any]]
    role: str
    publication: str
    slot: str
    tables: Sequence[pulumi.Input[str]]
    reader: str


class Source(pulumi.ComponentResource):
    """Role, heartbeat, publication and slot.

    Their order is what makes capture gapless: a slot begins only once the publication is there,
    because changes written before that could not be decoded; and the connector begins after the
    slot, because a snapshot taken before it would miss what was changed in between.

    Attributes:
        password: of the connector's role, secret. slot: the replication slot.
    """

    def __init__(
        self,
        name: str,
        args: SourceArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cdc:tier:Source", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.tables = [*args.tables, HEARTBEAT]
        self.password = Password(f"{name}-password", opts=child).value
        role = Role(
            f"{name}-role",
            connection=args.connection,
            role=args.role,
            password=self.password,
            tables=args.tables,
            opts=child,
        )
        heartbeat = Heartbeat(
            f"{name}-heartbeat", connection=args.connection, role=role.role, opts=child
        )
        self.publication = Publication(
            f"{name}-publication",
            connection=args.connection,
            publication=args.publication,
            tables=self.tables,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[heartbeat]),
        )
        self.role = role.role
        self.slot = Slot(
            f"{name}-slot",
            connection=args.connection,
            slot=args.slot,
            publication=self.publication.oid,
            reader=args.reader,
            opts=child,
        )
        self.register_outputs({"publication": args.publication, "slot": args.slot})
