"""The Debezium connector: from the slot into the topics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from catalog.names import java_pattern, key_columns
from catalog.types import COPY_SETTINGS
from components.connect import Connect
from components.kafka import RETENTION, Kafka
from components.source import Source
from providers.connector import Connector
from providers.heartbeat import BEAT
from providers.heartbeat import TABLE as HEARTBEAT


@dataclass(frozen=True)
class CaptureArgs:
    """connector: its name. connection: how the worker reaches the source, as Debezium's settings.

    poll_interval_ms: how long the connector waits for more changes; the lower, the sooner rows
    arrive, the higher, the fewer transactions Kafka has to commit.
    snapshot_tables: `schema.table` of those whose rows the connector reads by itself when it first
    starts; all others are copied.
    keys: columns that tell rows apart, of the tables where that isn't their primary key.
    """

    connector: str
    connection: Mapping[str, pulumi.Input[str]]
    topic_prefix: str
    poll_interval_ms: int
    snapshot_tables: Sequence[str] = ()
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Capture(pulumi.ComponentResource):
    """The connector and the topics that belong to it rather than to a table.

    Attributes:
        heartbeat_topic: where the heartbeat table's events go.
    """

    def __init__(
        self,
        name: str,
        args: CaptureArgs,
        source: Source,
        kafka: Kafka,
        connect: Connect,
        opts: pulumi.ResourceOptions | None = None,
        *,
        after: Sequence[pulumi.Resource],
    ) -> None:
        super().__init__("cdc:tier:Capture", name, None, opts)
        prefix = args.topic_prefix
        self.heartbeat_topic = f"{prefix}.heartbeat"
        # Debezium's own heartbeat, sent beside the action query, has a topic of its own.
        topics = [
            kafka.topic(topic, config={**RETENTION, "retention.ms": "86400000"}, parent=self)
            for topic in (self.heartbeat_topic, f"__debezium-heartbeat.{prefix}")
        ]
        self.connector = Connector(
            f"{name}-connector",
            connector=args.connector,
            url=connect.url,
            generation=source.slot.lsn,
            snapshot_tables=args.snapshot_tables,
            config={
                "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
                "tasks.max": "1",
                **args.connection,
                **({"database.sslrootcert": connect.source_ca} if connect.source_ca else {}),
                "database.user": source.role,
                "database.password": connect.source_password,
                "plugin.name": "pgoutput",
                "slot.name": source.slot.slot,
                "publication.name": source.publication.publication,
                "publication.autocreate.mode": "disabled",
                "table.include.list": pulumi.Output.all(*source.tables).apply(_expressions),
                "topic.prefix": prefix,
                **_snapshot(args.snapshot_tables),
                **EXACT,
                **FAST,
                # A change of the key is then a delete and a create, as with a primary key.
                **({"message.key.columns": key_columns(args.keys)} if args.keys else {}),
                "poll.interval.ms": str(args.poll_interval_ms),
                "heartbeat.interval.ms": "5000",
                "heartbeat.action.query": BEAT,
                "transforms": "heartbeat",
                "transforms.heartbeat.type": "org.apache.kafka.connect.transforms.RegexRouter",
                "transforms.heartbeat.regex": re.escape(f"{prefix}.{HEARTBEAT}"),
                "transforms.heartbeat.replacement": self.heartbeat_topic,
            },
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[*topics, *after, *connect.servers, source.slot]
            ),
        )
        self.register_outputs({"connector": args.connector})


# What makes the rows right
# (https://debezium.io/documentation/reference/3.7/connectors/postgresql.html#postgresql-connector-properties).
EXACT = {
    # Values as text or integers: a float would round them.
    "decimal.handling.mode": "string",
    "time.precision.mode": "microseconds",
    "interval.handling.mode": "string",
    "binary.handling.mode": "base64",
    "hstore.handling.mode": "json",
    # What Debezium itself would round, flatten or lose comes as Postgres' text
    # (docs/decisions/0013-exact-values.md); of unknown types it sends the text as bytes.
    "converters": "exact",
    "exact.type": "cdc.ExactText",
    "include.unknown.datatypes": "true",
    # The walsender writes values as its session's settings say: a database with bytea_output
    # 'escape' or extra_float_digits 0 would have them garbled or rounded, without a word.
    "driver.options": " ".join(f"-c {name}={value}" for name, value in COPY_SETTINGS),
    # TRUNCATE is a change too; by default it is skipped.
    "skipped.operations": "none",
    # pg_logical_emit_message(), which any user may call, writes no row. Its event would go to a
    # topic of its own, which there is not: the worker would wait for it and nothing else arrive.
    "message.prefix.exclude.list": ".*",
    # A delete says all there is to say; the null record after it is for compacted topics.
    "tombstones.on.delete": "false",
    "exactly.once.support": "required",
    "transaction.boundary": "poll",
    "event.processing.failure.handling.mode": "fail",
}

# What makes them quick; docs/benchmarks.md has the measurements.
FAST = {
    "max.batch.size": "8192",
    "max.queue.size": "32768",
    # Rows of megabytes fill the worker's heap long before that many wait.
    "max.queue.size.in.bytes": "67108864",
    "extended.headers.enabled": "false",
    "provide.transaction.metadata": "false",
}


def _snapshot(tables: Sequence[str]) -> dict[str, str]:
    if not tables:
        return {"snapshot.mode": "no_data"}
    return {"snapshot.mode": "initial", "snapshot.include.collection.list": _expressions(tables)}


def _expressions(tables: Sequence[str]) -> str:
    """Debezium reads the list as regular expressions, anchored at both ends."""
    return ",".join(map(java_pattern, tables))
