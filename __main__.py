"""The whole platform: Postgres -> Debezium on Kafka Connect -> Kafka -> ClickHouse."""

from __future__ import annotations

import pulumi

from components.analytics import Analytics
from components.capture import Capture, CaptureArgs
from components.captured_table import CapturedTable, CapturedTableArgs
from components.clickhouse import ClickHouse, ClickHouseArgs
from components.connect import Connect, ConnectArgs
from components.kafka import Kafka, KafkaArgs
from components.postgres import Postgres, PostgresArgs
from components.settings import Settings
from components.source import Source, SourceArgs
from platforms.local import LocalPlatform
from providers.source_table import SourceTable

stack = pulumi.get_stack()
settings = Settings.read(pulumi.Config("cdc"), stack)
platform = LocalPlatform(stack)
platform.preflight(settings.ports.by_setting())
ports = settings.ports

# The source, and what capture needs in it
postgres = Postgres(
    "postgres", PostgresArgs(ports.postgres, settings.database, settings.sample), platform
)
described = {
    options.table: SourceTable(
        f"source-{options.table}", connection=postgres.connection, options=options
    )
    for options in settings.tables
}
source = Source(
    "source",
    SourceArgs(
        connection=postgres.connection,
        role=f"{settings.slot}_reader",
        publication=settings.publication,
        slot=settings.slot,
        tables=[table.table for table in described.values()],
        reader=f"http://{platform.address('connect', ports.connect).operator}"
        f"/connectors/{settings.connector}",
    ),
)

# The log, and the worker that writes it
kafka = Kafka("kafka", KafkaArgs(ports.kafka, ports.kafka_controller), platform)
connect = Connect(
    "connect",
    ConnectArgs(ports.connect, platform.connect_plugins, source.password),
    kafka,
    platform,
)

# The target, and a way into it for each table
clickhouse = ClickHouse(
    "clickhouse", ClickHouseArgs(ports.clickhouse, queues=len(settings.tables)), platform
)
tables = [
    CapturedTable(
        f"table-{options.table}",
        CapturedTableArgs(
            options=options,
            source_table=described[options.table],
            topic_prefix=settings.topic_prefix,
            partitions=settings.partitions,
            flush_interval_ms=settings.flush_interval_ms,
            allow_destructive=settings.allow_destructive,
        ),
        source,
        kafka,
        clickhouse,
    )
    for options in settings.tables
]
if settings.sample:
    Analytics("analytics", clickhouse.connection, after=[table.objects for table in tables])

# Only now do changes begin to flow
capture = Capture(
    "capture",
    CaptureArgs(
        connector=settings.connector,
        connection={**postgres.inside, "database": settings.database},
        topic_prefix=settings.topic_prefix,
        poll_interval_ms=settings.poll_interval_ms,
        snapshot_tables=[t.table for t in settings.tables if t.initial_load == "stream"],
    ),
    source,
    kafka,
    connect,
    after=[table.objects for table in tables],
)
for table in tables:
    table.load(capture, source, kafka, postgres.connection, settings.load_workers)

pulumi.export("home", str(platform.home))
pulumi.export("postgres", postgres.connection)
pulumi.export("kafka", kafka.operator)
pulumi.export("connect", {"url": connect.url, "connector": settings.connector})
pulumi.export("clickhouse", clickhouse.connection)
pulumi.export("analyst", clickhouse.analyst)
pulumi.export("slot", settings.slot)
pulumi.export("slot_lsn", source.slot.lsn)
pulumi.export("heartbeat_topic", capture.heartbeat_topic)
pulumi.export("tables", pulumi.Output.all(*[table.captured for table in tables]))
pulumi.export("options", [options.model_dump_json() for options in settings.tables])
pulumi.export("load_workers", settings.load_workers)
pulumi.export("sample", settings.sample)
