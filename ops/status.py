"""What runs, where, and how far each table is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import requests
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from catalog.introspect import replica_identities
from catalog.names import ch_qualified
from ops.backfill.under_way import UnderWay, under_way
from ops.lag import seconds_behind
from ops.parity import slot_fault
from ops.stack import ClickHouse, Deployed
from platforms.processes import MIB
from platforms.runtime import Running
from providers.connector import cause

RECENT_SECONDS = 60
# What the platforms call a service that is up; a container's first check may be yet to come.
HEALTHY = ("running", "healthy", "starting")
_Question = Callable[[Deployed], tuple[str, str]]


class ServiceStatus(BaseModel):
    """One service. memory_mb: resident, in MiB. healthy: it answers a question of its own kind."""

    name: str
    healthy: bool
    state: str
    version: str
    address: str
    memory_mb: int
    uptime_seconds: int
    problem: str = ""


class TableStatus(BaseModel):
    """One captured table. lag_seconds: age of the oldest change ClickHouse has not taken yet.

    loading: of its existing rows, where that has begun and not finished.
    """

    table: str
    target: str
    rows: int
    lag_seconds: float | None
    events_per_second: float
    dead_letters: int
    loading: UnderWay | None = None


class Status(BaseModel):
    """A stack at one moment. slot_lag_bytes: log that the source keeps for the connector."""

    stack: str
    home: str
    healthy: bool
    services: list[ServiceStatus]
    tables: list[TableStatus]
    slot_lag_bytes: int | None
    problems: list[str]


def status(deployed: Deployed) -> Status:
    """Asks every service and every table. Whatever is down is part of the answer, no error."""
    running = deployed.runtime.services()
    services = [
        _service(deployed, name, ask, running.get(name))
        for name, ask in _questions(deployed).items()
    ]
    services += [_beside(deployed, name, running.get(name)) for name in sorted(deployed.beside)]
    problems = [f"{each.name}: {each.problem}" for each in services if each.problem]
    tables: list[TableStatus] = []
    slot_lag = None
    up = {each.name for each in services if each.healthy}
    asked = [node for node in deployed.clickhouse_nodes if node in up]
    if asked and up & deployed.brokers.keys():
        tables = _tables(deployed, deployed.clickhouse_at(asked[0]))
    if "postgres" in up:
        slot_lag = _slot_lag(deployed)
        if broken := slot_fault(deployed):
            # Which is also what keeps the connector from running.
            workers = deployed.connect.workers
            problems = [each for each in problems if each.split(":")[0] not in workers] + [broken]
        problems += _identities(deployed)
    return Status(
        stack=deployed.stack,
        home=deployed.runtime.keeps,
        healthy=not problems,
        services=services,
        tables=tables,
        slot_lag_bytes=slot_lag,
        problems=problems,
    )


def render(found: Status, console: Console) -> None:
    """Two tables for people."""
    services = Table(title=f"Services of stack {found.stack}", title_justify="left")
    for heading in ("service", "state", "version", "address", "memory", "up for"):
        services.add_column(heading, justify="right" if heading in ("memory", "up for") else "left")
    for each in found.services:
        colour = "green" if each.healthy else "red"
        services.add_row(
            each.name,
            f"[{colour}]{each.state}[/]",
            each.version,
            each.address,
            f"{each.memory_mb} MB" if each.memory_mb else "",
            _duration(each.uptime_seconds) if each.uptime_seconds else "",
        )
    total = sum(each.memory_mb for each in found.services)
    services.add_row("all", "", "", "", f"{total} MB", "", end_section=True)
    console.print(services)
    if found.tables:
        tables = Table(title="Captured tables", title_justify="left")
        for heading in ("table", "in ClickHouse", "rows", "lag", "events/s", "dead letters"):
            tables.add_column(heading, justify="left" if "ta" in heading[:2] else "right")
        for row in found.tables:
            tables.add_row(
                escape(row.table),
                escape(row.target),
                f"{row.rows:,}",
                _lag(row),
                f"{row.events_per_second:.1f}",
                f"[red]{row.dead_letters}[/]" if row.dead_letters else "0",
            )
        console.print(tables)
    for problem in found.problems:
        console.print(f"[red]problem:[/] {escape(problem)}", highlight=False)


def _service(
    deployed: Deployed,
    name: str,
    ask: _Question,
    running: Running | None,
) -> ServiceStatus:
    ours = name != "postgres" or deployed.own_postgres
    version, address, problem = "", "", ""
    try:
        version, address = ask(deployed)
    except Exception as error:  # noqa: BLE001 - whatever it says is what is wrong with it
        lines = str(error).strip().splitlines() or [type(error).__name__]
        problem = lines[0] + (f" (log: {deployed.runtime.log(name)})" if ours else "")
    running = running or Running("stopped" if ours else "existing")
    return _told(name, running, version, address, problem)


def _beside(deployed: Deployed, name: str, running: Running | None) -> ServiceStatus:
    """A service that is none of the data path's: as the platform's own health check finds it."""
    running = running or Running("stopped")
    version, address, problem = "", deployed.beside[name], ""
    if running.state not in HEALTHY:
        problem = f"{running.state} (log: {deployed.runtime.log(name)})"
    elif name in _VERSIONS:
        path, *keys = _VERSIONS[name]
        try:
            answer: Any = requests.get(f"{address}{path}", timeout=5).json()
            for key in keys:
                answer = answer[key]
            version = str(answer)
        except (requests.RequestException, LookupError, TypeError) as error:
            problem = f"no answer at {address}{path}: {type(error).__name__}"
    return _told(name, running, version, address, problem)


def _told(name: str, running: Running, version: str, address: str, problem: str) -> ServiceStatus:
    return ServiceStatus(
        name=name,
        healthy=not problem,
        state=running.state,
        version=version,
        address=address,
        memory_mb=running.memory // MIB,
        uptime_seconds=int(running.seconds),
        problem=problem,
    )


def _postgres(deployed: Deployed) -> tuple[str, str]:
    with deployed.postgres.connect() as connection:
        row = connection.execute("SHOW server_version").fetchone()
    at = deployed.postgres
    return f"PostgreSQL {row[0] if row else ''}", f"{at.host}:{at.port}/{at.database}"


def _kafka(address: str, deployed: Deployed) -> tuple[str, str]:
    del deployed
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        cluster = admin.describe_cluster(request_timeout=5).result()
    except KafkaException as error:
        raise ConnectionError(error.args[0].str()) from error
    return f"KRaft, {len(cluster.nodes)} broker(s)", address


def _connect(url: str, asked: bool, deployed: Deployed) -> tuple[str, str]:
    """A worker; of the connector's own state, which all of them know, one is asked."""
    name = deployed.connect.connector
    version = f"Connect {requests.get(f'{url}/', timeout=5).json()['version']}"
    if not asked:
        return version, url
    answer = requests.get(f"{url}/connectors/{name}/status", timeout=5)
    if answer.status_code != 200:
        raise RuntimeError(f"connector {name} is not registered: run `./cdc up`")
    parts = [answer.json()["connector"], *answer.json()["tasks"]]
    if failed := [part for part in parts if part["state"] != "RUNNING"]:
        trace = failed[0].get("trace", "")
        told = f": {cause(trace)}" if trace else ""
        raise RuntimeError(f"connector {name} is {failed[0]['state']}{told}")
    return version, url


def _answering(urls: Sequence[str]) -> str:
    """The first that answers at all, the first of them where none does."""
    for url in urls:
        try:
            requests.get(f"{url}/", timeout=5)
        except requests.RequestException:
            continue
        return url
    return urls[0]


def _clickhouse(node: str, deployed: Deployed) -> tuple[str, str]:
    at = deployed.clickhouse_at(node)
    with at.client() as client:
        version = client.command("SELECT version()")
    return f"ClickHouse {version}", f"http://{at.host}:{at.port}"


def _questions(deployed: Deployed) -> dict[str, _Question]:
    """What to ask each service; it answers with its version and address, or raises."""
    workers = deployed.connect.workers
    asked = _answering(list(workers.values()))
    return {
        "postgres": _postgres,
        **{name: partial(_kafka, address) for name, address in deployed.brokers.items()},
        **{name: partial(_connect, url, url == asked) for name, url in workers.items()},
        **{node: partial(_clickhouse, node) for node in deployed.clickhouse_nodes},
    }


# Where each tells its version, and under which keys of the answer.
_VERSIONS = {
    "prometheus": ("/api/v1/status/buildinfo", "data", "version"),
    "alertmanager": ("/api/v2/status", "versionInfo", "version"),
    "grafana": ("/api/health", "version"),
    "kafka-ui": ("/actuator/info", "build", "version"),
}


def _tables(deployed: Deployed, node: ClickHouse) -> list[TableStatus]:
    behind = seconds_behind(deployed.kafka, deployed.tables)
    found = []
    with node.client() as client:
        loads = under_way(client)
        for table in deployed.tables:
            name = table.source.qualified
            history = ch_qualified(f"{table.target}_history")
            rows: Any = client.command(f"SELECT count() FROM {ch_qualified(table.target)}")
            recent: Any = client.command(
                f"SELECT count() FROM {history} "
                f"WHERE _synced_at > now() - INTERVAL {RECENT_SECONDS} SECOND"
            )
            dead: Any = client.command(
                "SELECT count() FROM cdc.dead_letters FINAL WHERE source = {s:String}", {"s": name}
            )
            found.append(
                TableStatus(
                    table=name,
                    target=table.target,
                    rows=int(rows),
                    lag_seconds=behind[name],
                    events_per_second=int(recent) / RECENT_SECONDS,
                    dead_letters=int(dead),
                    loading=loads.get(name),
                )
            )
    return found


def _lag(table: TableStatus) -> str:
    if table.loading is not None:
        return str(table.loading)
    return "?" if table.lag_seconds is None else f"{table.lag_seconds:.1f} s"


def _slot_lag(deployed: Deployed) -> int | None:
    with deployed.postgres.connect() as connection:
        row = connection.execute(
            "SELECT (pg_current_wal_lsn() - confirmed_flush_lsn)::bigint "
            "FROM pg_replication_slots WHERE slot_name = %s AND wal_status <> 'lost'",
            [deployed.slot],
        ).fetchone()
    return None if row is None else int(row[0])


def _identities(deployed: Deployed) -> list[str]:
    """A sentence for each captured table whose changes don't carry the whole old row."""
    found = []
    with deployed.postgres.connect() as connection:
        for table in deployed.tables:
            name = table.source.qualified
            identities = replica_identities(connection, name)
            lacking = [each for each, identity in identities.items() if identity != "FULL"]
            if lacking:
                found.append(
                    f"{name}: {', '.join(lacking)} without REPLICA IDENTITY FULL, so that updates "
                    "and deletes may become dead letters: `./cdc up` sets it"
                )
    return found


def _duration(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
