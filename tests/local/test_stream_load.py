"""`initial_load: stream`: rows that come as Debezium's own snapshot, beside tables that are copied.

Writers change all of them while the stack comes up.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.local.type_values import GROUPS, HOSTILE, SETUP
from tests.pipeline import Pipeline, capturing

ROWS = 20_000
# What the writers change: by its load, one of each.
CHANGED = ("s.streamed", "s.parted", "s.copied")
# What java.sql.Date, which only the snapshot has, can't tell from other days.
OLD_DAYS = (
    *("1582-10-24", "1582-10-15", "1582-10-14", "1582-10-05", "1582-10-04"),
    *("1500-02-28", "0001-01-01", "1950-01-01 BC", "-infinity"),
)
DAYS = ("1582-10-25", "1600-02-29", "1899-12-31", "1999-12-31", "2300-01-01", "infinity")
MOMENTS = ("4713-01-01 00:00:00 BC", "1500-02-28 12:00:00.000001", "294276-12-31 23:59:59.999999")


def _schema() -> str:
    create = "CREATE TABLE s.{} (a int, b text, n int, note text, PRIMARY KEY (a, b))"
    made = [
        *(f"ALTER DATABASE app SET {setting}" for setting in HOSTILE),
        SETUP,
        "CREATE SCHEMA s",
        "CREATE SCHEMA copied",
        create.format("streamed"),
        create.format("copied"),
        create.format("parted") + " PARTITION BY HASH (a)",
        *(
            f"CREATE TABLE s.parted_{n} PARTITION OF s.parted"
            f" FOR VALUES WITH (MODULUS 2, REMAINDER {n})"
            for n in range(2)
        ),
        *(
            f"INSERT INTO {table} SELECT n, 'b' || n % 3, n, repeat('x', n % 50)"
            f" FROM generate_series(1, {ROWS}) n"
            for table in CHANGED
        ),
        "CREATE TABLE s.days (id int PRIMARY KEY, day date, at timestamp, zoned timestamptz)",
        *(f"INSERT INTO s.days VALUES ({n}, '{day}')" for n, day in enumerate(DAYS)),
        *(
            f"INSERT INTO s.days VALUES ({100 + n}, NULL, '{at}', '{at}+00')"
            for n, at in enumerate(MOMENTS)
        ),
        *(f"INSERT INTO s.days VALUES ({-1 - n}, '{day}')" for n, day in enumerate(OLD_DAYS)),
    ]
    for name, entries in GROUPS.items():
        columns = ", ".join(f"c{n} {entry.pg_type}" for n, entry in enumerate(entries))
        made.append(f"CREATE TABLE typed.{name} (id serial PRIMARY KEY, {columns})")
        made += [
            f"INSERT INTO typed.{name} (c{n}) VALUES ({literal})"
            for n, entry in enumerate(entries)
            for literal in filter(None, map(str.strip, entry.held.splitlines()))
        ]
        made.append(f"CREATE TABLE copied.{name} (LIKE typed.{name} INCLUDING ALL)")
        made.append(f"INSERT INTO copied.{name} SELECT * FROM typed.{name}")
    return ";\n".join(made)


def _typed(schema: str, **options: str) -> list[dict[str, Any]]:
    return [
        {
            "table": f"{schema}.{name}",
            "as_text": [f"c{n}" for n, entry in enumerate(entries) if entry.as_text],
            **options,
        }
        for name, entries in GROUPS.items()
    ]


TABLES: list[str | dict[str, Any]] = [
    "s.copied",
    *_typed("copied"),
    {"table": "s.streamed", "initial_load": "stream"},
    {"table": "s.parted", "initial_load": "stream"},
    {"table": "s.days", "initial_load": "stream", "as_text": ["day", "at", "zoned"]},
    *_typed("typed", initial_load="stream"),
]


@contextmanager
def _written(dsn: str) -> Iterator[None]:
    """Two writers, each in transactions of one to five changes in all of the tables."""
    stop, failed, written = threading.Event(), list[BaseException](), [0, 0]

    def write(number: int) -> None:
        chance = random.Random(number)
        try:
            with psycopg.connect(dsn) as connection:
                while not stop.wait(0.005):
                    for _ in range(chance.randint(1, 5)):
                        connection.execute(_change(chance).encode())
                    connection.commit()
                    written[number] += 1
        except psycopg.Error as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for each in writers:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in writers:
            each.join()
    assert not failed, failed
    assert min(written) > 500, "nobody wrote while the stack came up"


def _change(chance: random.Random) -> str:
    table, key, new = chance.choice(CHANGED), chance.randint(1, ROWS), chance.randint(1, 2 * ROWS)
    return chance.choice(
        [
            f"INSERT INTO {table} VALUES ({new}, 'new', 0, 'n') ON CONFLICT DO NOTHING",
            f"UPDATE {table} SET n = n + 1, note = '{new}' WHERE a = {key}",
            f"UPDATE {table} SET b = b || '{new}' WHERE a = {key} AND length(b) < 90",
            f"DELETE FROM {table} WHERE a = {key} AND b <> 'new'",
        ]
    )


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("clone")
    with capturing(folder, _schema(), TABLES, _written, whole=False) as made:
        yield made


def test_rows_of_both_loads_are_exact_though_writers_ran_meanwhile(pipeline: Pipeline) -> None:
    pipeline.assert_equal(*CHANGED)
    for table in CHANGED:
        [(loaded, changed)] = pipeline.ask(
            f"SELECT countIf(operation = 'r'), countIf(operation != 'r') FROM {table}_history FINAL"
        )
        assert loaded > ROWS / 2 and changed > 100, (table, loaded, changed)


def test_rows_of_the_snapshot_rank_where_the_slot_began_and_copied_ones_above(
    pipeline: Pipeline,
) -> None:
    slot = int(pipeline.project.outputs()["slot_lsn"])
    for table in CHANGED:
        ranks = pipeline.ask(
            "SELECT DISTINCT toUInt64(bitShiftRight(_version, 64)) "
            f"FROM {table}_history WHERE operation = 'r'"
        )
        assert len(ranks) == 1
        assert (ranks == [(slot,)]) == (table != "s.copied"), (table, ranks, slot)
        assert ranks >= [(slot,)]


def test_nothing_is_copied_before_the_snapshot_is_over(pipeline: Pipeline) -> None:
    copied = "source = 's.copied' OR source LIKE 'copied.%'"
    [(begun, over)] = pipeline.ask(
        f"SELECT minIf(began_at, {copied}), maxIf(finished_at, NOT ({copied})) FROM cdc.loads"
    )
    assert begun > over


def test_values_of_every_type_are_the_same_by_either_load(pipeline: Pipeline) -> None:
    both = [(f"typed.{name}", f"copied.{name}") for name in GROUPS]
    reports = pipeline.verify(*(table for pair in both for table in pair))
    assert {table for table, report in reports.items() if not report.equal} == set()
    for streamed, copied in both:
        assert _values(pipeline, streamed) == _values(pipeline, copied)


def _values(pipeline: Pipeline, table: str) -> list[Any]:
    # JSON with all values that aren't exact numbers in it as texts; an hstore has no order.
    quoted = ("64bit_integers", "64bit_floats", "denormals", "decimals")
    with pipeline.deployed.clickhouse.client() as client:
        rows = client.raw_query(
            f"SELECT * FROM {table} ORDER BY id",
            fmt="JSONCompactEachRow",
            settings={f"output_format_json_quote_{each}": 1 for each in quoted},
        )
    found = [json.loads(row) for row in rows.decode(errors="surrogateescape").splitlines()]
    assert len(found) > 30
    return found


def test_days_before_1582_are_dead_letters_until_they_are_streamed(pipeline: Pipeline) -> None:
    old = {-1 - n for n in range(len(OLD_DAYS))}
    report = pipeline.verify("s.days")["s.days"]
    assert not report.equal
    assert {int(str(key["id"])) for key in report.missing} == old
    assert (report.missing_rows, report.different_rows, report.extra_rows) == (len(old), 0, 0)
    letters = pipeline.ask("SELECT reason FROM cdc.dead_letters FINAL WHERE source = 's.days'")
    assert len(letters) == len(old)
    assert all(reason.startswith("unreadable: day=") for (reason,) in letters), letters
    pipeline.run("UPDATE s.days SET id = id")
    pipeline.assert_equal("s.days")
