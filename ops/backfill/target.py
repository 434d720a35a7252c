"""What a load does in ClickHouse: rows in, and a note of what is done."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from catalog.loading import Pages
from catalog.model import CapturedTable
from catalog.names import ch_qualified, ch_string
from catalog.parsing import LOADED
from ops.backfill.errors import BackfillError

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 3600.0


@dataclass(frozen=True)
class Range:
    """A range of a load; `rows` is what it held, once it is done."""

    pages: Pages
    done: bool = False
    rows: int = 0


@dataclass(frozen=True)
class Load:
    """A load that has begun. incarnation: see ops.backfill.source."""

    lsn: int
    at_ms: int
    incarnation: str
    ranges: tuple[Range, ...]

    @property
    def rows(self) -> int:
        """Rows of the ranges that were done when this was read."""
        return sum(each.rows for each in self.ranges)


class Target:
    """ClickHouse over HTTP, for one table's load in one stream of changes.

    Args:
        connection: `host`, `port`, `user` and `password` of an administrator.
        stream: names the unbroken stream (the slot's start): what was copied beside another one is
            worth nothing.
    """

    def __init__(self, connection: Mapping[str, Any], table: CapturedTable, stream: str) -> None:
        self._url = f"http://{connection['host']}:{int(connection['port'])}/"
        self._login = (str(connection["user"]), str(connection["password"]))
        self._table = table
        self._source = ch_string(table.source.qualified)
        self._stream = ch_string(stream)

    def insert(self, statement: str, data: Iterable[bytes], settings: Mapping[str, str]) -> None:
        """Runs an INSERT whose data is streamed. Raises BackfillError in the server's words."""
        self._post({"query": statement, **settings}, data)

    def loaded(self) -> bool:
        """Whether a load was finished beside this stream."""
        return bool(
            self._rows(
                "SELECT 1 FROM cdc.loads FINAL "
                f"WHERE source = {self._source} AND stream = {self._stream} LIMIT 1"
            )
        )

    def highest(self) -> int:
        """The highest position that the table has seen a commit of; a load's has to be above it."""
        final = ch_qualified(f"{self._table.target}_final")
        [[version]] = self._rows(f"SELECT toUInt64(bitShiftRight(max(_version), 64)) FROM {final}")
        return int(version)

    def snapshots(self, rank: int) -> int:
        """How many snapshots of Debezium's the rows come from that rank at that position."""
        history = ch_qualified(f"{self._table.target}_history")
        [[count]] = self._rows(
            f"SELECT uniqExact(_lsn) FROM {history} "
            f"WHERE operation = 'r' AND bitShiftRight(_version, 64) = {rank}"
        )
        return int(count)

    def unfinished(self) -> Load | None:
        """The load beside this stream that was begun last and not finished."""
        rows = self._rows(
            "SELECT lsn, toUnixTimestamp64Milli(began_at), incarnation, relation, first, end, done,"
            " rows FROM cdc.load_ranges FINAL"
            f" WHERE source = {self._source} AND stream = {self._stream}"
            f" AND lsn > (SELECT max(lsn) FROM cdc.loads WHERE source = {self._source})"
            " ORDER BY lsn DESC, relation, first"
        )
        if not rows:
            return None
        lsn, at_ms, incarnation = rows[0][:3]
        return Load(
            int(lsn),
            int(at_ms),
            incarnation,
            tuple(
                Range(Pages(relation, int(first), int(end)), done == "1", int(count))
                for of, _, _, relation, first, end, done, count in rows
                if of == lsn
            ),
        )

    def begin(self, load: Load) -> None:
        """Writes down what is to be copied, all of it or nothing."""
        if load.ranges:
            self._note(load, load.ranges)

    def done(self, load: Load, pages: Pages, rows: int) -> None:
        self._note(load, [Range(pages, True, rows)])

    def finish(self, load: Load, rows: int) -> None:
        """Swaps: from here on the table is what this load and the stream made of it."""
        self._run(
            "INSERT INTO cdc.loads (source, lsn, stream, rows, began_at) SELECT "
            f"{self._source}, {load.lsn}, {self._stream}, {rows}, {_time(load.at_ms)}"
        )
        # Letters of earlier loads: their rows were loaded again, or are gone.
        self._run(
            "INSERT INTO cdc.dead_letters (source, reason, applied, topic, partition, offset, "
            "message, _deleted) SELECT source, reason, applied, topic, partition, offset, message, "
            f"1 FROM cdc.dead_letters FINAL WHERE source = {self._source} "
            f"AND topic = {ch_string(LOADED)} AND offset < {load.lsn}"
        )
        self._forget_ranges()

    def forget(self) -> None:
        """The table is captured no longer: no load of it counts as one beside this stream."""
        self._run(
            "INSERT INTO cdc.loads (source, lsn, stream, rows, began_at) "
            f"SELECT source, lsn, '', rows, began_at FROM cdc.loads FINAL "
            f"WHERE source = {self._source} AND stream != ''"
        )
        self._forget_ranges()

    def _forget_ranges(self) -> None:
        self._run(f"DELETE FROM cdc.load_ranges WHERE source = {self._source}")

    def _note(self, load: Load, ranges: Sequence[Range]) -> None:
        values = ", ".join(
            f"({self._source}, {load.lsn}, {self._stream}, {ch_string(load.incarnation)}, "
            f"{_time(load.at_ms)}, {ch_string(each.pages.relation)}, {each.pages.first}, "
            f"{each.pages.end}, {each.rows}, {int(each.done)})"
            for each in ranges
        )
        self._run(
            "INSERT INTO cdc.load_ranges (source, lsn, stream, incarnation, began_at, relation, "
            f"first, end, rows, done) VALUES {values}"
        )

    def _rows(self, query: str) -> list[list[str]]:
        answer = self._post({}, f"{query} FORMAT JSONCompactStringsEachRow".encode())
        return [json.loads(line) for line in answer.splitlines()]

    def _run(self, statement: str) -> None:
        self._post({}, statement.encode())

    def _post(self, parameters: Mapping[str, str], data: bytes | Iterable[bytes]) -> str:
        answer = requests.post(
            self._url,
            params=parameters,
            data=data,
            auth=self._login,
            timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
        )
        if answer.status_code != requests.codes.ok:
            said = answer.text.strip().splitlines() or [f"HTTP {answer.status_code}"]
            raise BackfillError(f"{self._table.source.qualified}: ClickHouse said: {said[0]}")
        return answer.text


def _time(milliseconds: int) -> str:
    return f"fromUnixTimestamp64Milli(toInt64({milliseconds}), 'UTC')"
