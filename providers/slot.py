"""The logical replication slot: the source's promise to keep its log until it has been read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import requests
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from providers.base import Props, Provider, ProviderError, own, until
from providers.postgres import Connection, connected, value

FREE = 30.0  # seconds in which a reader whose session was ended lets go of its slot
CREATE_TIMEOUT = 120  # seconds; creating a slot waits for every transaction that is open


class SlotProvider(Provider):
    """A pgoutput slot
    (https://www.postgresql.org/docs/16/logicaldecoding-explanation.html#LOGICALDECODING-REPLICATION-SLOTS).

    Its output `lsn`, the restart position at its creation, is a lower bound of every change that it
    will ever stream: rows read by a snapshot carry it as their version and never win over a change.
    """

    # What was written before a publication was made again can't be decoded through it
    # (pgoutput looks it up as of each change): a new slot.
    replace_on = ("slot", "publication")

    def create(self, props: Props) -> CreateResult:
        with connected(props["connection"]) as connection:
            level = value(connection, "SHOW wal_level")
            if level != "logical":
                raise ProviderError(
                    f"the source has wal_level={level}: set wal_level=logical and restart it"
                )
            # A slot whose log is gone can't be read any more, only made again.
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                "WHERE slot_name = %s AND wal_status = 'lost' AND plugin = 'pgoutput' "
                "AND NOT active",
                [props["slot"]],
            )
            found = connection.execute(
                "SELECT plugin, database, active, active_pid FROM pg_replication_slots "
                "WHERE slot_name = %s",
                [props["slot"]],
            ).fetchone()
            if found is None:
                connection.execute(f"SET statement_timeout = '{CREATE_TIMEOUT}s'")
                connection.execute(
                    "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [props["slot"]]
                )
            else:
                # Left by a run that was killed before it could say so: nothing has read from it.
                self._adoptable(props, *found)
            lsn = value(
                connection,
                "SELECT (restart_lsn - '0/0')::text FROM pg_replication_slots WHERE slot_name = %s",
                props["slot"],
            )
        return CreateResult(props["slot"], {**own(props), "lsn": lsn})

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Looks at the slot: a broken one is no difference that any input tells of."""
        try:
            with connected(_olds["connection"], patience=1.0) as connection:
                broken = fault(connection, _olds["slot"], _olds["reader"])
        except ProviderError:
            broken = ""  # unreachable now; what comes after will say so
        if broken:
            return DiffResult(changes=True, replaces=["slot"], delete_before_replace=True)
        return super().diff(_id, _olds, _news)

    def read(self, id_: str, props: Props) -> ReadResult:
        with connected(props["connection"]) as connection:
            broken = fault(connection, props["slot"], props["reader"])
        return ReadResult("" if broken else id_, own(props))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        return UpdateResult({**own(_news), "lsn": _olds["lsn"]})

    def delete(self, _id: str, _props: Props) -> None:
        slot = _props["slot"]
        with connected(_props["connection"]) as connection:

            def dropped() -> bool:
                # A connector that still reads would only take it up again: end its session first.
                connection.execute(
                    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                    "WHERE slot_name = %s AND active",
                    [slot],
                )
                connection.execute(
                    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                    "WHERE slot_name = %s",
                    [slot],
                )
                return True

            until(dropped, FREE, f"dropping slot {slot}")

    def _adoptable(
        self, props: Props, plugin: str, database: str, active: bool, pid: int | None
    ) -> None:
        slot = props["slot"]
        if active:
            raise ProviderError(
                f"slot {slot} is in use (server process {pid}), maybe by another stack: "
                "set cdc:slot to another name"
            )
        if plugin != "pgoutput" or database != props["connection"]["database"]:
            raise ProviderError(
                f"slot {slot} exists with plugin {plugin} in database {database}: "
                "set cdc:slot to another name, or drop it if nobody needs it"
            )


def fault(connection: Connection, slot: str, reader: str) -> str:
    """What is wrong with a slot that once served `reader`, '' if nothing: then changes were lost.

    Args:
        reader: address of the connector that reads from it in Kafka Connect's REST API.
    """
    found = connection.execute(
        "SELECT wal_status, active, (restart_lsn - '0/0')::bigint FROM pg_replication_slots "
        "WHERE slot_name = %s",
        [slot],
    ).fetchone()
    if found is None:
        return f"slot {slot} is gone"
    status, active, begins = found
    if status == "lost" or begins is None:
        return f"slot {slot} is lost: its log grew past max_slot_wal_keep_size"
    if not active and (read := _position(reader)) is not None and read < begins:
        return f"slot {slot} was made again: it begins at {begins}, its reader stands at {read}"
    return ""


def _position(reader: str) -> int | None:
    """The log position that the connector has sent everything up to; None if it doesn't say."""
    try:
        answer = requests.get(f"{reader}/offsets", timeout=10)
    except requests.RequestException:
        return None
    offsets = answer.json().get("offsets") if answer.ok else None
    lsn = offsets[0]["offset"].get("lsn") if offsets else None
    return None if lsn is None else int(lsn)


class Slot(Resource, module="cdc", name="PostgresSlot"):
    """A replication slot of the captured database.

    Args:
        publication: the id of the publication it is read through.
        reader: address of the connector that will read from it, in Kafka Connect's REST API: what
            that has read tells whether the slot is still the one it was.

    Attributes:
        lsn: where it began, as decimal text.
    """

    slot: pulumi.Output[str]
    lsn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        connection: Mapping[str, pulumi.Input[Any]],
        slot: str,
        publication: pulumi.Input[str],
        reader: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            SlotProvider(),
            name,
            {
                "connection": dict(connection),
                "slot": slot,
                "publication": publication,
                "reader": reader,
                "lsn": None,
            },
            opts,
        )
