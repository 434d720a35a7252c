"""Taking away what the bench made, whether by this run or by one that was killed."""

from __future__ import annotations

from typing import Any

import psycopg
import requests
from clickhouse_connect.driver.client import Client
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from psycopg import sql

from catalog.names import ch_ident, ch_string
from ops.bench.model import BenchError
from ops.bench.names import MARK, PREFIX, SPACE
from ops.stack import Deployed
from providers.base import until
from providers.connector import ConnectorProvider

LEAVE = 30.0  # seconds for a reader of a slot, or a consumer of a group, to go
ASK = 30.0


def remove(deployed: Deployed, source: psycopg.Connection[Any], clickhouse: Client) -> None:
    """Removes it all, in the order in which nothing is missed by what still runs.

    Raises BenchError where the schema's name is taken by somebody else.
    """
    _check(source, clickhouse)
    _connectors(deployed.connect.url)
    _objects(clickhouse)
    _topics(deployed.kafka)
    _slots(source, deployed.slot)
    _publications(source)
    source.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SPACE)))


def _check(source: psycopg.Connection[Any], clickhouse: Client) -> None:
    schema = source.execute(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s", [SPACE]
    ).fetchone()
    database = clickhouse.query(
        "SELECT comment FROM system.databases WHERE name = {d:String}", {"d": SPACE}
    ).result_rows
    for what, found in (
        ("the source has a schema", schema),
        ("ClickHouse has a database", database[0] if database else None),
    ):
        if found is not None and found[0] != MARK:
            raise BenchError(f"{what} {SPACE} that is not the bench's: rename it to measure here")


def _connectors(url: str) -> None:
    answer = requests.get(f"{url}/connectors", timeout=ASK)
    answer.raise_for_status()
    for name in answer.json():
        if name.startswith(PREFIX):
            # With its stored position, which would outlive it.
            ConnectorProvider().delete(name, {"connector": name, "url": url})


def _objects(clickhouse: Client) -> None:
    rows = clickhouse.query(
        "SELECT name, engine FROM system.tables WHERE database = {d:String} "
        # The flow stops first: a queue without its views would go on reading.
        "ORDER BY engine != 'MaterializedView', engine != 'Kafka'",
        {"d": SPACE},
    ).result_rows
    for name, engine in rows:
        if engine in ("MaterializedView", "Kafka"):
            clickhouse.command(f"DROP TABLE IF EXISTS {SPACE}.{ch_ident(name)} SYNC")
    clickhouse.command(f"DROP DATABASE IF EXISTS {SPACE} SYNC")
    shared = clickhouse.query(
        "SELECT table FROM system.columns WHERE database = 'cdc' AND name = 'source' AND table IN "
        "(SELECT name FROM system.tables WHERE database = 'cdc' AND engine LIKE '%MergeTree')"
    ).result_rows
    for (table,) in shared:
        ours = f"startsWith(source, {ch_string(SPACE + '.')})"
        name = f"cdc.{ch_ident(table)}"
        if clickhouse.query(f"SELECT count() FROM {name} WHERE {ours}").result_rows[0][0]:
            clickhouse.command(f"DELETE FROM {name} WHERE {ours}")


def _topics(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    groups = admin.list_consumer_groups(request_timeout=ASK).result().valid
    for group in groups:
        if group.group_id.startswith(f"clickhouse.{SPACE}."):
            until(lambda name=group.group_id: _without(admin, name), LEAVE, "a consumer leaving")  # type: ignore[misc]
    topics = [name for name in admin.list_topics(timeout=ASK).topics if name.startswith(PREFIX)]
    if topics:
        for gone in admin.delete_topics(topics, request_timeout=ASK).values():
            gone.result()


def _without(admin: AdminClient, group: str) -> bool:
    try:
        admin.delete_consumer_groups([group], request_timeout=ASK)[group].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            raise
    return True


def _slots(source: psycopg.Connection[Any], used: str) -> None:
    found = source.execute(
        "SELECT slot_name FROM pg_replication_slots WHERE starts_with(slot_name, %s) "
        "AND slot_name <> %s AND database = current_database()",
        [PREFIX, used],
    ).fetchall()
    for (slot,) in found:

        def dropped(name: str = slot) -> bool:
            source.execute(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                "WHERE slot_name = %s AND active",
                [name],
            )
            source.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                "WHERE slot_name = %s",
                [name],
            )
            return True

        until(dropped, LEAVE, f"dropping slot {slot}")


def _publications(source: psycopg.Connection[Any]) -> None:
    found = source.execute(
        "SELECT pubname FROM pg_publication WHERE starts_with(pubname, %s)", [PREFIX]
    ).fetchall()
    for (name,) in found:
        source.execute(sql.SQL("DROP PUBLICATION {}").format(sql.Identifier(name)))
