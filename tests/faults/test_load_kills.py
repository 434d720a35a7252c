"""kill -9 of a load at random moments, beside writers, and every row and value after it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

from ops.stack import Deployed
from tests.checkout import Checkout, checkout, kill_group
from tests.seeds import run_seed

SEED = run_seed()
KILLS = 10  # in the middle of a load
ATTEMPTS = 40  # some come before its first range or after its last
ROWS = 400_000
TABLE = "inventory.many"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with checkout(tmp_path_factory.mktemp("clone")) as copy:
        done = copy.cdc("up", "--no-seed")
        assert done.returncode == 0, done.stdout + done.stderr
        yield copy


def test_a_load_that_is_killed_again_and_again_ends_exact(project: Checkout) -> None:
    chance = random.Random(SEED)
    print(f"CDC_TEST_SEED={SEED}")
    deployed = project.deployed()
    with deployed.postgres.connect() as connection:
        connection.execute(
            f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, note text NOT NULL, at timestamptz)"
        )
        connection.execute(
            f"INSERT INTO {TABLE} SELECT n, repeat('x', 600), now() "
            f"FROM generate_series(1, {ROWS}) n"
        )
    project.capture(add=(TABLE,))
    stop = threading.Event()
    writer = threading.Thread(target=_write, args=(deployed, chance.random(), stop))
    writer.start()
    try:
        # The first load is `up`'s; once that is done, others are begun by hand.
        begin = ("up", "--no-seed")
        middle = 0
        for _ in range(ATTEMPTS):
            running = project.start(*project.command(*begin))
            while not _copying(deployed) and running.poll() is None:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 2))
            kill_group(running)
            middle += _ranges_left(deployed) > 0
            if _loads(deployed) > 0:
                begin = ("resync", TABLE)
            if middle == KILLS:
                break
        assert middle == KILLS, (SEED, middle)
        done = project.cdc(*begin)
        assert done.returncode == 0, (SEED, done.stdout + done.stderr)
    finally:
        stop.set()
        writer.join()
    [report] = [each for each in project.verified() if each["table"] == TABLE]
    assert report["equal"], (SEED, report)
    assert report["source_rows"] > ROWS / 2


def _copying(deployed: Deployed) -> bool:
    with deployed.postgres.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s",
            ["COPY (SELECT%"],
        ).fetchone()
    return row is not None and row[0] > 0


def _ranges_left(deployed: Deployed) -> int:
    return _count(deployed, f"cdc.load_ranges FINAL WHERE source = '{TABLE}' AND NOT done")


def _loads(deployed: Deployed) -> int:
    return _count(deployed, f"cdc.loads FINAL WHERE source = '{TABLE}'")


def _count(deployed: Deployed, of: str) -> int:
    with deployed.clickhouse.client() as client:
        return int(client.query(f"SELECT count() FROM {of}").result_rows[0][0])


def _write(deployed: Deployed, seed: float, stop: threading.Event) -> None:
    """Inserts, updates, deletes, key changes; several to a transaction, some rolled back."""
    chance = random.Random(seed)
    with deployed.postgres.connect(autocommit=False) as connection:
        while not stop.is_set():
            for _ in range(chance.randrange(1, 20)):
                key = chance.randrange(1, ROWS)
                statement = chance.choice(
                    (
                        "UPDATE {} SET note = note || 'y' WHERE id = %s",
                        "DELETE FROM {} WHERE id = %s",
                        f"UPDATE {{}} SET id = id + {ROWS} WHERE id = %s AND NOT EXISTS "
                        f"(SELECT FROM {{}} AS o WHERE o.id = {TABLE}.id + {ROWS})",
                        "INSERT INTO {} VALUES (%s, 'new') ON CONFLICT (id) DO NOTHING",
                    )
                )
                connection.execute(statement.replace("{}", TABLE).encode(), [key])
            if chance.random() < 0.1:
                connection.rollback()
            else:
                connection.commit()
            time.sleep(0.01)
