"""kill -9 of Kafka Connect in the middle of Debezium's snapshot, and every row and value after it.

The snapshot begins anew then, and Debezium streams from where that one began: what was deleted in
between is in neither.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import psycopg
import pytest

from tests.pipeline import Pipeline, capturing

# So many that the snapshot takes more than SOME seconds: about 20,000 rows/s come by it.
ROWS = {"copied": 10_000, "streamed": 400_000}
SOME = 8.0
TABLES: list[str | dict[str, Any]] = ["s.copied", {"table": "s.streamed", "initial_load": "stream"}]
SCHEMA = "CREATE SCHEMA s;" + "".join(
    f"CREATE TABLE s.{name} (id int PRIMARY KEY, n int NOT NULL, note text);"
    f"INSERT INTO s.{name} SELECT n, n, 'note ' || n FROM generate_series(1, {rows}) n;"
    for name, rows in ROWS.items()
)
READING = """
SELECT client_port FROM pg_stat_activity
WHERE state IN ('active', 'idle in transaction') AND query LIKE 'SELECT%FROM "s"."streamed"%'
"""


@contextmanager
def _killed(dsn: str) -> Iterator[None]:
    """Kills the process that reads the table, once; changes rows as soon as it is gone."""
    stop, killed = threading.Event(), list[int]()

    def kill() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not stop.is_set() and not killed:
                for (port,) in connection.execute(READING):
                    time.sleep(SOME)  # until some of the rows are in Kafka
                    reader = _client(port, connection.info.port)
                    reader.kill()
                    reader.wait()
                    killed.append(reader.pid)
                    connection.execute("DELETE FROM s.streamed WHERE id % 3 = 0")
                    connection.execute("UPDATE s.streamed SET n = -n WHERE id % 5 = 0")
                    connection.execute("UPDATE s.streamed SET id = -id WHERE id % 7 = 0")
                    connection.execute("UPDATE s.copied SET n = -n WHERE id % 5 = 0")

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert len(killed) == 1


def _client(port: int, server: int) -> psutil.Process:
    """Who holds the client's end of a connection."""
    [pid] = {
        found.pid
        for found in psutil.net_connections("tcp")
        if found.raddr and (found.laddr.port, found.raddr.port) == (port, server)
    }
    return psutil.Process(pid)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with capturing(tmp_path_factory.mktemp("clone"), SCHEMA, TABLES, _killed) as made:
        yield made


def test_a_snapshot_that_is_killed_leaves_no_row_that_was_deleted_meanwhile(
    pipeline: Pipeline,
) -> None:
    [(snapshots,)] = pipeline.ask(
        "SELECT uniqExact(_lsn) FROM s.streamed_history WHERE operation = 'r' AND _txid != 0"
    )
    assert snapshots == 2, "none of the rows of the first are there"
    pipeline.assert_equal()
    pipeline.run("UPDATE s.streamed SET n = n + 1 WHERE id % 2 = 0")
    pipeline.assert_equal()
