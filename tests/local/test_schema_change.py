"""DDL on captured tables while somebody writes to them: nothing is lost, both sides end equal.

In order: all statements at once on tables of their own, what is seen before the next `up`, that
`up`, and those changes that it asks leave for.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator

import psycopg
import pytest

from tests.pipeline import Pipeline, capturing

# What is done to each table; every one begins as `_CREATE` makes it.
CHANGES = {
    "added": "ALTER TABLE s.added ADD COLUMN more text",
    "defaulted": "ALTER TABLE s.defaulted ADD COLUMN more int NOT NULL DEFAULT 7,"
    " ADD COLUMN cost numeric(8,3) DEFAULT 1.5, ADD COLUMN at timestamptz DEFAULT now(),"
    " ADD COLUMN said text DEFAULT E'it''s\\t\\\\N'",
    "volatile": "ALTER TABLE s.volatile ADD COLUMN token uuid DEFAULT gen_random_uuid(),"
    " ADD COLUMN number serial",
    "widened": "ALTER TABLE s.widened ALTER n TYPE bigint, ALTER price TYPE numeric(20,5),"
    " ALTER name TYPE text",
    "computed": "ALTER TABLE s.computed ALTER n TYPE bigint USING n * 1000",
    "renamed": "ALTER TABLE s.renamed RENAME COLUMN note TO remark",
    "dropped": "ALTER TABLE s.dropped DROP COLUMN note",
    "again": "ALTER TABLE s.again DROP COLUMN note; ALTER TABLE s.again ADD COLUMN note text",
    "mood": "ALTER TYPE s.feeling ADD VALUE 'new' BEFORE 'old'",
    "loosened": "ALTER TABLE s.loosened ALTER n DROP NOT NULL",
    "bag": "ALTER TABLE s.bag ADD COLUMN more int NOT NULL DEFAULT 7",
    "parts": "ALTER TABLE s.parts ADD COLUMN more int NOT NULL DEFAULT 7",
}
# These need cdc:allowDestructive.
DESTRUCTIVE = {
    "narrowed": "ALTER TABLE s.narrowed ALTER n TYPE smallint",
    "retyped": "ALTER TABLE s.retyped ALTER n TYPE text",
    "rekeyed": "ALTER TABLE s.rekeyed DROP CONSTRAINT rekeyed_pkey, ADD PRIMARY KEY (id, code)",
    "bigger": "ALTER TABLE s.bigger ALTER id TYPE bigint",
}
TABLES = [f"s.{name}" for name in (*CHANGES, *DESTRUCTIVE)]


def _create(name: str) -> str:
    key = "" if name == "bag" else ", PRIMARY KEY (id)"
    parted = " PARTITION BY HASH (id)" if name == "parts" else ""
    parts = "".join(
        f"CREATE TABLE s.part_{n} PARTITION OF s.parts FOR VALUES WITH (MODULUS 2, REMAINDER {n});"
        for n in range(2)
        if parted
    )
    return (
        f"CREATE TABLE s.{name} (id int NOT NULL, n int NOT NULL, price numeric(10,2),"
        f" name varchar(20), note text, code int NOT NULL, mood s.feeling{key}){parted}; {parts}"
        f" INSERT INTO s.{name} SELECT n, n, n / 4.0, 'name ' || n, 'note ' || n, n % 3, 'old'"
        " FROM generate_series(1, 100) n;"
    )


SCHEMA = "CREATE SCHEMA s; CREATE TYPE s.feeling AS ENUM ('old', 'older'); " + "".join(
    map(_create, (*CHANGES, *DESTRUCTIVE))
)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with capturing(tmp_path_factory.mktemp("clone"), SCHEMA, TABLES) as made:
        yield made


class Writer(threading.Thread):
    """Writes to all tables, in columns that stay, until it is told to end. As a context."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._end = threading.Event()
        self._failure: psycopg.Error | None = None
        self.written = 0

    def __enter__(self) -> Writer:
        self.start()
        return self

    def __exit__(self, kind: object, *_error: object) -> None:
        self._end.set()
        self.join()
        if self._failure is not None:
            raise self._failure
        assert kind is not None or self.written > 50, self.written

    def run(self) -> None:
        chance = random.Random(1)
        try:
            with self._pipeline.session() as connection:
                while not self._end.wait(0.02):
                    for statement in self._statements(chance):
                        connection.execute(statement.encode())
                    self.written += 1
        except psycopg.Error as error:
            self._failure = error

    def _statements(self, chance: random.Random) -> list[str]:
        table, key = chance.choice(TABLES), chance.randrange(1, 400)
        return [
            f"INSERT INTO {table} (id, n, price, name, code) SELECT {key}, {key}, 0.25, 'new', 1"
            f" WHERE NOT EXISTS (SELECT FROM {table} WHERE id = {key})",
            f"UPDATE {table} SET price = price + 1, n = {chance.randrange(1000)}"
            f" WHERE id = {chance.randrange(1, 400)}",
            f"DELETE FROM {table} WHERE id = {chance.randrange(60, 400)}",
        ]


@pytest.mark.timeout(1800)
def test_columns_change_while_somebody_writes_and_up_makes_both_sides_equal(
    pipeline: Pipeline,
) -> None:
    pipeline.assert_equal()
    with Writer(pipeline):
        pipeline.run(*";".join(CHANGES.values()).split(";"))
        # Written between the change and the deployment that knows of it.
        pipeline.run(
            "UPDATE s.added SET more = 'before up' WHERE id < 20",
            "UPDATE s.defaulted SET more = id WHERE id < 20",
            "INSERT INTO s.widened VALUES (1001, 3000000000, 123456789012345.54321, 'a name of"
            " more than twenty characters', NULL, 1)",
            "UPDATE s.renamed SET remark = 'before up' WHERE id < 20",
            "UPDATE s.dropped SET n = 0 WHERE id < 20",
            "UPDATE s.mood SET mood = 'new' WHERE id < 20",
            "UPDATE s.again SET note = 'before up' WHERE id < 10",
            "UPDATE s.loosened SET n = NULL WHERE id < 20",
            "DELETE FROM s.bag WHERE id < 20",
            "DELETE FROM s.parts WHERE id < 20",
        )
        _what_is_seen_before_the_deployment(pipeline)
        told = pipeline.up()
    for reason in (
        "s.volatile: new column token, which Postgres may have filled",
        "s.widened: column n is bigint now",
        "s.renamed: column note is called remark now",
        "s.again: new column note, of the name of an earlier one",
    ):
        assert reason in told, told
    for name in ("added", "defaulted", "dropped", "mood", "loosened", "bag"):
        assert f"to be loaded again: s.{name}:" not in told, told
    pipeline.assert_equal()
    # What had to wait is there, and nothing waits any more.
    assert pipeline.ask("SELECT source, reason FROM cdc.dead_letters FINAL") == []
    # What was in a column that is gone can still be read where the changes are kept.
    assert pipeline.ask("SELECT note FROM s.dropped_final FINAL WHERE id = 50") == [("note 50",)]


def _what_is_seen_before_the_deployment(pipeline: Pipeline) -> None:
    reports = pipeline.verify("s.added", "s.mood", "s.dropped", "s.widened")
    assert reports["s.mood"].equal, reports["s.mood"]
    [added] = reports["s.added"].schema_differences
    assert (added.column, added.target) == ("more", None)
    letters = {
        table: reason
        for table, reason in pipeline.ask(
            "SELECT source, any(reason) FROM cdc.dead_letters FINAL GROUP BY source"
        )
    }
    assert letters["s.added"] == "unknown field: more"
    assert letters["s.dropped"] == "missing field: note"
    assert letters["s.renamed"] == "missing field: note"
    status = pipeline.project.cdc("status", "--json")
    waiting = {each["table"]: each["dead_letters"] for each in json.loads(status.stdout)["tables"]}
    assert waiting["s.added"] > 0 and waiting["s.dropped"] > 0
    assert waiting["s.mood"] == 0


@pytest.mark.timeout(1800)
def test_what_costs_a_tables_history_is_refused_until_it_is_allowed(pipeline: Pipeline) -> None:
    with Writer(pipeline):
        pipeline.run(*DESTRUCTIVE.values())
        pipeline.run(
            "UPDATE s.rekeyed SET code = code + 10 WHERE id < 30",
            "INSERT INTO s.bigger (id, n, code) VALUES (5000000000, 1, 1)",
            "UPDATE s.retyped SET n = 'text' WHERE id < 30",
        )
        refused = pipeline.project.cdc("up", timeout=900)
        assert refused.returncode == 1, refused.stdout
        for line in refused.stderr.strip().splitlines():
            assert line.startswith("error: table-s."), line
            assert line.endswith("set cdc:allowDestructive to apply it all the same"), line
        for sentence in (
            "s.narrowed_final: column n would be changed from Int32 to Int16",
            "s.retyped_final: column n would be changed from Int32 to String",
            "s.rekeyed_final: another engine, key or partitioning means a new table",
            "s.bigger_final: another engine, key or partitioning means a new table",
        ):
            # Pulumi stops at the first resource that is refused: each by itself.
            assert sentence in _refused(pipeline, sentence.split("_final")[0])
        pipeline.project.write(allowDestructive=True)
        pipeline.up()
    pipeline.assert_equal()
    pipeline.run(
        "UPDATE s.rekeyed SET code = code + 1 WHERE id > 50",
        "UPDATE s.rekeyed SET id = id + 1000 WHERE id > 80",
        "DELETE FROM s.bigger WHERE id = 5000000000",
    )
    pipeline.assert_equal()
    assert pipeline.ask("SELECT source, reason FROM cdc.dead_letters FINAL") == []
    kept = "SELECT count() FROM system.columns WHERE table = 'dropped_final' AND name = 'note'"
    assert pipeline.ask(kept) == [(0,)], "with leave, what is no column any more goes"


def _refused(pipeline: Pipeline, table: str) -> str:
    """What Pulumi says when only that table is deployed."""
    targets = [f"--target=**::{name}" for name in (f"source-{table}", f"table-{table}-objects")]
    done = pipeline.project.pulumi("up", "--yes", "--skip-preview", "-s", "local", *targets)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr
