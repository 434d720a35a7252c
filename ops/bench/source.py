"""The bench's tables in the source, and who writes into them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from catalog.names import pg_qualified
from ops.bench.figures import Commit
from ops.bench.names import MARK, SPACE
from ops.progress import Progress
from ops.workload import Pacer

UPDATED = 0.3  # share of the changes that are updates; the others are inserts
TRANSACTIONS_PER_SECOND = 50
UNPACED_TRANSACTION = 2_000

# An order as a shop has it: the types that most tables are made of.
_COLUMNS = """
    id bigint PRIMARY KEY,
    customer_id integer NOT NULL,
    product_id integer NOT NULL,
    reference uuid NOT NULL,
    status text NOT NULL,
    quantity integer NOT NULL,
    unit_price numeric(10, 2) NOT NULL,
    gift boolean NOT NULL,
    ordered_on date NOT NULL,
    note text,
    updated_at timestamptz NOT NULL
"""
_ROWS = """
SELECT i, i %% 10007, i %% 997, md5(i::text)::uuid,
    (ARRAY['PENDING', 'PAID', 'SHIPPED', 'DELIVERED'])[1 + i %% 4], 1 + i %% 9, i %% 100000 / 100.0,
    i %% 10 = 0, date '2024-01-01' + (i %% 700)::integer,
    CASE WHEN i %% 3 = 0 THEN 'Order ' || i || ', please leave it at the door' END,
    clock_timestamp()
FROM generate_series(%s::bigint, %s::bigint) AS i
"""
_SUMMED = ("id", "quantity", "unit_price", "customer_id")
_SUMS = "count(*), count(note), " + ", ".join(f"coalesce(sum({name}), 0)" for name in _SUMMED)


def make(source: psycopg.Connection[Any], tables: Sequence[str], reader: str) -> None:
    """Makes empty tables (`cdc_bench.x`) that `reader`, the connector's role, may read."""
    schema, role = sql.Identifier(SPACE), sql.Identifier(reader)
    with source.transaction():
        source.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        source.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(schema, sql.Literal(MARK)))
        source.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
        for each in tables:
            name = pg_qualified(each)
            source.execute(f"CREATE TABLE {name} ({_COLUMNS})".encode())
            source.execute(f"ALTER TABLE {name} REPLICA IDENTITY FULL".encode())
            source.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(sql.SQL(name), role))


def fill(source: psycopg.Connection[Any], table: str, rows: int) -> None:
    """Inserts that many rows into an empty table, in one statement, and vacuums it."""
    name = pg_qualified(table)
    source.execute(f"INSERT INTO {name} {_ROWS}".encode(), [1, rows])
    source.execute(f"VACUUM ANALYZE {name}".encode())


def sums(source: psycopg.Connection[Any], table: str) -> tuple[Any, ...]:
    """What both sides must agree on."""
    row = source.execute(f"SELECT {_SUMS} FROM {pg_qualified(table)}".encode()).fetchone()
    assert row is not None
    return tuple(row)


def sums_query(target: str) -> str:
    """The same of `target`, quoted, in ClickHouse."""
    return f"SELECT {_SUMS} FROM {target}"


class Writer:
    """Writes transactions into the tables in turn: updates of older rows, then inserts.

    The inserts come last and their ids grow, so whoever sees a transaction's last id sees all of it
    (one topic partition keeps the order).
    """

    def __init__(self, connection: psycopg.Connection[Any], tables: Sequence[str]) -> None:
        self._connection = connection
        self._names = [pg_qualified(table) for table in tables]
        self.last = [0] * len(tables)
        self._turn = 0
        self._random = random.Random(1)  # noqa: S311 - no secret

    def write(self, rows: int) -> Commit:
        """One transaction of `rows` changes."""
        table = self._turn % len(self._names)
        self._turn += 1
        name, last = self._names[table], self.last[table]
        updates = int(rows * UPDATED) if last >= rows else 0
        inserts = rows - updates
        connection = self._connection
        with connection.transaction():
            if updates:
                connection.execute(
                    f"UPDATE {name} SET status = 'CHANGED', quantity = quantity + 1, "
                    "updated_at = clock_timestamp() WHERE id = ANY(%s)".encode(),
                    [self._random.sample(range(1, last + 1), updates)],
                )
            connection.execute(f"INSERT INTO {name} {_ROWS}".encode(), [last + 1, last + inserts])
            sent = time.perf_counter()
        self.last[table] = last + inserts
        return Commit(at=sent, rows=rows, first=last + 1, last=last + inserts)

    def paced(self, rate: int, seconds: float, progress: Callable[[float], None]) -> list[Commit]:
        """`rate` rows a second for that long; `progress` is told the seconds that have passed."""
        pacer, began, commits = Pacer(rate), time.perf_counter(), []
        rows = max(1, rate // TRANSACTIONS_PER_SECOND)
        while (passed := time.perf_counter() - began) < seconds:
            progress(passed)
            commits.append(self.write(rows))
            time.sleep(pacer.delay(rows))
        return commits

    def unpaced(self, rows: int, progress: Progress, what: str) -> list[Commit]:
        """`rows` changes as fast as it can."""
        commits: list[Commit] = []
        written = 0
        while written < rows:
            commits.append(self.write(min(UNPACED_TRANSACTION, rows - written)))
            written += commits[-1].rows
            progress(what, written, rows)
        return commits
