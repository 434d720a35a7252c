"""The sample and the workload against a real Postgres."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from ops import workload
from ops.sample import TABLES, seed
from ops.workload import run
from tests.local.scratch import postgres

SCHEMA = Path(__file__).parents[2] / "sql" / "postgres" / "inventory.sql"
UNTIL = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)
# What a run of the workload says of itself in times is not for the seed to decide.
TIMES = ["created_at", "updated_at", "shipped_at", "delivered_at"]
TIMES += ["last_counted", "order_date", "order_time"]


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with postgres("inventory") as made:
        yield made


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as made:
        made.execute("DROP SCHEMA IF EXISTS inventory CASCADE")
        made.execute(SCHEMA.read_bytes())
        yield made


def fill(conn: psycopg.Connection) -> dict[str, int]:
    return seed(conn, customers=60, products=20, orders=1_500, until=UNTIL)


def counts(conn: psycopg.Connection) -> dict[str, int]:
    found = {}
    for table in TABLES:
        row = conn.execute(f"SELECT count(*) FROM inventory.{table}".encode()).fetchone()
        assert row is not None
        found[table] = row[0]
    return found


def contents(conn: psycopg.Connection) -> dict[str, list[str]]:
    return {
        table: [
            row[0]
            for row in conn.execute(
                f"SELECT (to_jsonb(t) - %s::text[])::text FROM inventory.{table} t"
                " ORDER BY 1".encode(),
                [TIMES],
            )
        ]
        for table in TABLES
    }


def one(conn: psycopg.Connection, query: str) -> int:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_the_schema_can_be_applied_again(conn: psycopg.Connection) -> None:
    fill(conn)
    before = contents(conn)
    conn.execute(SCHEMA.read_bytes())
    assert contents(conn) == before


def test_a_table_with_rows_is_never_seeded(conn: psycopg.Connection) -> None:
    assert fill(conn) == counts(conn)
    before = contents(conn)
    assert fill(conn) == {}
    assert contents(conn) == before


def test_the_sample_contradicts_itself_nowhere(conn: psycopg.Connection) -> None:
    fill(conn)
    shipped = "status IN ('SHIPPED', 'DELIVERED')"
    for contradiction in (
        f"orders o WHERE {shipped} AND NOT EXISTS (SELECT FROM inventory.shipments"
        " WHERE order_id = o.id)",
        f"shipments s JOIN inventory.orders o ON o.id = s.order_id WHERE NOT ({shipped})"
        " OR (o.status = 'DELIVERED') <> (delivered_at IS NOT NULL) OR shipped_at < o.created_at",
        "orders WHERE updated_at < created_at OR updated_at > '2024-03-01 15:30Z'"
        " OR (created_at AT TIME ZONE 'UTC') <> order_date + order_time",
    ):
        assert one(conn, f"SELECT count(*) FROM inventory.{contradiction}") == 0, contradiction


def test_the_next_order_follows_the_sample(conn: psycopg.Connection) -> None:
    fill(conn)
    row = conn.execute(
        "INSERT INTO inventory.orders (purchaser, quantity, product_id, unit_price)"
        " VALUES (1, 3, 2, 1.5) RETURNING id, order_number, total_amount::text"
    ).fetchone()
    assert row == (1_501, "ORD-101501", "4.50")


def test_the_workload_counts_what_it_committed(conn: psycopg.Connection, dsn: str) -> None:
    fill(conn)
    before = sum(counts(conn).values())
    result = run(dsn, rows=8_000, seed=3)
    assert result.ended == "rows"
    assert result.rows == result.inserted + result.updated + result.deleted >= 8_000
    assert result.rows == sum(result.per_table.values())
    assert sum(counts(conn).values()) - before == result.inserted - result.deleted
    assert min(result.inserted, result.updated, result.deleted) > 0
    assert result.conflicts == 0


def test_the_same_seed_makes_the_same_changes(conn: psycopg.Connection, dsn: str) -> None:
    states = []
    for _ in range(2):
        conn.execute("DROP SCHEMA inventory CASCADE")
        conn.execute(SCHEMA.read_bytes())
        fill(conn)
        run(dsn, rows=3_000, rate=100_000, seed=11)
        # Rolled back transactions use up numbers of the sequences: the same ones.
        states.append(contents(conn))
    assert states[0] == states[1]


def test_inserts_alone_end_on_the_very_row(conn: psycopg.Connection, dsn: str) -> None:
    fill(conn)
    before = counts(conn)["orders"]
    assert run(dsn, rows=1_234, mix={"insert"}).rows == 1_234
    assert counts(conn)["orders"] == before + 1_234


def test_a_rolled_back_transaction_is_not_counted(
    conn: psycopg.Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(conn)
    monkeypatch.setattr(workload, "ROLLED_BACK", 0.5)
    before = sum(counts(conn).values())
    result = run(dsn, rows=5_000)
    assert result.rolled_back > 3
    assert sum(counts(conn).values()) - before == result.inserted - result.deleted


def test_stock_that_moves_changes_its_key_and_keeps_its_rows(
    conn: psycopg.Connection, dsn: str
) -> None:
    fill(conn)
    keys = "SELECT product_id, warehouse FROM inventory.inventory ORDER BY 1, 2"
    before = conn.execute(keys.encode()).fetchall()
    result = run(dsn, rows=3_000, rate=50_000, mix={"update"})
    after = conn.execute(keys.encode()).fetchall()
    assert result.key_changes > 0
    assert len(after) == len(before)
    assert after != before


def test_deleting_ends_when_nothing_is_left(conn: psycopg.Connection, dsn: str) -> None:
    fill(conn)
    result = run(dsn, rows=10**9, mix={"delete"})
    assert result.ended == "nothing left to delete"
    assert counts(conn)["orders"] == counts(conn)["shipments"] == 0


def test_two_workloads_at_once_lose_no_count(conn: psycopg.Connection, dsn: str) -> None:
    fill(conn)
    before = sum(counts(conn).values())
    results = []
    threads = [
        threading.Thread(target=lambda seed=seed: results.append(run(dsn, rows=3_000, seed=seed)))
        for seed in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    change = sum(result.inserted - result.deleted for result in results)
    assert sum(counts(conn).values()) - before == change


def test_stop_ends_a_workload_without_an_end(conn: psycopg.Connection, dsn: str) -> None:
    fill(conn)
    stop = threading.Event()
    result = run(dsn, rate=1_000, stop=stop, progress=lambda _what, _done, _total: stop.set())
    assert (result.ended, result.transactions) == ("stopped", 1)
