"""What every measurement works with: the stack, its settings, and the meters."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import requests
from clickhouse_connect.driver.client import Client

from catalog.objects import KafkaSettings
from ops.bench import leftovers
from ops.bench.model import BenchError
from ops.bench.names import SPACE
from ops.bench.sizes import Sizes
from ops.progress import Progress
from ops.stack import Deployed
from platforms.runtime import Running

SERVICES = ("postgres", "kafka", "connect", "clickhouse")
BENCH = "bench"
# Held while a run lasts; a killed run's goes with its session.
_LOCK = "SELECT pg_try_advisory_lock(hashtext('cdc_bench'))"


@dataclass(frozen=True)
class Rig:
    """connector: the running connector's configuration. queue: how the stack's queues read."""

    deployed: Deployed
    source: psycopg.Connection[Any]
    clickhouse: Client
    connector: Mapping[str, str]
    queue: KafkaSettings
    sizes: Sizes
    progress: Progress

    def cpu(self) -> dict[str, float]:
        """Processor seconds so far, of each service that runs here and of this process."""
        used = {name: sum(each.cpu_seconds for each in of) for name, of in self._running().items()}
        return {**used, BENCH: time.process_time()}

    def memory(self) -> dict[str, int]:
        """Bytes each service that runs here holds."""
        return {name: sum(each.memory for each in of) for name, of in self._running().items()}

    def _running(self) -> dict[str, list[Running]]:
        """The processes or containers of each service that runs here."""
        running = self.deployed.runtime.services()
        several = {"kafka": self.deployed.brokers, "connect": self.deployed.connect.workers}
        found = {
            name: [running[each] for each in several.get(name, [name]) if each in running]
            for name in SERVICES
        }
        return {name: of for name, of in found.items() if of}

    def lsn(self) -> int:
        """The source's log position."""
        row = self.source.execute("SELECT (pg_current_wal_lsn() - '0/0')::bigint").fetchone()
        assert row is not None
        return int(row[0])

    def one(self, query: str) -> Any:
        """The only value of a query's only row in ClickHouse."""
        return self.clickhouse.query(query).result_rows[0][0]


@contextmanager
def rig(deployed: Deployed, sizes: Sizes, progress: Progress) -> Iterator[Rig]:
    """Opens everything, and takes away at the end what was made; first what a killed run left.

    Raises BenchError where another run is at work, or the stack captures what the bench would make.
    """
    if any(SPACE in (table.source.schema_, table.database) for table in deployed.tables):
        raise BenchError(f"this stack captures {SPACE}, the name under which bench makes its own")
    if len(deployed.clickhouse_nodes) > 1:
        raise BenchError("bench makes tables for one ClickHouse, and this stack has several")
    with deployed.postgres.connect() as source, deployed.clickhouse.client() as clickhouse:
        if source.execute(_LOCK).fetchone() != (True,):
            raise BenchError("another `./cdc bench` works on this source: wait for it to end")
        made = Rig(
            deployed,
            source,
            clickhouse,
            _connector(deployed),
            _queue(deployed, clickhouse),
            sizes,
            progress,
        )
        leftovers.remove(deployed, source, clickhouse)
        try:
            yield made
        finally:
            leftovers.remove(deployed, source, clickhouse)


def _connector(deployed: Deployed) -> Mapping[str, str]:
    url, name = deployed.connect.url, deployed.connect.connector
    answer = requests.get(f"{url}/connectors/{name}/config", timeout=30)
    if answer.status_code != requests.codes.ok:
        raise BenchError(f"connector {name} is not registered: run `./cdc up`")
    return dict(answer.json())


def _queue(deployed: Deployed, clickhouse: Client) -> KafkaSettings:
    """From a queue that is there: what runs counts, not what is configured."""
    table = deployed.tables[0]
    found = clickhouse.query(
        "SELECT create_table_query FROM system.tables "
        "WHERE database = {d:String} AND name = {t:String}",
        {"d": table.database, "t": f"{table.table}_queue"},
    ).result_rows
    if not found:
        raise BenchError(f"{table.target} has no queue in ClickHouse: run `./cdc up`")
    settings = queue_settings(found[0][0])
    return KafkaSettings(
        bootstrap=settings["kafka_broker_list"],
        flush_ms=int(settings["kafka_flush_interval_ms"]),
        poll_timeout_ms=int(settings["kafka_poll_timeout_ms"]),
        max_block_size=int(settings["kafka_max_block_size"]),
    )


def queue_settings(statement: str) -> dict[str, str]:
    """The `kafka_…` settings of a queue's CREATE statement."""
    found = re.findall(r"\b(kafka_\w+) = (?:'([^']*)'|(\d+))", statement)
    return {name: text or number for name, text, number in found}
