"""The same chain as it comes, untuned, beside the deployed one: the ratio."""

from __future__ import annotations

from catalog.model import CapturedTable, CaptureOptions
from catalog.names import ch_qualified, ch_string
from catalog.objects import KafkaSettings, SqlObject, table_objects
from ops.bench.lane import TUNED, Style, lane
from ops.bench.latency import PATIENCE, Figures, take, warm
from ops.bench.model import Cell, Section, columns
from ops.bench.rig import Rig
from ops.bench.source import Writer
from ops.bench.throughput import POLL_SECONDS, drain, kafka_bytes
from ops.bench.throughput import Figures as Drained
from ops.bench.watch import Watch

RATE = 1_000
# ClickHouse would collect 65,409 messages of 4.6 KB, schema and all, and parse them at once: more
# than the memory of the stack's engine. It would try that block again and again.
MOST_MESSAGES = 8_192

_JSON = "org.apache.kafka.connect.json.JsonConverter"
# Debezium's and Kafka's own defaults where the stack sets something else.
CONNECTOR: dict[str, str | None] = {
    **TUNED.connector,
    "poll.interval.ms": "500",
    "max.batch.size": None,
    "max.queue.size": None,
    "max.queue.size.in.bytes": None,
    "extended.headers.enabled": None,
    "converters": None,
    "exact.type": None,
    "key.converter": _JSON,
    "key.converter.schemas.enable": "true",
    "value.converter": _JSON,
    "value.converter.schemas.enable": "true",
    "producer.override.linger.ms": "0",
    "producer.override.batch.size": "16384",
    "producer.override.compression.type": "none",
}

_EXTRACTED = {
    "id": "JSONExtractInt({0})",
    "customer_id": "JSONExtractInt({0})",
    "product_id": "JSONExtractInt({0})",
    "reference": "toUUIDOrZero(JSONExtractString({0}))",
    "status": "JSONExtractString({0})",
    "quantity": "JSONExtractInt({0})",
    "unit_price": "toDecimal64OrZero(JSONExtractString({0}), 2)",
    "gift": "JSONExtractBool({0})",
    "ordered_on": "toDate32(JSONExtractInt({0}))",
    "note": "JSONExtract({0}, 'Nullable(String)')",
    "updated_at": "parseDateTime64BestEffortOrZero(JSONExtractString({0}), 6, 'UTC')",
}
_META = {
    "operation": "JSONExtractString(message, 'payload', 'op')",
    "source_ts_ms": (
        "fromUnixTimestamp64Milli(JSONExtractInt(message, 'payload', 'source', 'ts_ms'))"
    ),
    "_lsn": "JSONExtractUInt(message, 'payload', 'source', 'lsn')",
    "_version": "JSONExtractUInt(message, 'payload', 'source', 'lsn')",
    "_deleted": "JSONExtractString(message, 'payload', 'op') = 'd'",
}
# Of the deployed objects only what holds rows and shows them.
_KEPT = ("_history", "_final", "")


def objects(
    table: CapturedTable, options: CaptureOptions, kafka: KafkaSettings, slot_lsn: int
) -> list[SqlObject]:
    """A queue with ClickHouse's defaults, and a view for each table that it fills.

    The tables and the view of current rows are the deployed ones, so that both are read alike.
    """
    made = [
        each
        for each in table_objects(table, options, kafka, slot_lsn)
        if each.name in [table.target + suffix for suffix in _KEPT]
    ]
    queue = ch_qualified(f"{table.target}_queue")
    statements = {
        f"{table.target}_queue": (
            f"CREATE TABLE {queue} (message String) ENGINE = Kafka SETTINGS "
            f"kafka_broker_list = {ch_string(kafka.bootstrap)}, "
            f"kafka_topic_list = {ch_string(table.topic)}, "
            f"kafka_group_name = {ch_string(table.group)}, kafka_format = 'JSONAsString', "
            f"kafka_max_block_size = {MOST_MESSAGES}"
        )
    }
    names = [column.name for column in table.source.columns]
    values = [
        _EXTRACTED[name].format(f"message, 'payload', 'after', {ch_string(name)}") for name in names
    ]
    selected = ", ".join(
        f"{value} AS `{name}`" for name, value in [*zip(names, values, strict=True), *_META.items()]
    )
    for suffix in ("_history", "_final"):
        target = ch_qualified(table.target + suffix)
        statements[f"{table.target}{suffix}_mv"] = (
            f"CREATE MATERIALIZED VIEW {ch_qualified(table.target + suffix + '_mv')} TO {target} "
            f"AS SELECT {selected} FROM {queue}"
        )
    return made + [
        SqlObject(name, "materialized_view" if name.endswith("_mv") else "queue", create)
        for name, create in statements.items()
    ]


UNTUNED = Style(CONNECTOR, objects)


def measure(rig: Rig) -> list[Section]:
    """Both ways with the same rows, one after the other."""
    tuned, untuned = _take(rig, "tuned", TUNED), _take(rig, "untuned", UNTUNED)
    rows: list[list[Cell]] = []
    for what in tuned:
        ours, theirs = tuned[what], untuned[what]
        rows.append([what, ours, theirs, theirs / ours if ours and theirs is not None else None])
    return [
        Section(
            name="untuned",
            title="Beside the untuned chain",
            method=(
                "The same rows through two ways of one table each, one after the other in this "
                "run. Tuned: the connector's settings and the objects of this stack. Untuned: "
                "Debezium's and Kafka's defaults (poll.interval.ms 500, max.batch.size 2048, "
                "headers on, no linger, no compression), JSON with schemas, ClickHouse's default "
                "flush (7.5 s) and poll (0.5 s) in blocks that its memory holds "
                f"({MOST_MESSAGES:,} messages), and for each of history and current state a view "
                f"of a JSONExtract call a value, nothing checked. Latency at {RATE:,} rows/s and "
                f"the drain of {rig.sizes.untuned_rows:,} waiting changes as in the tables above. "
                "Exactly-once delivery is the worker's and stays on for both."
            ),
            columns=columns("figure", "tuned", "untuned", "untuned ÷ tuned"),
            rows=rows,
        )
    ]


def _take(rig: Rig, name: str, style: Style) -> dict[str, float | None]:
    with lane(rig, name, [name], style) as made:
        made.start()
        table = made.tables[0]
        with rig.deployed.postgres.connect() as connection:
            writer = Writer(connection, [table.source.qualified])
            with Watch(rig.deployed.clickhouse, f"{table.target}_final") as watch:
                warm(rig, writer, watch)
                paced = take(rig, made, writer, watch, RATE, rig.sizes.untuned_seconds)
            with Watch(rig.deployed.clickhouse, f"{table.target}_final", POLL_SECONDS) as watch:
                watch.wait(writer.last[0], PATIENCE)
                drained = drain(rig, made, writer, watch, rig.sizes.untuned_rows)
        made.check()
        size = kafka_bytes(rig.deployed.home, table.topic)
        changes = rig.one(f"SELECT count() FROM {ch_qualified(table.target + '_history')} FINAL")
    return _figures(paced, drained, None if size is None else size / changes)


def _figures(paced: Figures, drained: Drained, record: float | None) -> dict[str, float | None]:
    return {
        "latency p50, ms": paced.most(0.5),
        "latency p99, ms": paced.most(0.99),
        "drain, rows/s": drained.rate,
        "processor time of a million rows, s": drained.micros_all,
        "record in Kafka, bytes": record,
    }
