"""A captured table in a running daemon, fed with Debezium's messages."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from catalog.model import CapturedTable, CaptureOptions, Column, SourceTable, capture
from catalog.names import ch_ident, ch_string
from catalog.objects import (
    KafkaSettings,
    SqlObject,
    platform_objects,
    replay_statement,
    table_objects,
)
from tests.embedded.daemon import Daemon

SLOT = 1_000
ORDERS = (
    Column(name="id", pg_type="integer", nullable=False),
    Column(name="quantity", pg_type="integer", nullable=False),
    Column(name="price", pg_type="numeric(10,2)", nullable=False),
    Column(name="total", pg_type="numeric(12,2)", nullable=True, generated="(quantity * price)"),
    Column(name="note", pg_type="text", nullable=True),
)
_fresh = itertools.count(1)

Row = dict[str, Any]


def order(key: int = 1, **changed: Any) -> Row:
    """An image as a streamed change carries it: without the generated column."""
    return {"id": key, "quantity": 3, "price": "10.50", "note": "n"} | changed


def event(op: str, row: Row | None, lsn: int, **changed: Any) -> Row:
    """The envelope around `row`: the before image of a delete, else the after image."""
    now = int(time.time() * 1000)
    return {
        "before": row if op == "d" else None,
        "after": None if op == "d" else row,
        "source": {
            "version": "3.7.0.Final",
            "connector": "postgresql",
            "name": "postgres-server",
            "ts_ms": now,
            "snapshot": "true" if op == "r" else "false",
            "db": "inventory",
            "sequence": f'["{lsn}","{lsn}"]',
            "schema": "inventory",
            "table": "orders",
            "txId": 700 + lsn,
            "lsn": lsn,
            "xmin": None,
        },
        "transaction": None,
        "op": op,
        "ts_ms": now + 5,
    } | changed


def raw(message: Row | str | bytes) -> bytes:
    """The message as it is in the topic."""
    if isinstance(message, bytes):
        return message
    return (message if isinstance(message, str) else json.dumps(message)).encode()


def every_operation() -> list[Row]:
    """A row that was there before, one that is made and changed, one that is made and deleted."""
    return [
        event("r", order(1, total="31.50"), 1_500),
        event("c", order(2), 2_000),
        event("u", order(2, quantity=4), 2_100),
        event("c", order(3), 2_200),
        event("d", order(3), 2_300),
    ]


class Captured:
    """The objects of one table in a schema of their own.

    shaped: makes other objects of those that one server has, as a cluster does.

    Unless `bootstrap` names a broker, the queue is an ENGINE = Null table with the Kafka engine's
    virtual columns as plain ones: what is inserted there takes the same way as a message.
    """

    def __init__(
        self,
        daemon: Daemon,
        columns: Sequence[Column] = ORDERS,
        key: tuple[str, ...] = ("id",),
        bootstrap: str | None = None,
        generated: dict[str, str] | None = None,
        shaped: Callable[[Sequence[SqlObject]], Sequence[SqlObject]] = tuple,
        **options: Any,
    ) -> None:
        self.daemon = daemon
        self._shaped = shaped
        self.schema = f"s{next(_fresh)}"
        if any(column.generated for column in columns):
            generated = generated or {"total": "quantity * price"}
        self.options = CaptureOptions(
            table=f"{self.schema}.orders", generated=generated or {}, **options
        )
        self.bootstrap = bootstrap
        self.slot = SLOT
        self.offset = itertools.count()
        self.describe(columns, key)
        for made in shaped(platform_objects()):
            daemon.ask(made.create)
        self.apply()

    def describe(self, columns: Sequence[Column], key: tuple[str, ...] = ("id",)) -> None:
        """The source looks like this now."""
        source = SourceTable(schema_=self.schema, name="orders", columns=tuple(columns), key=key)
        self.table: CapturedTable = capture(source, self.options, "postgres-server")

    def apply(self) -> None:
        """Make the objects, or bring them to what the source looks like now."""
        kafka = KafkaSettings(self.bootstrap or "nowhere:1", flush_ms=200, poll_timeout_ms=50)
        for made in self._shaped(table_objects(self.table, self.options, kafka, self.slot)):
            name = f"{ch_ident(self.schema)}.{ch_ident(made.name.split('.')[-1])}"
            if made.kind == "materialized_view":
                self.daemon.ask(f"DROP VIEW IF EXISTS {name} SYNC")
            if made.kind == "queue" and self.bootstrap is None:
                self.daemon.ask(
                    f"CREATE TABLE IF NOT EXISTS {name} (message String, _raw_message String, "
                    "_error String, _topic LowCardinality(String), _partition UInt64, "
                    "_offset UInt64) ENGINE = Null"
                )
                continue
            self.daemon.ask(made.create)
            if made.kind == "table":
                for column, kind in made.columns:
                    self.daemon.ask(
                        f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {ch_ident(column)} {kind}"
                    )

    def arrive(self, *messages: Row | str | bytes) -> None:
        """Messages of partition 0, one block."""
        listed = ", ".join(f"('{raw(m).hex()}', {next(self.offset)})" for m in messages)
        self.daemon.ask(
            f"INSERT INTO {self.schema}.orders_queue (message, _topic, _offset) "
            f"SELECT unhex(h), {ch_string(self.table.topic)}, o "
            f"FROM VALUES('h String, o UInt64', {listed})"
        )

    def replay(self) -> None:
        """Send the dead letters through the checks again."""
        self.daemon.ask(replay_statement(self.table, self.options, self.slot))

    def rows(self, sql: str) -> list[list[Any]]:
        """Rows of a query; `{t}` stands for the table, `{s}` for the source's name."""
        name = f"{self.schema}.orders"
        text = sql.replace("{t}", name).replace("{s}", name)
        answer = self.daemon.ask(
            f"{text} FORMAT JSONCompactEachRow",
            output_format_json_quote_64bit_integers="0",
            output_format_json_quote_decimals="1",
            output_format_decimal_trailing_zeros="1",
        )
        # Not splitlines(), which also splits at what JSON leaves unescaped.
        return [json.loads(line) for line in answer.split("\n") if line]

    def current(self, columns: Iterable[str] = ("id", "quantity", "total", "note")) -> list[Any]:
        """What `SELECT … FROM orders` shows."""
        return self.rows(f"SELECT {', '.join(columns)} FROM {{t}} ORDER BY id")

    def history(self) -> list[Any]:
        """Key, version, operation of every change."""
        return self.rows("SELECT id, _lsn, operation FROM {t}_history FINAL ORDER BY id, _version")

    def reasons(self) -> list[str]:
        """Of the letters that are open."""
        found = self.rows(
            "SELECT reason FROM cdc.dead_letters FINAL WHERE source = '{s}' ORDER BY offset"
        )
        return [reason for (reason,) in found]
