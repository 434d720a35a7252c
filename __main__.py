"""The whole platform: Postgres -> Debezium on Kafka Connect -> Kafka -> ClickHouse."""

from __future__ import annotations

import pulumi

from components.analytics import Analytics
from components.beside import Beside, BesideArgs
from components.capture import Capture, CaptureArgs
from components.captured_table import CapturedTable, CapturedTableArgs
from components.clickhouse import ClickHouse, ClickHouseArgs
from components.connect import Connect, ConnectArgs
from components.existing_postgres import ExistingPostgres
from components.kafka import Kafka, KafkaArgs
from components.postgres import Postgres, PostgresArgs
from components.settings import Settings
from components.source import Source, SourceArgs
from ops import places
from ops.readiness_model import Plan
from platforms import choose
from providers.source_table import SourceTable

stack = pulumi.get_stack()
settings = Settings.read(pulumi.Config("cdc"), stack)
platform = choose(settings.platform, stack)
platform.preflight(settings.ports_used())
ports = settings.ports

# The source, and what capture needs in it
mark = f"cdc stack {stack}"
if settings.source:
    postgres: Postgres | ExistingPostgres = ExistingPostgres(settings.source)
    plan = Plan(settings.source_user, mark, settings.slot, settings.publication, settings.role)
    options = ExistingPostgres.tables(settings.source, settings.tables, plan)
else:
    postgres = Postgres(
        "postgres", PostgresArgs(ports.postgres, settings.database, settings.sample), platform
    )
    options = settings.named_tables()
settings.refuse_clashes(options)
described = {
    each.table: SourceTable(f"source-{each.table}", connection=postgres.connection, options=each)
    for each in options
}
source = Source(
    "source",
    SourceArgs(
        connection=postgres.connection,
        user_is=settings.source_user,
        mark=mark,
        role=settings.role,
        publication=settings.publication,
        slot=settings.slot,
        tables=[table.table for table in described.values()],
        reader=f"http://{platform.address('connect', ports.connect).operator}"
        f"/connectors/{settings.connector}",
    ),
)

# The log, and the workers that write it
kafka = Kafka("kafka", KafkaArgs(ports.kafka, ports.kafka_controller, settings.brokers), platform)
connect = Connect(
    "connect",
    ConnectArgs(
        ports.connect,
        platform.connect_plugins,
        source.password,
        postgres.ca,
        outside=settings.source is not None,
        workers=settings.connect_workers,
    ),
    kafka,
    platform,
)

# The target, and a way into it for each table
clickhouse = ClickHouse(
    "clickhouse",
    ClickHouseArgs(ports.clickhouse, queues=len(options), nodes=settings.clickhouse_nodes),
    platform,
)
tables = [
    CapturedTable(
        f"table-{each.table}",
        CapturedTableArgs(
            options=each,
            source_table=described[each.table],
            topic_prefix=settings.topic_prefix,
            partitions=settings.partitions,
            flush_interval_ms=settings.flush_interval_ms,
            allow_destructive=settings.allow_destructive,
        ),
        source,
        kafka,
        clickhouse,
    )
    for each in options
]
made = [objects for table in tables for objects in table.objects]
if settings.sample:
    Analytics("analytics", clickhouse, after=made)

# Only now do changes begin to flow
capture = Capture(
    "capture",
    CaptureArgs(
        connector=settings.connector,
        connection=postgres.inside,
        topic_prefix=settings.topic_prefix,
        poll_interval_ms=settings.poll_interval_ms,
        snapshot_tables=[each.table for each in options if each.initial_load == "stream"],
        keys={each.table: each.key for each in options if each.key},
    ),
    source,
    kafka,
    connect,
    after=made,
)
load = (capture, source, kafka, postgres.connection, settings.load_workers)
snapshot = [table.load(*load) for table in tables if table.snapshotted]
# Debezium streams from where its snapshot began, and takes it anew when it was interrupted: what
# changed before that, in tables that are copied already, would arrive by neither.
for table in tables:
    if not table.snapshotted:
        table.load(*load, after=snapshot)

# Beside the data path, what the stack wants of it
if settings.services:
    beside = Beside(
        "beside",
        BesideArgs(
            services=settings.services,
            ports=settings.ports,
            connection=postgres.connection,
            postgres=f"{platform.address('postgres', ports.postgres).inside}/{settings.database}",
            monitor=settings.monitor,
            mark=mark,
        ),
        kafka,
        clickhouse,
        platform,
    )
    pulumi.export("beside", beside.addresses)
    if beside.grafana:
        pulumi.export("grafana", beside.grafana)

pulumi.export("platform", settings.platform)
pulumi.export("home", str(places.home(stack)))
pulumi.export("postgres", postgres.connection)
pulumi.export("own_postgres", settings.source is None)
pulumi.export("kafka", kafka.operator)
pulumi.export("brokers", kafka.brokers)
pulumi.export(
    "connect",
    {"url": connect.url, "workers": connect.workers, "connector": settings.connector},
)
pulumi.export("clickhouse", clickhouse.connection)
pulumi.export("clickhouse_nodes", clickhouse.nodes)
pulumi.export("analyst", clickhouse.analyst)
pulumi.export("slot", settings.slot)
pulumi.export("slot_lsn", source.slot.lsn)
pulumi.export("heartbeat_topic", capture.heartbeat_topic)
pulumi.export("tables", pulumi.Output.all(*[table.captured for table in tables]))
pulumi.export("options", [each.model_dump_json() for each in options])
pulumi.export("load_workers", settings.load_workers)
pulumi.export("sample", settings.sample)
