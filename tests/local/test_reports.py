"""The analytics on a real ClickHouse, over the same tables a stack has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from rich.console import Console

from catalog.introspect import describe
from catalog.model import CaptureOptions, capture
from catalog.objects import KafkaSettings, platform_objects, table_objects
from catalog.reference import reference_objects
from ops.report import available, render, run_reports
from ops.sample import TABLES, seed
from tests.local.scratch import postgres

ROOT = Path(__file__).parents[2]
META = ("operation", "source_ts_ms", "processing_ts_ms", "_lsn", "_version", "_deleted", "_applied")


class Shop:
    """The sample in Postgres, and its tables in ClickHouse, filled by the test."""

    def __init__(self, sql: psycopg.Connection, client: Client) -> None:
        self.sql = sql
        self.client = client
        for table in platform_objects():
            client.command(table.create)
        for name in TABLES:
            generated = {"total_amount": "quantity * unit_price"} if name == "orders" else {}
            options = CaptureOptions(table=f"inventory.{name}", generated=generated)
            captured = capture(describe(sql, options.table), options, "test")
            for made in table_objects(captured, options, KafkaSettings("nowhere:1"), 0):
                if made.kind != "queue" and not made.name.endswith(f"{name}_mv"):
                    client.command(made.create)
        for made in reference_objects(ROOT / "sql" / "clickhouse" / "reference"):
            client.command(made.create)

    def arrive(
        self, name: str, operation: str, version: int = 0, where: str = "true", **changed: object
    ) -> None:
        cursor = self.sql.execute(f"SELECT * FROM inventory.{name} WHERE {where}".encode())
        assert cursor.description is not None
        names = [column.name for column in cursor.description]
        now = datetime.now(UTC)
        meta = [operation, now - timedelta(seconds=2), now, version, version, operation == "d", 1]
        rows: list[list[Any]] = []
        for row in cursor:
            values = dict(zip(names, row, strict=True)) | changed
            rows.append([str(v) if isinstance(v, dict) else v for v in values.values()] + meta)
        self.client.insert(
            f"{name}_parsed", rows, column_names=[*names, *META], database="inventory"
        )

    def report(self, name: str) -> list[dict[str, Any]]:
        [report] = run_reports(self.client, [name])
        return [dict(zip(report.columns, row, strict=True)) for row in report.rows]

    def refresh(self) -> dict[str, Any]:
        for verb in ("REFRESH", "WAIT"):
            self.client.command(f"SYSTEM {verb} VIEW inventory.orders_hourly_agg_mv")
        answer = self.client.query(
            "SELECT sum(events) AS events, sum(created) AS created, sum(deleted) AS deleted,"
            " sum(created_amount) AS amount FROM inventory.orders_hourly"
        )
        return dict(zip(answer.column_names, answer.result_rows[0], strict=True))


@pytest.fixture(scope="module")
def source() -> Iterator[psycopg.Connection]:
    with postgres("inventory") as dsn, psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute((ROOT / "sql" / "postgres" / "inventory.sql").read_bytes())
        seed(conn, customers=50, products=20, orders=2_000)
        yield conn


@pytest.fixture
def shop(source: psycopg.Connection, clickhouse: Client) -> Iterator[Shop]:
    try:
        yield Shop(source, clickhouse)
    finally:
        for database in ("inventory", "cdc"):
            clickhouse.command(f"DROP DATABASE IF EXISTS {database} SYNC")


def test_every_report_answers_with_and_without_data(shop: Shop) -> None:
    assert [report.name for report in run_reports(shop.client)] == list(available())
    for name in TABLES:
        shop.arrive(name, "c", 1)
    shop.refresh()
    console = Console(record=True, width=120)
    for report in run_reports(shop.client):
        assert report.rows, f"{report.name} shows nothing"
        render(report, console)
        assert report.title in console.export_text()


def test_figures_are_those_of_the_source(shop: Shop) -> None:
    for name in TABLES:
        shop.arrive(name, "r")
    statuses = shop.sql.execute(
        "SELECT status, count(*), sum(total_amount) FROM inventory.orders GROUP BY 1"
    ).fetchall()
    assert {
        (row["status"], row["orders"], row["amount"]) for row in shop.report("kpi_order_status")
    } == set(statuses)
    categories = shop.sql.execute(
        "SELECT category, sum(total_amount) FROM inventory.orders o JOIN inventory.products p"
        " ON p.id = product_id WHERE status <> 'CANCELLED' AND order_date > current_date - 30"
        " GROUP BY 1"
    ).fetchall()
    assert {(row["category"], row["revenue"]) for row in shop.report("kpi_categories")} == set(
        categories
    )


def test_a_redelivered_event_changes_no_figure(shop: Shop) -> None:
    for _ in range(2):
        shop.arrive("orders", "c", 1, "id <= 10")
        shop.arrive("orders", "d", 2, "id <= 3")
        figures = shop.refresh()
        assert (figures["events"], figures["created"], figures["deleted"]) == (13, 10, 3)
        row = shop.sql.execute(
            "SELECT sum(total_amount) FROM inventory.orders WHERE id <= 10"
        ).fetchone()
        assert row is not None
        assert figures["amount"] == Decimal(row[0])
        [health] = shop.report("daily_health")
        assert health["source_table"] == "inventory.orders"
        assert (health["events"], health["inserts"], health["deletes"]) == (13, 10, 3)
        assert 2 <= health["avg_latency_s"] <= health["max_latency_s"] < 60


def test_the_initial_load_is_no_event(shop: Shop) -> None:
    shop.arrive("orders", "r")
    assert shop.refresh()["events"] == 0
    assert shop.report("daily_health") == []


def test_an_unknown_report_is_named_with_those_there_are(shop: Shop) -> None:
    with pytest.raises(ValueError, match=r"no report kpi_profit: there are daily_health, kpi_"):
        run_reports(shop.client, ["kpi_profit"])
