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
from tests.unproven import unproven

pytestmark = unproven("it was never seen to its end: machines were busy")

SEED = run_seed()
KILLS = 3
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
            f"INSERT INTO {TABLE} SELECT n, repeat('x', 300), now() "
            f"FROM generate_series(1, {ROWS}) n"
        )
    project.capture(add=(TABLE,))
    stop = threading.Event()
    writer = threading.Thread(target=_write, args=(deployed, chance.random(), stop))
    writer.start()
    try:
        for kill in range(KILLS):
            # The first load is `up`'s; when it is done, another one is begun by hand.
            command = ("resync", TABLE) if kill == KILLS - 1 else ("up", "--no-seed")
            running = project.start(*project.command(*command))
            while _ranges(deployed) == 0:
                assert running.poll() is None, "it ended before it was killed"
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 2))
            kill_group(running)
            if kill == KILLS - 2:
                done = project.cdc("up", "--no-seed")
                assert done.returncode == 0, (SEED, done.stdout + done.stderr)
        done = project.cdc("resync", TABLE)
        assert done.returncode == 0, (SEED, done.stdout + done.stderr)
    finally:
        stop.set()
        writer.join()
    [report] = [each for each in project.verified() if each["table"] == TABLE]
    assert report["equal"], (SEED, report)
    assert report["source_rows"] > ROWS / 2


def _ranges(deployed: Deployed) -> int:
    with deployed.clickhouse.client() as client:
        return int(
            client.query(
                f"SELECT count() FROM cdc.load_ranges FINAL WHERE source = '{TABLE}'"
            ).result_rows[0][0]
        )


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
