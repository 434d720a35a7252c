"""What change data capture needs in the source database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from ops.readiness_model import UserIs
from providers.heartbeat import TABLE as HEARTBEAT
from providers.heartbeat import Heartbeat
from providers.password import Password
from providers.publication import Publication
from providers.role import Role
from providers.slot import Slot


@dataclass(frozen=True)
class SourceArgs:
    """connection: the given user's, to the captured database. tables: `schema.table` each.

    user_is: what that user may do. An administrator makes a login for the connector; an owner of
    the tables lets it log in as himself; for a reader everything but the slot is there already.
    mark: the comment by which the stack knows its own objects.
    reader: address of the connector in Kafka Connect's REST API.
    """

    connection: Mapping[str, pulumi.Input[Any]]
    user_is: UserIs
    mark: str
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
        role, password: what the connector logs in with; the password is secret.
        slot: the replication slot.
    """

    def __init__(
        self,
        name: str,
        args: SourceArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cdc:tier:Source", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.reader = args.reader
        self.tables = [*args.tables, HEARTBEAT]
        self.role: pulumi.Input[str] = args.connection["user"]
        self.password: pulumi.Input[str] = args.connection["password"]
        if args.user_is == "administrator":
            self.password = Password(f"{name}-password", opts=child).value
            self.role = Role(
                f"{name}-role",
                connection=args.connection,
                role=args.role,
                password=self.password,
                mark=args.mark,
                tables=args.tables,
                opts=child,
            ).role
        heartbeat = []
        if args.user_is != "reader":
            made = Heartbeat(
                f"{name}-heartbeat", connection=args.connection, role=self.role, opts=child
            )
            heartbeat.append(made)
        self.publication = Publication(
            f"{name}-publication",
            connection=args.connection,
            publication=args.publication,
            tables=self.tables,
            mark=args.mark,
            prepared=args.user_is == "reader",
            opts=pulumi.ResourceOptions(parent=self, depends_on=heartbeat),
        )
        self.slot = Slot(
            f"{name}-slot",
            connection=args.connection,
            slot=args.slot,
            publication=self.publication.id,
            reader=args.reader,
            opts=child,
        )
        self.register_outputs({"publication": args.publication, "slot": args.slot})
