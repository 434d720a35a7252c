"""How the Postgres providers reach the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from providers.base import ProviderError, until

Connection = psycopg.Connection[tuple[Any, ...]]

START = 60.0  # seconds a server may take until it accepts connections
LOCK_WAIT = 1000  # milliseconds that others may have to wait behind an ALTER TABLE
LOCK_PAUSE = 3.0  # seconds in which they are let through
LOCK_PATIENCE = 120.0  # seconds


@contextmanager
def connected(connection: Mapping[str, Any], patience: float = START) -> Iterator[Connection]:
    """A connection in autocommit mode; waits for a server that is just starting.

    Args:
        connection: `host`, `port`, `user`, `password` and `database`; `parameters`, where there
            are any, are libpq's own (`sslmode`, `sslrootcert`, …).
        patience: seconds to try for.

    Raises:
        ProviderError: wrong credentials, no such database, or no answer in time; and
            any statement that fails inside, told in the server's own words.
    """
    where = f"Postgres at {connection['host']}:{connection['port']}"

    def attempt() -> Connection:
        try:
            return psycopg.connect(
                host=connection["host"],
                port=int(connection["port"]),
                user=connection["user"],
                password=connection["password"],
                dbname=connection["database"],
                autocommit=True,
                application_name="cdc deployment",
                **{"connect_timeout": 10, **connection.get("parameters", {})},
            )
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error) or "does not exist" in str(error):
                raise ProviderError(f"{where}: {_last_line(error)}") from error
            raise

    with until(attempt, patience, f"{where} accepting connections", every=0.2) as open_connection:
        try:
            yield open_connection
        except psycopg.Error as error:
            raise ProviderError(f"{where}: {_last_line(error)}") from error


def table(qualified: str) -> sql.Identifier:
    """`schema.table` quoted as an identifier."""
    return sql.Identifier(*qualified.split(".", 1))


def value(connection: Connection, statement: str, *arguments: object) -> Any:
    """The first column of the first row, None without a row."""
    row = connection.execute(statement, arguments).fetchone()
    return None if row is None else row[0]


def alter_table(connection: Connection, name: str, action: str) -> None:
    """Runs `ALTER TABLE name action` without making the table's users wait for long.

    It needs the table for itself, and while it waits for that everybody else waits behind it: so it
    waits briefly, lets the others through and tries again.

    Args:
        name: quoted, with its schema.

    Raises:
        ProviderError: the table was in use all the time; names the sessions.
    """

    def attempt() -> bool:
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}ms'".encode())
                connection.execute(f"ALTER TABLE {name} {action}".encode())
        except psycopg.errors.LockNotAvailable:
            return False
        return True

    try:
        until(attempt, LOCK_PATIENCE, "a free moment", every=LOCK_PAUSE)
    except ProviderError as error:
        holders = value(
            connection,
            "SELECT string_agg(DISTINCT pid::text, ', ') FROM pg_locks "
            "WHERE relation = to_regclass(%s) AND granted",
            name,
        )
        raise ProviderError(
            f"ALTER TABLE {name} {action}: other transactions have held the table for "
            f"{LOCK_PATIENCE:.0f} s (server processes {holders or 'that are gone now'}): wait for "
            "them or end them, and run `up` again"
        ) from error


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line]
    return lines[-1] if lines else type(error).__name__
