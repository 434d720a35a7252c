"""One captured table, from the source to the current rows in ClickHouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from catalog.model import CapturedTable as Captured
from catalog.model import CaptureOptions, capture
from catalog.model import SourceTable as Described
from catalog.names import topic_name
from catalog.objects import KafkaSettings, replay_statement, table_objects
from components.capture import Capture
from components.clickhouse import ClickHouse
from components.kafka import Kafka
from components.source import Source
from providers.initial_load import InitialLoad
from providers.source_table import SourceTable


@dataclass(frozen=True)
class CapturedTableArgs:
    """options: the table's line of configuration. topic_prefix: of the connector.

    partitions: of the topic. flush_interval_ms: how long ClickHouse gathers rows into a block.
    """

    options: CaptureOptions
    source_table: SourceTable
    topic_prefix: str
    partitions: int
    flush_interval_ms: int
    allow_destructive: bool


class CapturedTable(pulumi.ComponentResource):
    """Topic and ClickHouse objects of one table; complete when changes can flow.

    Attributes:
        captured: a `catalog.model.CapturedTable` as JSON, what the operator's commands work from.
        snapshotted: whether its existing rows come as Debezium's snapshot.
    """

    captured: pulumi.Output[str]
    snapshotted: bool

    def __init__(
        self,
        name: str,
        args: CapturedTableArgs,
        source: Source,
        kafka: Kafka,
        clickhouse: ClickHouse,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("cdc:tier:CapturedTable", name, None, opts)
        options = args.options
        topic = topic_name(args.topic_prefix, options.table)
        self.topic = kafka.topic(topic, partitions=args.partitions, parent=self)
        settings = KafkaSettings(
            bootstrap=kafka.inside,
            flush_ms=args.flush_interval_ms,
            poll_timeout_ms=args.flush_interval_ms,
        )

        def captured(described: str) -> Captured:
            return capture(Described.model_validate_json(described), options, args.topic_prefix)

        def objects(known: list[str]) -> list[dict[str, Any]]:
            described, lsn = known
            made = table_objects(captured(described), options, settings, slot_lsn=int(lsn))
            return clickhouse.shaped(made)

        def replay(known: list[str]) -> list[str]:
            # What a table without a new column had to set aside can be read now.
            described, lsn = known
            return [replay_statement(captured(described), options, int(lsn))]

        self._options, self._clickhouse = options, clickhouse.connection
        self.snapshotted = options.initial_load == "stream"
        self._loads = args.source_table.loads
        described = args.source_table.described
        known = pulumi.Output.all(described, source.slot.lsn)
        self.objects = clickhouse.declare(
            f"{name}-objects",
            objects=known.apply(objects),
            afterwards=known.apply(replay),
            allow_destructive=args.allow_destructive,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.topic, *clickhouse.objects]),
        )
        self.captured = described.apply(lambda text: captured(text).model_dump_json())
        self.register_outputs({"topic": topic})

    def load(
        self,
        capture: Capture,
        source: Source,
        kafka: Kafka,
        connection: Mapping[str, pulumi.Input[Any]],
        workers: int,
        after: Sequence[InitialLoad] = (),
    ) -> InitialLoad:
        """Declares that the table's existing rows are there too.

        After `capture`: a row can be missed only while its changes don't flow. `connection` is one
        to the source; `workers` copy at the same time. `after`: loads to be finished before.
        """
        return InitialLoad(
            f"{self.pulumi_resource_name}-load",
            table=self._options.table,
            captured=self.captured,
            options=self._options,
            source=connection,
            clickhouse=self._clickhouse,
            kafka=kafka.operator,
            heartbeat_topic=capture.heartbeat_topic,
            reader=source.reader,
            stream=source.slot.lsn,
            loads=self._loads,
            # An output of what may be about to change would make every load look so in a preview.
            snapshotted=capture.connector.snapshotted if self.snapshotted else [],
            workers=workers,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[capture.connector, *after]),
        )
