"""Random workloads on random tables through the real pipeline: every row and value, every time.

CDC_TEST_SEED chooses the tables and the workloads (by default the commit does, tests/seeds.py),
CDC_PROPERTY_SECONDS how long they run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from catalog.names import pg_ident
from catalog.types import supported_types
from tests.pipeline import Pipeline, capturing
from tests.property.shrinking import shrunk
from tests.property.tables import Schema, Table, random_schema
from tests.property.types import EXTENSIONS_SCHEMA
from tests.property.values import EXTENSIONS, VALUES, Chance
from tests.property.workloads import Step, run, workload
from tests.seeds import run_seed

SEED = run_seed()
SECONDS = float(os.environ.get("CDC_PROPERTY_SECONDS", "180"))
SHRINK_SECONDS = 120.0
TABLES = 4  # of a seed
SEEDS = 3  # of a run, beside those that are kept


@dataclass(frozen=True)
class Kept:
    """A workload that once failed."""

    seed: int
    number: int
    found: str


def kept() -> list[Kept]:
    lines = Path(__file__).with_name("seeds.txt").read_text(encoding="utf-8").splitlines()
    words = [line.split(maxsplit=2) for line in lines if line and not line.startswith("#")]
    return [Kept(int(seed), int(number), found) for seed, number, found in words]


def schema_of(seed: int) -> Schema:
    return random_schema(Chance(seed), f"seed {seed}", TABLES)


def tables_of(seed: int) -> tuple[Table, ...]:
    return schema_of(seed).tables


def steps_of(seed: int, number: int) -> list[Step]:
    return workload(Chance(f"{seed} {number}"), tables_of(seed))


@pytest.mark.parametrize("seed", range(3))
def test_every_type_that_can_be_captured_is_among_the_random_columns(seed: int) -> None:
    made = {type(each).__name__.lower() for each in schema_of(seed).types}
    assert {*VALUES, *made} - {"domain"} == set(supported_types())


def test_a_seed_gives_the_same_tables_and_workloads_each_time() -> None:
    assert schema_of(7) == schema_of(7) != schema_of(8)
    assert steps_of(7, 1) == steps_of(7, 1) != steps_of(7, 2)


def test_shrinking_ends_with_the_steps_that_matter() -> None:
    assert shrunk(range(100), lambda left: {17, 80} <= set(left), 10) == [17, 80]


SEEDS_OF_RUN = list(range(SEED, SEED + SEEDS))
ALL = sorted({each.seed for each in kept()} | set(SEEDS_OF_RUN))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A stack that captures the tables of all seeds, which have rows already."""
    with capturing(tmp_path_factory.mktemp("clone"), schema(ALL), options(ALL)) as made:
        yield made


def schema(seeds: Sequence[int]) -> str:
    within = pg_ident(EXTENSIONS_SCHEMA)
    return "; ".join(
        [
            f"CREATE SCHEMA {within}",
            *(
                f"CREATE EXTENSION {name} SCHEMA {within}"
                for name in sorted({*EXTENSIONS.values()})
            ),
            *(each for seed in seeds for each in (*schema_of(seed).create, *_filling(seed))),
        ]
    )


def options(seeds: Sequence[int]) -> list[dict[str, object]]:
    return [table.options for seed in seeds for table in tables_of(seed)]


@pytest.mark.timeout(1200)
def test_rows_from_before_the_capture_are_there(pipeline: Pipeline) -> None:
    pipeline.assert_equal()


@pytest.mark.timeout(SHRINK_SECONDS + 600)
@pytest.mark.parametrize("each", kept(), ids=lambda each: f"{each.seed}-{each.number}")
def test_workloads_that_once_failed(pipeline: Pipeline, each: Kept) -> None:
    _try(pipeline, each.seed, each.number)


@pytest.mark.timeout(SECONDS + SHRINK_SECONDS + 600)
def test_any_workload_on_any_table_leaves_both_sides_equal(pipeline: Pipeline) -> None:
    until, number, steps = time.monotonic() + SECONDS, 0, 0
    while number == 0 or time.monotonic() < until:
        for seed in SEEDS_OF_RUN:
            steps += _try(pipeline, seed, number)
        number += 1
    print(
        f"CDC_TEST_SEED={SEED}: {number * SEEDS} workloads, {steps} steps done, "
        f"on {TABLES * SEEDS} tables"
    )


def _try(pipeline: Pipeline, seed: int, number: int) -> int:
    """Runs a workload; fails with the smallest part of it that does. Returns the steps done."""
    names = [table.name for table in tables_of(seed)]

    def difference(steps: Sequence[Step]) -> str:
        _begin_again(pipeline, seed)
        run(pipeline.session, steps)
        return pipeline.difference(*names)

    _begin_again(pipeline, seed)
    steps = steps_of(seed, number)
    done = run(pipeline.session, steps)
    if different := pipeline.difference(*names):
        # The same steps can pass the next time, when sessions met by chance.
        smallest = shrunk(steps, lambda fewer: bool(difference(fewer)), SHRINK_SECONDS)
        told = "\n".join(map(str, smallest))
        pytest.fail(
            f"seed {seed}, workload {number} (add `{seed} {number} …` to seeds.txt):\n{different}\n"
            f"{len(smallest)} of {len(steps)} steps:\n{told}\n"
            f"{difference(smallest) or 'with these it did not happen again'}"
        )
    return done


def _begin_again(pipeline: Pipeline, seed: int) -> None:
    pipeline.run(
        "TRUNCATE " + ", ".join(table.quoted for table in tables_of(seed)), *_filling(seed)
    )


def _filling(seed: int) -> list[str]:
    """Statements that put some rows into the tables of a seed."""
    chance = Chance(f"{seed} filling")
    return [
        f"INSERT INTO {table.quoted} ({table.names}) VALUES {table.values(table.rows(chance, 10))}"
        for table in tables_of(seed)
    ]
