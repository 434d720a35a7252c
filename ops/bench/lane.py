"""A way of the bench's own from its tables to ClickHouse, beside the user's and like it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import requests
from psycopg import sql

from catalog.introspect import describe
from catalog.model import CapturedTable, CaptureOptions, capture
from catalog.names import ch_qualified, ch_string
from catalog.objects import KafkaSettings, SqlObject, table_objects
from ops.bench import leftovers, source
from ops.bench.model import BenchError
from ops.bench.names import MARK, PREFIX, SPACE
from ops.bench.rig import Rig
from providers.base import until
from providers.connector import ConnectorProvider
from providers.topic import TopicProvider

CONNECTOR_SECONDS = 120.0
# What names the stack's own tables. The heartbeat too: a lane lives for minutes.
_NOT_OURS = ("heartbeat.", "transforms", "message.key.columns", "snapshot.include.collection.list")

Objects = Callable[[CapturedTable, CaptureOptions, KafkaSettings, int], list[SqlObject]]


@dataclass(frozen=True)
class Style:
    """How a lane differs from the deployed way.

    connector: settings over the running connector's; None takes one away. objects: the ClickHouse
    objects of a table.
    """

    connector: Mapping[str, str | None]
    objects: Objects = table_objects


# The tables are empty when the lane is made: there is nothing to load.
TUNED = Style({"snapshot.mode": "no_data"})


class Lane:
    """Slot, publication, topics, ClickHouse objects and connector of some tables.

    Attributes:
        tables: the captured tables, in the order in which they were named.
    """

    def __init__(self, rig: Rig, name: str, tables: Sequence[CaptureOptions], style: Style) -> None:
        self.name = PREFIX + name
        self.tables = [
            capture(describe(rig.source, each.table), each, self.name) for each in tables
        ]
        self._rig = rig
        self._options = tables
        self._style = style
        self._url = f"{rig.deployed.connect.url}/connectors/{self.name}"

    def prepare(self) -> None:
        """Everything but the connector."""
        self._publish(self._rig.source)
        for table in self.tables:
            TopicProvider().create(
                {
                    "topic": table.topic,
                    "bootstrap": self._rig.deployed.kafka,
                    "partitions": 1,
                    "replication": -1,  # the broker's own, as the stack's topics have it
                    "config": {},
                }
            )
        client = self._rig.clickhouse
        client.command(f"CREATE DATABASE IF NOT EXISTS {SPACE} COMMENT {ch_string(MARK)}")
        for i, (table, options) in enumerate(zip(self.tables, self._options, strict=True)):
            self._rig.progress("making tables in ClickHouse", i, len(self.tables))
            for each in self._style.objects(table, options, self._rig.queue, 0):
                client.command(each.create)

    def start(self) -> None:
        """Registers the connector; returns when it runs."""
        config: dict[str, str | None] = {
            **{k: v for k, v in self._rig.connector.items() if not k.startswith(_NOT_OURS)},
            "name": self.name,
            "slot.name": self.name,
            "publication.name": self.name,
            "topic.prefix": self.name,
            "table.include.list": ",".join(f"{SPACE}\\.{t.source.name}" for t in self.tables),
            **self._style.connector,
        }
        props = {
            "connector": self.name,
            "url": self._rig.deployed.connect.url,
            "config": {name: value for name, value in config.items() if value is not None},
            "generation": "",
            "snapshot_tables": [],
        }
        ConnectorProvider().create(props)

    def stop(self) -> None:
        """Stops the connector's task; the slot keeps what is written meanwhile."""
        self._send("stop", "STOPPED")

    def resume(self) -> None:
        """Starts the task again; returns when it says that it runs."""
        self._send("resume", "RUNNING")

    def check(self) -> None:
        """Compares counts and sums of both sides: figures of a chain that loses rows are none.

        Raises BenchError where they differ.
        """
        for table in self.tables:
            there = source.sums(self._rig.source, table.source.qualified)
            here = self._rig.clickhouse.query(
                source.sums_query(ch_qualified(table.target))
            ).result_rows[0]
            if tuple(there) != tuple(here):
                raise BenchError(
                    f"{table.source.qualified} arrived wrong: {there} in the source, {here} in "
                    "ClickHouse; no figure of this run is worth anything"
                )

    def _publish(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        names = sql.SQL(", ").join(
            sql.Identifier(t.source.schema_, t.source.name) for t in self.tables
        )
        connection.execute(
            sql.SQL("CREATE PUBLICATION {} FOR TABLE {}").format(sql.Identifier(self.name), names)
        )
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [self.name])

    def _send(self, verb: str, state: str) -> None:
        def done() -> bool:
            answer = requests.get(f"{self._url}/status", timeout=30).json()
            tasks = {task["state"] for task in answer["tasks"]}
            return answer["connector"]["state"] == state and tasks <= {state}

        def sent() -> bool:
            # 409 is a rebalance: again.
            return requests.put(f"{self._url}/{verb}", timeout=30).ok

        until(sent, CONNECTOR_SECONDS, f"connector {self.name}: {verb}")
        until(done, CONNECTOR_SECONDS, f"connector {self.name} being {state}", every=0.05)


@contextmanager
def lane(rig: Rig, name: str, tables: Sequence[str], style: Style = TUNED) -> Iterator[Lane]:
    """A lane of new, empty tables (names without the schema), prepared but not started."""
    qualified = [f"{SPACE}.{table}" for table in tables]
    source.make(rig.source, qualified, rig.connector["database.user"])
    made = Lane(rig, name, [CaptureOptions(table=each) for each in qualified], style)
    try:
        made.prepare()
        yield made
    finally:
        clear(rig)


def clear(rig: Rig) -> None:
    """Takes away all that the bench made so far."""
    rig.progress("taking away what was made", 0, None)
    leftovers.remove(rig.deployed, rig.source, rig.clickhouse)
