"""A stack that captures a test's own tables, and both sides of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ops.parity import prove
from ops.progress import silent
from ops.stack import Deployed
from ops.verify.model import TableReport
from tests.checkout import Checkout, checkout
from tests.comparing import differences, source_rows, target_rows
from tests.local.scratch import postgres

WAIT_SECONDS = 300.0
UP_SECONDS = 900.0
# Two-phase commit is off by default.
SERVER = {"max_prepared_transactions": "10"}


class Pipeline:
    """Drives the source of a running stack and looks at what reaches the target."""

    def __init__(self, project: Checkout) -> None:
        self.project = project
        self.deployed: Deployed = project.deployed()

    def session(self, *, autocommit: bool = True) -> psycopg.Connection[tuple[Any, ...]]:
        return self.deployed.postgres.connect(autocommit=autocommit)

    def run(self, *statements: str) -> None:
        """Each statement in a transaction of its own."""
        with self.session() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def transaction(self, *statements: str) -> None:
        """All statements in one transaction."""
        with self.session(autocommit=False) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of ClickHouse."""
        with self.deployed.clickhouse.client() as client:
            return [tuple(row) for row in client.query(query).result_rows]

    def up(self, timeout: float = UP_SECONDS) -> str:
        """`./cdc up`, successful or with differences that a test expects; its output."""
        done = self.project.cdc("up", timeout=timeout)
        assert "Up in" in done.stdout, done.stdout + done.stderr
        self.deployed = self.project.deployed()
        return done.stdout

    def verify(self, *tables: str) -> dict[str, TableReport]:
        """What `./cdc verify` finds, by table; all tables without any."""
        found = prove(self.deployed, list(tables), progress=silent, wait_seconds=WAIT_SECONDS)
        return {report.table: report for report in found}

    def letters(self, table: str, most: int = 3) -> list[str]:
        """Why messages of a table were not applied, as far as it is still so."""
        query = "SELECT DISTINCT reason FROM cdc.dead_letters FINAL WHERE source = {table:String}"
        with self.deployed.clickhouse.client() as client:
            found = client.query(f"{query} LIMIT {most}", parameters={"table": table})
            return [str(reason) for (reason,) in found.result_rows]

    def difference(self, *tables: str) -> str:
        """'' where all rows are equal, by ops.verify and by an independent comparison.

        Nobody may write meanwhile. That the two disagree is a failure of its own.
        """
        told = []
        for name, report in self.verify(*tables).items():
            [table] = self.deployed.chosen([name])
            with self.session() as connection, self.deployed.clickhouse.client() as client:
                ours, theirs = source_rows(connection, table), target_rows(client, table)
            different = differences(ours, theirs)
            assert report.source_rows == ours.total(), (name, report, ours.total())
            assert report.target_rows == theirs.total(), (name, report, theirs.total())
            assert bool(different) <= (not report.equal), (name, report, different)
            if different or not report.equal:
                told.append(f"{name}: {different or report}; dead letters: {self.letters(name)}")
        return "\n".join(told)

    def assert_equal(self, *tables: str) -> None:
        different = self.difference(*tables)
        assert not different, different


@contextmanager
def capturing(
    folder: Path,
    schema: str,
    tables: Sequence[str | dict[str, Any]],
    meanwhile: Callable[[str], AbstractContextManager[Any]] = nullcontext,
    *,
    whole: bool = True,
) -> Iterator[Pipeline]:
    """A stack, in a copy of the project in `folder`, on a Postgres that it doesn't run itself.

    schema: SQL that is run there before, and makes `tables`, the stack's `cdc:tables`.
    meanwhile: what goes on there until the stack is up, given the DSN; for what SQL alone can't
    make, too.
    whole: whether all rows can be loaded; `./cdc up` must say the same.
    """
    with postgres("app", SERVER) as dsn, checkout(folder) as project:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(schema.encode())
        server = conninfo_to_dict(dsn)
        project.write(sample=False, tables=list(tables))
        assert project.pulumi("stack", "init", project.stack).returncode == 0
        project.configure(
            secret=True, source="postgresql://{user}@{host}:{port}/{dbname}".format(**server)
        )
        with meanwhile(dsn):
            done = project.cdc("up", timeout=UP_SECONDS)
            assert "Up in" in done.stdout, done.stdout + done.stderr
            assert done.returncode == (0 if whole else 1), done.stdout + done.stderr
        yield Pipeline(project)
