"""The messages that could not become rows: what they are, one of them raw, and trying them again.

They are kept whole in `cdc.dead_letters` (docs/architecture.md, Dead letters). Nothing here deletes
one: a letter goes away only by being replayed into a row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import BaseModel, Field, field_serializer
from rich.console import Console
from rich.table import Table

from catalog.names import ch_string
from ops.stack import WrongUse

# Which column a value did not fit says more than the value, of which there is another in every
# letter.
_KIND = "toValidUTF8(if(startsWith(reason, 'unreadable: '), splitByChar('=', reason)[1], reason))"
_IDENTITY = "topic, partition, offset, sipHash64(message)"


class Position(BaseModel):
    """Where a message came from; written `topic/partition/offset`."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Position:
        """Raises WrongUse for what is no position. A topic's name holds no slash."""
        match = re.fullmatch(r"([^/]+)/(\d+)/(\d+)", text)
        if match is None:
            raise WrongUse(f"{text!r} is no TOPIC/PARTITION/OFFSET as `dead-letters list` shows it")
        return cls(topic=match[1], partition=int(match[2]), offset=int(match[3]))

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Group(BaseModel):
    """Letters of one table with one kind of reason."""

    table: str
    reason: str
    applied: bool = Field(description="the row is stored, without the fields it can't hold yet")
    count: int
    first_seen: datetime = Field(description="by ClickHouse's clock; a replay sees a letter anew")
    last_seen: datetime
    example: Position


class Letter(BaseModel):
    """One message that is kept."""

    table: str
    reason: str
    applied: bool
    position: Position
    seen: datetime
    message: bytes | None = Field(default=None, description="as it came, if it was asked for")

    @field_serializer("message")
    def _text(self, message: bytes | None) -> str | None:
        # JSON holds text only: bytes that are no UTF-8 are written as \xNN.
        return None if message is None else message.decode(errors="backslashreplace")


class Replayed(BaseModel):
    """What trying a table's letters again did."""

    table: str
    replayed: int = Field(description="letters that became rows, or changed nothing any more")
    remaining: list[Group]


class _Result(Protocol):
    @property
    def result_rows(self) -> Sequence[Sequence[Any]]: ...


class Target(Protocol):
    """What is used of a clickhouse_connect client."""

    def query(self, query: str) -> _Result:
        """Run one SELECT."""

    def command(self, cmd: str) -> object:
        """Run one statement."""


def groups(target: Target, tables: Sequence[str] = ()) -> list[Group]:
    """Letters of these source tables (all without any) by kind of reason, the most frequent first.

    Those of a table that isn't captured any more are among them.
    """
    rows = target.query(
        f"SELECT source, {_KIND} AS kind, applied, count() AS letters, min(_synced_at),"
        " max(_synced_at), argMin((topic, partition, offset), _synced_at)"
        f" FROM cdc.dead_letters FINAL WHERE {_of(tables)} GROUP BY source, kind, applied"
        " ORDER BY letters DESC, source, kind, applied"
    ).result_rows
    return [
        Group(
            table=table,
            reason=reason,
            applied=bool(applied),
            count=count,
            first_seen=_utc(first),
            last_seen=_utc(last),
            example=_position(*example),
        )
        for table, reason, applied, count, first, last, example in rows
    ]


def letters(target: Target, tables: Sequence[str], limit: int) -> list[Letter]:
    """The newest letters of these source tables (all without any); without their messages."""
    return _letters(target, f"{_of(tables)} ORDER BY seen DESC, {_IDENTITY} LIMIT {limit}", "NULL")


def at(target: Target, position: Position) -> list[Letter]:
    """The letters of one position, raw: a Kafka message can hold several JSON objects.

    Raises WrongUse if there is none.
    """
    here = f"topic = {ch_string(position.topic)} AND partition = {position.partition}"
    found = _letters(target, f"{here} AND offset = {position.offset}", "hex(message)")
    if not found:
        raise WrongUse(f"no dead letter at {position}: `./cdc dead-letters list --each` shows all")
    return found


def replay(target: Target, table: str, statement: str) -> Replayed:
    """Send a table's letters through the checks again (catalog.objects.replay_statement).

    May be repeated at any time: rows keep their own versions, so nothing newer is overwritten.
    """
    [[before]] = target.query("SELECT toString(now64(3, 'UTC'))").result_rows
    target.command(statement)
    # A letter that is in order now is taken back by a row of its own (dead_mv.sql). Counting those
    # is right whatever letters arrive meanwhile.
    [[replayed]] = target.query(
        f"SELECT count(DISTINCT {_IDENTITY}) FROM cdc.dead_letters"
        f" WHERE {_of([table])} AND _deleted AND _synced_at >= toDateTime64('{before}', 3, 'UTC')"
    ).result_rows
    return Replayed(table=table, replayed=replayed, remaining=groups(target, [table]))


def render_groups(found: Sequence[Group], limit: int, console: Console) -> None:
    """A line for each of the first groups, and what that leaves out."""
    lines = Table(title="Dead letters", title_justify="left")
    for heading in ("table", "reason", "row stored", "letters", "first seen", "last seen", "one"):
        lines.add_column(
            heading, justify="right" if heading == "letters" else "left", overflow="fold"
        )
    for each in found[:limit]:
        lines.add_row(
            *_plain(each.table, each.reason, "in part" if each.applied else "no"),
            f"{each.count:,}",
            *_plain(_time(each.first_seen), _time(each.last_seen), str(each.example)),
        )
    console.print(lines)
    letters = sum(each.count for each in found)
    told = f", {len(found) - limit} more kind(s): --limit" if len(found) > limit else ""
    console.print(f"{letters:,} letter(s) in all{told}", highlight=False)


def render_letters(found: Sequence[Letter], console: Console) -> None:
    """A line for each letter."""
    lines = Table(title="Dead letters, the newest first", title_justify="left")
    for heading in ("table", "reason", "row stored", "seen", "topic/partition/offset"):
        lines.add_column(heading, overflow="fold")
    for each in found:
        lines.add_row(
            *_plain(
                each.table,
                each.reason,
                "in part" if each.applied else "no",
                _time(each.seen),
                str(each.position),
            )
        )
    console.print(lines)


def render_replayed(found: Sequence[Replayed], limit: int, console: Console) -> None:
    """What became of each table's letters, then those that remain."""
    for each in found:
        left = sum(group.count for group in each.remaining)
        console.print(
            f"{each.table}: {each.replayed:,} replayed, {left:,} remaining",
            markup=False,
            highlight=False,
        )
    if remaining := [group for each in found for group in each.remaining]:
        render_groups(remaining, limit, console)


def _letters(target: Target, which: str, message: str) -> list[Letter]:
    rows = target.query(
        "SELECT source, toValidUTF8(reason), applied, topic, partition, offset,"
        f" _synced_at AS seen, {message} FROM cdc.dead_letters FINAL WHERE {which}"
    ).result_rows
    return [
        Letter(
            table=table,
            reason=reason,
            applied=bool(applied),
            position=_position(topic, partition, offset),
            seen=_utc(seen),
            message=None if raw is None else bytes.fromhex(raw),
        )
        for table, reason, applied, topic, partition, offset, seen, raw in rows
    ]


def _of(tables: Sequence[str]) -> str:
    return f"source IN ({', '.join(map(ch_string, tables))})" if tables else "true"


def _position(topic: str, partition: int, offset: int) -> Position:
    return Position(topic=topic, partition=partition, offset=offset)


def _utc(moment: datetime) -> datetime:
    # The client leaves the zone of a DateTime64(3, 'UTC') out.
    return moment.replace(tzinfo=UTC)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _plain(*texts: str) -> list[str]:
    # A reason holds what came in a message: square brackets in it are no markup.
    return [text.replace("[", r"\[") for text in texts]
