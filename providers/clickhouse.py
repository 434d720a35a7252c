"""ClickHouse objects: databases, tables, queues, materialized views and views, as one ordered set.

What belongs together is one resource, because it changes together: a new column touches the tables,
then the views that fill them, in that order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import clickhouse_connect
import pulumi
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from catalog.cluster import is_replicated
from catalog.names import ch_ident
from catalog.objects import SqlObject
from providers.base import Props, Provider, ProviderError, own, until

ALLOW = "set cdc:allowDestructive to apply it all the same"
START = 60.0  # seconds a server may take until it answers
Object = Mapping[str, Any]
_DEFAULT = re.compile(r" DEFAULT (.*) CODEC\(", re.DOTALL)
_SIZED = re.compile(r"(?P<name>U?Int|Float|Decimal)\(?(?P<size>\d+)(?:, (?P<scale>\d+)\))?")


class ObjectsProvider(Provider):
    """Applies an ordered set of objects, each by the gentlest way there is.

    Tables get added columns by ALTER, and columns whose type only grew the larger one; a column
    that is wanted no more keeps what it has; views change in place; a queue holds no data and is
    made again. What would lose data (another type, another engine or key) is refused unless the
    stack says `allowDestructive`: then columns are converted and dropped, and a table with another
    engine or key is made again, empty.

    Destroying it drops queues and views and keeps tables with data: `./cdc down --purge` removes
    those, and so does DROP DATABASE by hand.
    """

    def faults(self, olds: Props, news: Props) -> list[str]:
        before: Any = olds.get("objects")
        after: Any = news.get("objects")
        if not _known(before) or not _known(after):
            return []
        old = {each["name"]: each for each in before}
        allowed = bool(news.get("allow_destructive"))
        return [
            sentence
            for each in after
            if each["name"] in old
            for sentence in _losses(each, old[each["name"]], allowed)
        ]

    def create(self, props: Props) -> CreateResult:
        with _client(props) as client:
            return CreateResult(props["objects"][0]["name"], _apply(client, {}, props))

    def read(self, id_: str, props: Props) -> ReadResult:
        applied = {each["name"]: each for each in props["applied"] if each}
        found = []
        with _client(props) as client:
            for each in props["objects"]:
                live = _live(client, each["name"])
                if live is None:
                    continue
                if live == applied.get(each["name"]):
                    found.append(each)
                else:  # changed by hand: it differs from the wanted text, so an update heals it
                    found.append({**each, "create": live["definition"]})
        return ReadResult(id_ if found else "", {**own(props), "objects": found})

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        with _client(_news) as client:
            return UpdateResult(_apply(client, _olds, _news))

    def delete(self, _id: str, _props: Props) -> None:
        with _client(_props) as client:
            for each in reversed(_props["objects"]):
                _drop(client, each)


class Objects(Resource, module="cdc", name="ClickHouseObjects"):
    """An ordered set of ClickHouse objects.

    Args:
        connection: `host`, `port`, `user` and `password` as the operator reaches the HTTP port.
        objects: `catalog.objects.SqlObject`s as mappings, in the order in which they are made.
        afterwards: statements that are run whenever the set was made or changed.
        allow_destructive: also apply what loses data.
    """

    def __init__(
        self,
        name: str,
        *,
        connection: Mapping[str, pulumi.Input[Any]],
        objects: pulumi.Input[Sequence[Object]],
        afterwards: pulumi.Input[Sequence[str]] | None = None,
        allow_destructive: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            ObjectsProvider(),
            name,
            {
                "connection": dict(connection),
                "objects": objects,
                "afterwards": [] if afterwards is None else afterwards,
                "allow_destructive": allow_destructive,
                "applied": None,
            },
            opts,
        )


def as_inputs(objects: Sequence[SqlObject]) -> list[dict[str, Any]]:
    """Objects in the shape in which Pulumi carries and stores them."""
    return [
        {
            "name": each.name,
            "kind": each.kind,
            "create": each.create,
            "body": each.body,
            "columns": [list(column) for column in each.columns],
        }
        for each in objects
    ]


class _client:
    """A client for the time of one operation; failures are told in the server's words."""

    def __init__(self, props: Mapping[str, Any]) -> None:
        connection = props["connection"]
        where = f"ClickHouse at {connection['host']}:{connection['port']}"
        self.client: Client = until(
            lambda: clickhouse_connect.get_client(
                host=connection["host"],
                port=int(connection["port"]),
                username=connection["user"],
                password=connection["password"],
                autogenerate_session_id=False,
            ),
            START,
            f"{where} answering",
            every=0.2,
        )

    def __enter__(self) -> Client:
        return self.client

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self.client.close()
        if isinstance(error, ClickHouseError):
            raise ProviderError(str(error).strip().splitlines()[0]) from error


def _apply(client: Client, olds: Props, news: Props) -> Props:
    """Makes the set as wanted and answers with the outputs that describe it.

    The views go first, the last one, which starts the flow, before the others: a block that came
    through a half-changed chain would be lost. Nothing arrives here meanwhile; it waits in Kafka,
    or for another server of a cluster.
    """
    old = {each["name"]: each for each in olds.get("objects", [])}
    wanted = {each["name"] for each in news["objects"]}
    # What was kept so far goes with the leave to drop it, whether or not anything else changes.
    allowed = bool(news["allow_destructive"]) and not olds.get("allow_destructive")
    if list(old.values()) != news["objects"] or allowed:
        for each in reversed(news["objects"]):
            if each["kind"] == "materialized_view":
                client.command(f"DROP TABLE IF EXISTS {_quoted(each['name'])} SYNC")
        for each in reversed(list(old.values())):
            if each["name"] not in wanted:
                _drop(client, each)
        for each in news["objects"]:
            _make(client, each, old.get(each["name"]), bool(news["allow_destructive"]))
        for statement in news["afterwards"]:
            client.command(statement)
    applied = [_live(client, each["name"]) for each in news["objects"]]
    return {**own(news), "applied": applied}


def _make(client: Client, each: Object, old: Object | None, destructive: bool) -> None:
    kind, name = each["kind"], _quoted(each["name"])
    live = _live(client, each["name"])
    if live and kind == "table" and _holds_data(each):
        if destructive and old is not None and _made_anew(each, old):
            client.command(f"DROP TABLE {name} SYNC")
            client.command(each["create"])
        elif each["columns"]:  # a table of sql/clickhouse/reference is known by its statement only
            _fit(client, each, live, destructive)
        return
    if live and kind in ("table", "queue") and each != old:
        # Nothing is kept in it: a queue's position is Kafka's, a Null table has no rows.
        client.command(f"DROP TABLE {name} SYNC")
    client.command(each["create"])


def _fit(client: Client, each: Object, live: Mapping[str, Any], destructive: bool) -> None:
    """Adds the columns that are missing; converts and drops only where that is allowed."""
    name, have, wanted = _quoted(each["name"]), dict(live["columns"]), dict(each["columns"])
    spelled = _declared_types(client, wanted)
    changed = [c for c in wanted if c in have and not _holds(have[c], spelled[c])]
    lost = [c for c in changed if not _widens(have[c], spelled[c])]
    if lost and not destructive:
        told = ", ".join(f"{c} is {have[c]} and should be {spelled[c]}" for c in lost)
        raise ProviderError(f"{each['name']}: {told}; {ALLOW}")
    after = ""
    for column, kind in wanted.items():
        if column not in have:
            _must_hold_default(client, each["name"], column, kind)
            client.command(
                f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {_quoted(column)} {kind}{after}"
            )
        elif column in changed:
            # Rows with NULL may be there from before the source's column was made NOT NULL.
            kept = not destructive and have[column] != _inner(have[column])
            made = f"Nullable({_inner(_type(kind))})" if kept else _type(kind)
            wider = kind.replace(_type(kind), made, 1)
            client.command(f"ALTER TABLE {name} MODIFY COLUMN {_quoted(column)} {wider}")
        after = f" AFTER {_quoted(column)}"
    if destructive:
        for column in have.keys() - wanted.keys():
            client.command(f"ALTER TABLE {name} DROP COLUMN IF EXISTS {_quoted(column)}")


def _must_hold_default(client: Client, table: str, column: str, kind: str) -> None:
    """What rows that are there will show in a new column; read only then, it would throw then."""
    found = _DEFAULT.search(kind)
    if found is None:
        return
    try:
        client.query(f"SELECT CAST(({found[1]}), {_text(_type(kind))})")
    except ClickHouseError as error:
        raise ProviderError(
            f"{table}: column {column} can't hold the default that the rows already there were "
            f"given: list it in the table's `as_text`"
        ) from error


def _holds(have: str, wanted: str) -> bool:
    """Whether a column may stay as it is: NULL is possible where it is not wanted any more."""
    return have in (wanted, f"Nullable({wanted})")


def _widens(have: str, wanted: str) -> bool:
    """Whether every value of one type is also one of the other, NULL apart: see _fit."""
    have, wanted = _inner(have), _inner(wanted)
    old, new = _SIZED.fullmatch(have), _SIZED.fullmatch(wanted)
    if have == wanted:
        return True
    if old is None or new is None or old["name"] != new["name"]:
        return False
    if old["name"] == "Decimal":
        whole = int(old["size"]) - int(old["scale"]), int(new["size"]) - int(new["scale"])
        return whole[0] <= whole[1] and int(old["scale"]) <= int(new["scale"])
    return int(old["size"]) <= int(new["size"])


def _inner(kind: str) -> str:
    return kind.removeprefix("Nullable(").removesuffix(")") if kind[:9] == "Nullable(" else kind


def _declared_types(client: Client, columns: Mapping[str, str]) -> dict[str, str]:
    """The server's own spelling of the declared types, without codecs and defaults."""
    listed = ", ".join(
        f"toTypeName(defaultValueOfTypeName({_text(_type(kind))}))" for kind in columns.values()
    )
    # As in system.columns: tuples on one line.
    plain = {"print_pretty_type_names": 0}
    spelled = client.query(f"SELECT {listed}", settings=plain).result_rows[0]
    return dict(zip(columns, spelled, strict=True))


def _live(client: Client, name: str) -> dict[str, Any] | None:
    """An object as the server describes it, None where there is none."""
    database, _, table = name.partition(".")
    if not table:
        found = client.query(
            "SELECT engine FROM system.databases WHERE name = {d:String}", {"d": database}
        ).result_rows
        return {"name": name, "definition": "database", "columns": []} if found else None
    rows = client.query(
        "SELECT create_table_query FROM system.tables "
        "WHERE database = {d:String} AND name = {t:String}",
        {"d": database, "t": table},
    ).result_rows
    if not rows:
        return None
    columns = client.query(
        "SELECT name, type FROM system.columns "
        "WHERE database = {d:String} AND table = {t:String} ORDER BY position",
        {"d": database, "t": table},
    ).result_rows
    return {"name": name, "definition": rows[0][0], "columns": [list(row) for row in columns]}


def _drop(client: Client, each: Object) -> None:
    if each["kind"] != "database" and not _holds_data(each):
        client.command(f"DROP TABLE IF EXISTS {_quoted(each['name'])} SYNC")


def _holds_data(each: Object) -> bool:
    return each["kind"] == "table" and "MergeTree" in each["body"]


def _losses(each: Object, old: Object, allowed: bool) -> list[str]:
    """A sentence for each way in which the change would lose data of a table, unless allowed.

    Replicas are changed one by one while the others go on: what can't be read as it was before
    is never allowed there.
    """
    if not _holds_data(each) or (allowed and not is_replicated(each)):
        return []
    way = ALLOW
    if is_replicated(each):
        way = "which replicas can't do one by one: give the table another `target`"
    if _made_anew(each, old):
        return [
            f"{each['name']}: another engine, key or partitioning means a new table, without its "
            f"history and to be loaded again; {way}"
        ]
    new = {column: _type(kind) for column, kind in each["columns"]}
    return [
        f"{each['name']}: column {column} would be changed from {have} to {new[column]}; {way}"
        for column, kind in old["columns"]
        if column in new
        for have in [_type(kind)]
        if not _holds(have, new[column]) and not _widens(have, new[column])
    ]


def _made_anew(each: Object, old: Object) -> bool:
    """Whether the table can't become what is wanted: rows lie in the order of their key."""
    if each["body"] != old["body"]:
        return True
    had, order = dict(old["columns"]), each["body"].split("ORDER BY")[-1]
    return any(
        ch_ident(column) in order and _type(kind) != _type(had.get(column, kind))
        for column, kind in each["columns"]
    )


def _type(kind: str) -> str:
    """A column's type without its codec and default."""
    return re.split(r" (?:CODEC|DEFAULT)\b", kind)[0]


def _known(objects: Any) -> bool:
    return isinstance(objects, list) and all(isinstance(each, dict) for each in objects)


def _quoted(name: str) -> str:
    return ".".join("`" + part.replace("`", "``") + "`" for part in name.split(".", 1))


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
