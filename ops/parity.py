"""Proving a stack: source against target, told to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from catalog.cluster import CATCH_UP
from catalog.model import CapturedTable
from ops.position import CaughtUp, KafkaPosition
from ops.progress import Progress
from ops.stack import Deployed
from ops.verify import VerificationError, verify
from ops.verify.model import TableReport
from ops.verify.snapshot import lsn
from providers.heartbeat import BEAT
from providers.slot import fault


def prove(
    deployed: Deployed,
    names: list[str],
    *,
    progress: Progress,
    max_keys: int = 20,
    wait_seconds: float = 60.0,
    max_load: int = 100,
    threads: int = 1,
) -> list[TableReport]:
    """Compares the captured tables `names` (all without any) with the source, row by row.

    Raises StackError for a name that isn't captured; see ops.verify.verify for the rest.
    """
    tables = deployed.chosen(names)
    if broken := slot_fault(deployed):
        raise VerificationError(broken)
    with deployed.clickhouse.client() as client:
        caught_up: CaughtUp = position(deployed, tables)
        if len(deployed.clickhouse_nodes) > 1:
            caught_up = and_copied(caught_up, client)
        return verify(
            lambda: deployed.postgres.connect(autocommit=False),
            client,
            tables,
            caught_up=caught_up,
            progress=progress,
            max_keys=max_keys,
            wait_seconds=wait_seconds,
            max_load=max_load,
            threads=threads,
        )


def and_copied(caught_up: CaughtUp, client: Client) -> CaughtUp:
    """Waits also for what other servers wrote into tables that are whole on each of them."""

    def both(lsn: int, deadline: float) -> Mapping[str, str]:
        behind = caught_up(lsn, deadline)
        for statement in CATCH_UP:
            client.command(statement)
        return behind

    return both


def position(deployed: Deployed, tables: Sequence[CapturedTable]) -> KafkaPosition:
    """Waits for the stack's stream."""

    def beat() -> None:
        with deployed.postgres.connect() as connection:
            connection.execute(BEAT)

    return KafkaPosition(deployed.kafka, deployed.heartbeat_topic, beat, tables)


def slot_fault(deployed: Deployed) -> str:
    """What happened to the slot and what heals it, '' while nothing did."""
    with deployed.postgres.connect() as connection:
        broken = fault(connection, deployed.slot, deployed.connect.connector_url)
    if not broken:
        return ""
    return (
        f"{broken}. What was changed since is in no log any more: "
        "`./cdc resync` makes a new slot and loads all tables again"
    )


def render(reports: Sequence[TableReport], console: Console) -> None:
    """One line a table, then what differs, by key."""
    table = Table(title="Source against ClickHouse, every row and value", title_justify="left")
    for heading in ("table", "equal", "rows", "in ClickHouse", "checksum", "caught up in", "at"):
        table.add_column(
            heading, justify="right" if heading in ("rows", "in ClickHouse") else "left"
        )
    for each in reports:
        table.add_row(
            escape(each.table),
            "[green]yes[/]" if each.equal else "[red]NO[/]",
            f"{each.source_rows:,}",
            f"{each.target_rows:,}",
            each.checksum_source,
            f"{each.lag_seconds:.2f} s",
            each.position,
        )
    console.print(table)
    for each in reports:
        _differences(each, console)
    if reports:
        console.print(_fresh(reports), markup=False, highlight=False)


def _fresh(reports: Sequence[TableReport]) -> str:
    """How old the answer is: about which states of the source it is."""
    first = min(reports, key=lambda each: each.checked_at)
    last = max(reports, key=lambda each: lsn(each.last_position)).last_position
    positions = first.position if last == first.position else f"{first.position} to {last}"
    # Later tables may have been compared at a later position than the first one.
    ages = [each.age_seconds for each in reports if each.checked_at == first.checked_at]
    return (
        f"As of position {positions} of the source's log: what was committed by "
        f"{first.checked_at:%Y-%m-%d %H:%M:%S} UTC, {max(ages):.1f} s ago"
    )


def _differences(report: TableReport, console: Console) -> None:
    def say(text: str) -> None:
        console.print(f"{report.table}: {text}", markup=False, highlight=False)

    if report.problem:
        say(report.problem)
    for what, count, keys in (
        ("missing in ClickHouse", report.missing_rows, report.missing),
        ("in ClickHouse only", report.extra_rows, report.extra),
    ):
        if count:
            listed = ", ".join(_key(key) for key in keys)
            say(f"{count} row(s) {what}: {listed}{' …' if count > len(keys) else ''}")
    if report.different_rows:
        say(f"{report.different_rows} row(s) differ:")
        for row in report.different:
            for column in row.columns:
                say(
                    f"  {_key(row.key)} {column.column}: "
                    f"{column.source!r} in the source, {column.target!r} in ClickHouse"
                )
    for difference in report.schema_differences:
        say(
            f"column {difference.column} ({difference.source}) is "
            f"{difference.target or 'missing'} in ClickHouse, expected {difference.expected}"
        )
    if report.dead_letters:
        say(f"{report.dead_letters} dead letter(s): ./cdc dead-letters list")


def _key(key: dict[str, str | None]) -> str:
    return ",".join(f"{name}={value}" for name, value in key.items())
