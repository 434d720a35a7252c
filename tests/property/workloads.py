"""Random workloads: what several sessions do to some tables, step by step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import psycopg

from catalog.names import pg_ident
from tests.property.tables import Row, Table, literal
from tests.property.values import Chance

SESSIONS = 3
AHEAD_SECONDS = 0.03  # for a step, before another session goes on beside it
END_SECONDS = 60.0
# A step that waits in vain fails, as in life, and its transaction with it.
SETTINGS = (
    "SET lock_timeout = '1s'; SET deadlock_timeout = '100ms'; SET statement_timeout = '20s';"
    " SET standard_conforming_strings = on"
)

Rows = tuple[Row, ...]


@dataclass(frozen=True)
class Step:
    """What one session does next. rows: what follows a COPY."""

    session: int
    sql: str
    rows: Rows | None = None

    def __str__(self) -> str:
        return f"{self.session}> {self.sql}" + (f"  -- {list(self.rows)}" if self.rows else "")


def workload(chance: Chance, tables: Sequence[Table]) -> list[Step]:
    """Between 20 and 120 steps."""
    steps, open_ = [], [False] * SESSIONS
    for _ in range(chance.randint(20, 120)):
        session = chance.randrange(SESSIONS)
        if not open_[session] and chance.random() < 0.6:
            steps.append(Step(session, "BEGIN"))
            open_[session] = True
        elif open_[session] and chance.random() < 0.2:
            steps.append(Step(session, chance.choice(("COMMIT", "COMMIT", "COMMIT", "ROLLBACK"))))
            open_[session] = False
        elif open_[session] and chance.random() < 0.2:
            point = chance.choice("ab")
            steps.append(
                Step(
                    session,
                    chance.choice(("SAVEPOINT", "ROLLBACK TO", "RELEASE")) + f" {point}",
                )
            )
        made = chance.choices(_KINDS, weights=_WEIGHTS)[0](chance, chance.choice(tables))
        steps.append(Step(session, *made))
    return steps


def run(connect: Callable[[], psycopg.Connection], steps: Iterable[Step]) -> int:
    """Does the steps, each session's in its order; open transactions are committed at the end.

    Sessions wait for each other's locks as they do in life. Returns how many steps succeeded:
    keys that are taken, deadlocks and savepoints that aren't there are part of it.
    """
    sessions = [_Session(connect) for _ in range(SESSIONS)]
    for step in steps:
        sessions[step.session].take(step)
    for session in sessions:
        session.take(None)
    for session in sessions:
        session.join(END_SECONDS)
        assert not session.is_alive(), "a session did not end"
        if session.failure is not None:
            raise session.failure
    return sum(session.done for session in sessions)


class _Session(threading.Thread):
    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        super().__init__(daemon=True)
        self._connect = connect
        self._steps: queue.Queue[tuple[Step | None, threading.Event]] = queue.Queue()
        self.failure: psycopg.Error | None = None
        self.done = 0
        self.start()

    def take(self, step: Step | None) -> None:
        """Does a step (None: the end) after those before it; goes on without it if it waits."""
        finished = threading.Event()
        self._steps.put((step, finished))
        finished.wait(AHEAD_SECONDS)

    def run(self) -> None:
        try:
            with self._connect() as connection:
                connection.execute(SETTINGS)
                while True:
                    step, finished = self._steps.get()
                    if step is None:
                        self._do(connection, Step(0, "COMMIT"))
                        return
                    self._do(connection, step)
                    finished.set()
        except psycopg.Error as error:
            self.failure = error

    def _do(self, connection: psycopg.Connection, step: Step) -> None:
        try:
            if step.rows is None:
                connection.execute(step.sql.encode())
            else:
                with connection.cursor().copy(step.sql.encode()) as copy:
                    for row in step.rows:
                        copy.write_row(row)
            self.done += 1
        except psycopg.OperationalError as error:
            if connection.closed:
                raise
            self._give_up(connection, error)
        except psycopg.Error as error:
            self._give_up(connection, error)

    def _give_up(self, connection: psycopg.Connection, error: psycopg.Error) -> None:
        # A statement that is wrong by itself would be a mistake of this module.
        if isinstance(error, psycopg.errors.SyntaxErrorOrAccessRuleViolation):
            raise error
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
            connection.execute("ROLLBACK")


Made = tuple[str] | tuple[str, Rows]


def _some(table: Table, chance: Chance) -> str:
    """A condition that some of the rows there are fulfil, in a way that can be repeated."""
    most = chance.choice((1, 1, 2, 5, 100))
    skipped = chance.randrange(5)
    return (
        f"(tableoid, ctid) IN (SELECT tableoid, ctid FROM {table.quoted} AS t"
        f" ORDER BY md5(t::text || {chance.randrange(1000)}), ctid LIMIT {most} OFFSET {skipped})"
    )


def _insert(chance: Chance, table: Table) -> Made:
    rows = [table.row(chance) for _ in range(chance.choice((1, 1, 3, 10)))]
    made = f"INSERT INTO {table.quoted} ({table.names}) VALUES {table.values(rows)}"
    if not table.key or chance.random() < 0.3:
        return (made,)
    if table.kind == "deferrable" or chance.random() < 0.5:
        # A deferrable constraint is no arbiter; without one named, none is asked.
        return (made,) if table.kind == "deferrable" else (f"{made} ON CONFLICT DO NOTHING",)
    rest = [column for column in table.columns if column not in table.key]
    if not rest:
        return (f"{made} ON CONFLICT DO NOTHING",)
    column = pg_ident(chance.choice(rest).name)
    return (f"{made} ON CONFLICT ({table.listed_key}) DO UPDATE SET {column} = excluded.{column}",)


def _update(chance: Chance, table: Table) -> Made:
    columns = [column for column in table.columns if column not in table.key] or table.columns
    chosen = chance.sample(list(columns), chance.randint(1, min(3, len(columns))))
    changes = ", ".join(
        f"{pg_ident(column.name)} = {literal(column.value(chance), column.of)}" for column in chosen
    )
    return (f"UPDATE {table.quoted} SET {changes} WHERE {_some(table, chance)}",)


def _touch(chance: Chance, table: Table) -> Made:
    column = pg_ident(chance.choice(table.columns).name)
    return (f"UPDATE {table.quoted} SET {column} = {column} WHERE {_some(table, chance)}",)


def _move(chance: Chance, table: Table) -> Made:
    column = chance.choice(table.key or table.columns)
    return (
        f"UPDATE {table.quoted} SET {pg_ident(column.name)} = "
        f"{literal(column.value(chance), column.of)} WHERE {_some(table, chance)}",
    )


def _rotate(chance: Chance, table: Table) -> Made:
    """Rows exchange their keys: under a deferrable constraint that works in one statement."""
    column = chance.choice(table.key or table.columns)
    name = pg_ident(column.name)
    choices = column.choices or tuple(filter(None, (column.value(chance) for _ in range(4))))
    cases = " ".join(
        f"WHEN {name}::text = {literal(here, column.of)}::text THEN {literal(there, column.of)}"
        for here, there in zip(choices, (*choices[1:], choices[0]), strict=True)
    )
    return (f"UPDATE {table.quoted} SET {name} = CASE {cases} ELSE {name} END",)


def _delete(chance: Chance, table: Table) -> Made:
    return (f"DELETE FROM {table.quoted} WHERE {_some(table, chance)}",)


def _again(chance: Chance, table: Table) -> Made:
    """Rows deleted and inserted as they were, in one transaction."""
    return (
        f"DO $again$ DECLARE taken {table.quoted}[]; BEGIN "
        f"WITH gone AS (DELETE FROM {table.quoted} WHERE {_some(table, chance)} RETURNING *) "
        f"SELECT array_agg(gone::{table.quoted}) INTO taken FROM gone; "
        f"INSERT INTO {table.quoted} ({table.names}) SELECT {table.names} FROM unnest(taken); "
        "END $again$",
    )


def _copy(chance: Chance, table: Table) -> Made:
    rows = table.rows(chance, chance.choice((1, 5, 40)))
    return f"COPY {table.quoted} ({table.names}) FROM STDIN", tuple(rows)


def _truncate(_chance: Chance, table: Table) -> Made:
    return (f"TRUNCATE {table.quoted}",)


_CHANGES: dict[Callable[[Chance, Table], Made], int] = {
    _insert: 30,
    _update: 20,
    _touch: 4,
    _move: 10,
    _rotate: 3,
    _delete: 10,
    _again: 4,
    _copy: 6,
    _truncate: 2,
}
_KINDS, _WEIGHTS = list(_CHANGES), list(_CHANGES.values())
