"""Is an existing server ready to be captured? Asked before anything is changed on it.

Every question is a SELECT. What is missing comes back as a list of needs, each with the statements
that would meet it; `told` makes one message of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from ops import readiness_objects as objects
from ops import readiness_server as server
from ops.readiness_model import Connection, Need, Plan, value


def needs(conn: Connection, plan: Plan, dsn: str) -> list[Need]:
    """Everything that is missing, what stops all the rest first; empty where it is ready.

    conn: as the given user, in autocommit mode, by `dsn`. Nothing is written.
    """
    facts = server.facts(conn, plan)
    found = [
        *server.itself(conn, facts),
        *server.room(conn, facts, plan),
        *server.user(conn, facts, plan),
    ]
    if not found and (refused := _replication(dsn)):
        found.append(refused)
    found += objects.captured(conn, facts, plan)
    found += (objects.prepared if plan.user_is == "reader" else objects.made)(conn, facts, plan)
    return found


def cautions(conn: Connection) -> list[str]:
    """What works and may hurt the server later."""
    kept = value(conn, "SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'")
    if kept != "-1":
        return []
    return [
        "max_slot_wal_keep_size is -1 on the source: if the connector stays away, its slot keeps "
        "log until the server's disk is full. Set a limit that leaves room, for instance "
        "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf();"
    ]


def told(where: str, missing: Sequence[Need]) -> str:
    """One message: numbered, each need with what to do."""
    lines = [
        f"the source {where} is not ready to be captured; nothing was changed. It lacks "
        f"{len(missing)} thing(s):"
    ]
    for number, need in enumerate(missing, 1):
        lines.append(f"  {number}. {need.lacks}" + (f": {need.remedy}" if need.remedy else ""))
        lines += [f"       {statement}" for statement in need.statements]
    return "\n".join(lines)


def first_line(said: str) -> str:
    """What libpq says first of a failure, without its own heading."""
    lines = said.removeprefix("connection failed: ").strip().splitlines()
    return lines[0] if lines else "no reason given"


def _replication(dsn: str) -> Need | None:
    """Tries a replication connection, as the connector will make one."""
    try:
        with psycopg.connect(dsn, replication="database", autocommit=True) as conn:
            # A walsender takes simple queries only.
            result = conn.pgconn.exec_(b"IDENTIFY_SYSTEM")
            if result.status == psycopg.pq.ExecStatus.TUPLES_OK:
                return None
            said = result.error_message.decode(errors="replace")
    except psycopg.Error as error:
        said = str(error)
    return Need(
        f"a replication connection is refused ({first_line(said)})",
        "give the address of the server itself in cdc:source, not of a pooler such as PgBouncer",
    )
