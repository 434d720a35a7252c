"""Is an existing server ready to be captured? Asked before anything is changed on it.

Every question is a SELECT. What is missing comes back as a list of needs, each with the statements
that would meet it; `told` makes one message of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg

from catalog.names import pg_ident, pg_qualified
from providers.heartbeat import CREATE as HEARTBEAT
from providers.heartbeat import MARK as HEARTBEAT_MARK
from providers.heartbeat import TABLE as HEARTBEAT_TABLE

OLDEST = 13  # the first with publish_via_partition_root and a slot's wal_status
Connection = psycopg.Connection[tuple[Any, ...]]
UserIs = Literal["administrator", "owner", "reader"]

# Managed servers, known by a role that each of them has; their settings are not set by SQL.
MANAGED = {
    "rds_superuser": "in the parameter group of Amazon RDS or Aurora, then reboot: "
    "rds.logical_replication = 1",
    "cloudsqlsuperuser": "among the flags of Cloud SQL, which restarts it: "
    "cloudsql.logical_decoding = on",
    "azure_pg_admin": "among the server parameters of Azure, then restart: wal_level = logical",
    "neon_superuser": "in the project's settings of Neon: enable logical replication",
}


@dataclass(frozen=True)
class Plan:
    """What the stack is going to need there.

    Args:
        user_is: what the given user may do (docs/configuration.md, `cdc:sourceUser`).
        mark: the comment by which this stack knows its own objects.
        role: the connector's login, unless it is the given user.
        tables: `schema.table` of each captured table.
    """

    user_is: UserIs
    mark: str
    slot: str
    publication: str
    role: str
    tables: Sequence[str] = ()


@dataclass(frozen=True)
class Need:
    """Something that is missing. remedy: in words; statements: to be run as they are."""

    lacks: str
    remedy: str = ""
    statements: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Facts:
    user: str
    database: str
    superuser: bool
    createrole: bool
    replication: bool
    version: int
    managed: frozenset[str]
    settings: Mapping[str, str]
    ours: bool  # the publication bears this stack's mark
    slot: tuple[str, str, bool] | None  # plugin, database, active


def needs(conn: Connection, plan: Plan, dsn: str) -> list[Need]:
    """Everything that is missing, what stops all the rest first; empty where it is ready.

    conn: as the given user, in autocommit mode, by `dsn`. Nothing is written.
    """
    facts = _facts(conn, plan)
    found = [*_server(conn, facts), *_room(conn, facts, plan), *_user(conn, facts, plan)]
    if not found and (refused := _replication(dsn)):
        found.append(refused)
    found += _tables(conn, facts, plan)
    found += (_prepared if plan.user_is == "reader" else _ours)(conn, facts, plan)
    return found


def _replication(dsn: str) -> Need | None:
    """Tries a replication connection, as the connector will make one."""
    try:
        with psycopg.connect(dsn, replication="database", autocommit=True) as conn:
            # A walsender takes simple queries only.
            result = conn.pgconn.exec_(b"IDENTIFY_SYSTEM")
            if result.status == psycopg.pq.ExecStatus.TUPLES_OK:
                return None
            said = result.error_message.decode(errors="replace").strip()
    except psycopg.Error as error:
        said = str(error).strip()
    last = said.splitlines()[-1] if said else "no reason given"
    return Need(
        f"a replication connection is refused: {last}",
        "connect to the server itself, not to a pooler; where pg_hba.conf is the reason, add a "
        "line `hostssl DATABASE USER ADDRESS scram-sha-256` and run",
        ("SELECT pg_reload_conf();",),
    )


def cautions(conn: Connection) -> list[str]:
    """What works and may hurt the server later."""
    kept = _value(conn, "SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'")
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


def _facts(conn: Connection, plan: Plan) -> _Facts:
    row = conn.execute(
        "SELECT r.rolname::text, current_database()::text, r.rolsuper, r.rolcreaterole, "
        "r.rolreplication FROM pg_roles r WHERE r.rolname = current_user"
    ).fetchone()
    assert row is not None  # whoever asks is there
    user, database, superuser, createrole, replication = row
    managed = frozenset(
        name
        for (name,) in conn.execute(
            "SELECT rolname::text FROM pg_roles WHERE rolname = ANY(%s)",
            [[*MANAGED, "rds_replication"]],
        )
    )
    if "rds_replication" in managed:
        replication |= _value(conn, "SELECT pg_has_role('rds_replication', 'MEMBER')")
    settings = conn.execute(
        "SELECT name, setting FROM pg_settings WHERE name IN ('wal_level', 'max_wal_senders', "
        "'max_replication_slots', 'server_version_num', 'server_version', 'server_encoding', "
        "'transaction_read_only')"
    ).fetchall()
    known = {str(name): str(setting) for name, setting in settings}
    slot = conn.execute(
        "SELECT plugin::text, database::text, active FROM pg_replication_slots "
        "WHERE slot_name = %s",
        [plan.slot],
    ).fetchone()
    ours = _value(
        conn,
        "SELECT obj_description(oid, 'pg_publication') = %s FROM pg_publication WHERE pubname = %s",
        plan.mark,
        plan.publication,
    )
    return _Facts(
        user=user,
        database=database,
        superuser=superuser,
        createrole=createrole or superuser,
        replication=replication or superuser,
        version=int(known["server_version_num"]) // 10_000,
        managed=managed,
        settings=known,
        ours=bool(ours),
        slot=slot,
    )


def _server(conn: Connection, facts: _Facts) -> Iterator[Need]:
    if facts.version < OLDEST:
        yield Need(
            f"the server is PostgreSQL {facts.settings['server_version']}, {OLDEST} is the oldest "
            "that works",
            "upgrade it",
        )
    if _value(conn, "SELECT pg_is_in_recovery()"):
        yield Need(
            "it is a standby, which can't be written to", "give the primary's address in cdc:source"
        )
    elif facts.settings["transaction_read_only"] == "on":
        yield Need(
            "transactions are read-only (default_transaction_read_only)",
            "switch that off for the user",
            (f"ALTER ROLE {pg_ident(facts.user)} SET default_transaction_read_only = off;",),
        )
    if facts.settings["server_encoding"] != "UTF8":
        yield Need(
            f"the database is encoded in {facts.settings['server_encoding']}, only UTF8 can be "
            "captured and compared",
            "move it into a database made with ENCODING 'UTF8'",
        )
    if (level := facts.settings["wal_level"]) != "logical":
        said = next((MANAGED[each] for each in MANAGED if each in facts.managed), "")
        yield Need(
            f"wal_level is {level}: the log holds no row changes",
            said or "as a superuser, then restart the server",
            () if said else ("ALTER SYSTEM SET wal_level = logical;",),
        )


def _room(conn: Connection, facts: _Facts, plan: Plan) -> Iterator[Need]:
    for setting, what, used, has in (
        ("max_replication_slots", "replication slots", "pg_replication_slots", facts.slot),
        ("max_wal_senders", "WAL senders", "pg_stat_replication", facts.slot and facts.slot[2]),
    ):
        most = int(facts.settings[setting])
        taken = int(_value(conn, f"SELECT count(*) FROM {used}"))
        if not has and taken >= most:
            names = ""
            if used == "pg_replication_slots" and taken:
                rows = conn.execute("SELECT slot_name::text FROM pg_replication_slots ORDER BY 1")
                names = f" ({', '.join(name for (name,) in rows)})"
            yield Need(
                f"all {most} {what} are taken{names}: one more is needed",
                "drop one that nobody needs, or as a superuser, then restart the server",
                (f"ALTER SYSTEM SET {setting} = {most + 4};",),
            )
    if facts.slot is not None:
        plugin, database, _ = facts.slot
        foreign = plugin != "pgoutput" or database != facts.database
        if foreign or (plan.user_is != "reader" and not facts.ours):
            yield Need(
                f"a replication slot {plan.slot} exists and is not this stack's (plugin {plugin}, "
                f"database {database})",
                "set cdc:slot to another name, or, if nobody needs it",
                (f"SELECT pg_drop_replication_slot({_literal(plan.slot)});",),
            )


def _user(conn: Connection, facts: _Facts, plan: Plan) -> Iterator[Need]:
    user = pg_ident(facts.user)
    if not facts.replication:
        rds = "rds_replication" in facts.managed
        yield Need(
            f"user {facts.user} may not make replication slots",
            "as a superuser or the server's administrator",
            (f"GRANT rds_replication TO {user};" if rds else f"ALTER ROLE {user} REPLICATION;",),
        )
    if plan.user_is != "administrator":
        return
    # Before 16 only a superuser makes a login with REPLICATION; managed servers let theirs do it.
    rights = "CREATEROLE REPLICATION" if facts.version >= 16 else "SUPERUSER"
    if not (
        facts.superuser
        or (facts.createrole and facts.replication and (facts.version >= 16 or facts.managed))
    ):
        yield Need(
            f"user {facts.user} may not make the connector's login {plan.role}",
            f"as a superuser{'' if facts.version >= 16 else ' (before 16 nothing less will do)'}, "
            "or set cdc:sourceUser to owner: then the connector logs in as the user given",
            (f"ALTER ROLE {user} {rights};",),
        )
    mark = conn.execute(
        "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s", [plan.role]
    ).fetchone()
    if mark is not None and mark[0] != plan.mark:
        yield Need(
            f"a role {plan.role} exists and is not this stack's",
            "set cdc:slot to another name (the role is named after it), or, if nobody needs it",
            (f"DROP ROLE {pg_ident(plan.role)};",),
        )
    database = pg_ident(facts.database)
    if not _value(
        conn,
        "SELECT has_database_privilege('public', current_database(), 'CONNECT') "
        "OR has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION')",
    ):
        yield Need(
            f"user {facts.user} may not let {plan.role} into database {facts.database}",
            "as the database's owner",
            (f"GRANT CONNECT ON DATABASE {database} TO {user} WITH GRANT OPTION;",),
        )
    closed = _names(
        conn,
        "SELECT DISTINCT nspname::text FROM pg_namespace WHERE nspname = ANY(%(schemas)s) "
        "AND NOT has_schema_privilege('public', oid, 'USAGE') "
        "AND NOT has_schema_privilege(oid, 'USAGE WITH GRANT OPTION') ORDER BY 1",
        schemas=[table.split(".", 1)[0] for table in plan.tables],
    )
    if closed:
        yield Need(
            f"user {facts.user} may not let {plan.role} into {_listed('schema', closed)}",
            "as their owner",
            tuple(
                f"GRANT USAGE ON SCHEMA {pg_ident(each)} TO {user} WITH GRANT OPTION;"
                for each in closed
            ),
        )


# A captured table and, where it is partitioned, each of its parts.
_CAPTURED = """
WITH captured AS (
    SELECT n.nspname, c.relname, c.oid
    FROM unnest(%(tables)s::text[]) AS t(name)
    JOIN pg_namespace n ON n.nspname = split_part(t.name, '.', 1)
    JOIN pg_class c ON c.relnamespace = n.oid
        AND c.relname = substr(t.name, strpos(t.name, '.') + 1)
), whole AS (
    SELECT oid FROM captured
    UNION SELECT p.relid FROM captured, pg_partition_tree(captured.oid) p
), parts AS (
    SELECT n.nspname::text || '.' || c.relname AS name, c.oid, c.relowner, c.relreplident,
           c.relkind
    FROM whole JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
)
"""


def _tables(conn: Connection, facts: _Facts, plan: Plan) -> Iterator[Need]:
    user = pg_ident(facts.user)
    unread = _names(
        conn,
        _CAPTURED + "SELECT name FROM parts WHERE NOT has_table_privilege(oid, 'SELECT') "
        "OR NOT has_schema_privilege(split_part(name, '.', 1), 'USAGE') ORDER BY 1",
        tables=list(plan.tables),
    )
    if unread:
        yield Need(
            f"user {facts.user} may not read {_listed('table', unread)}",
            "as their owner",
            tuple(
                dict.fromkeys(
                    f"GRANT USAGE ON SCHEMA {pg_ident(each.split('.', 1)[0])} TO {user};"
                    for each in unread
                )
            )
            + tuple(f"GRANT SELECT ON {pg_qualified(each)} TO {user};" for each in unread),
        )
    hidden = _names(
        conn,
        _CAPTURED + "SELECT name FROM parts WHERE row_security_active(oid) ORDER BY 1",
        tables=list(plan.tables),
    )
    if hidden:
        yield Need(
            f"row security policies hide rows of {_listed('table', hidden)} from user {facts.user}",
            "as a superuser",
            (f"ALTER ROLE {user} BYPASSRLS;",),
        )
    if plan.user_is != "reader":
        yield from _owned(conn, facts, plan)


def _owned(conn: Connection, facts: _Facts, plan: Plan) -> Iterator[Need]:
    rows = conn.execute(
        _CAPTURED + "SELECT o.rolname::text, o.rolsuper, array_agg(name ORDER BY name) "
        "FROM parts JOIN pg_roles o ON o.oid = relowner "
        "WHERE NOT pg_has_role(relowner, 'USAGE') GROUP BY 1, 2 ORDER BY 1",
        {"tables": list(plan.tables)},
    ).fetchall()
    for owner, powerful, tables in rows:
        user = pg_ident(facts.user)
        yield Need(
            f"user {facts.user} is not the owner of {_listed('table', tables)}: only {owner} may "
            "publish them and set their replica identity",
            "as that owner or a superuser"
            if powerful
            else "as a superuser or with ADMIN OPTION on that role, or set cdc:sourceUser to "
            "reader and have the owner prepare them",
            tuple(f"ALTER TABLE {pg_qualified(each)} OWNER TO {user};" for each in tables)
            if powerful
            else (f"GRANT {pg_ident(owner)} TO {user};",),
        )


def _ours(conn: Connection, facts: _Facts, plan: Plan) -> Iterator[Need]:
    """What the stack makes itself: may it, and are the names free?"""
    user, database = pg_ident(facts.user), pg_ident(facts.database)
    exists = _value(conn, "SELECT 1 FROM pg_publication WHERE pubname = %s", plan.publication)
    if exists and not facts.ours:
        tables = _names(
            conn,
            "SELECT schemaname::text || '.' || tablename FROM pg_publication_tables "
            "WHERE pubname = %(publication)s ORDER BY 1",
            publication=plan.publication,
        )
        yield Need(
            f"a publication {plan.publication} of {_listed('table', tables)} exists and is not "
            "this stack's",
            "set cdc:publication to another name, or, if nobody needs it",
            (f"DROP PUBLICATION {pg_ident(plan.publication)};",),
        )
    schema = _value(conn, "SELECT to_regnamespace('cdc') IS NOT NULL")
    if not _value(conn, "SELECT has_database_privilege(current_database(), 'CREATE')"):
        yield Need(
            f"user {facts.user} may not make a publication, nor the heartbeat's schema",
            "as the database's owner",
            (f"GRANT CREATE ON DATABASE {database} TO {user};",),
        )
    heartbeat = conn.execute(
        "SELECT obj_description(c.oid, 'pg_class'), o.rolname::text, "
        "pg_has_role(c.relowner, 'USAGE') FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner "
        "WHERE c.oid = to_regclass(%s)",
        [HEARTBEAT_TABLE],
    ).fetchone()
    if heartbeat is None:
        if schema and not _value(conn, "SELECT has_schema_privilege('cdc', 'CREATE, USAGE')"):
            yield Need(
                f"user {facts.user} may not make {HEARTBEAT_TABLE}: the schema is another's",
                "as its owner",
                (f"GRANT USAGE, CREATE ON SCHEMA cdc TO {user};",),
            )
    elif heartbeat[0] != HEARTBEAT_MARK:
        yield Need(
            f"a table {HEARTBEAT_TABLE} exists and is not a heartbeat of a stack",
            "rename it",
            (f"ALTER TABLE {HEARTBEAT_TABLE} RENAME TO heartbeat_before_cdc;",),
        )
    elif not heartbeat[2]:
        yield Need(
            f"{HEARTBEAT_TABLE} belongs to {heartbeat[1]}, with whom another stack was made",
            "as a superuser or with ADMIN OPTION on that role",
            (f"GRANT {pg_ident(heartbeat[1])} TO {user};",),
        )


def _prepared(conn: Connection, facts: _Facts, plan: Plan) -> Iterator[Need]:
    """What somebody else has to have made for a user that only reads."""
    user = pg_ident(facts.user)
    partial = _names(
        conn,
        _CAPTURED + "SELECT name FROM parts WHERE relkind = 'r' AND relreplident <> 'f' ORDER BY 1",
        tables=list(plan.tables),
    )
    if partial:
        yield Need(
            f"the replica identity of {_listed('table', partial)} is not FULL: updates and deletes "
            "would not carry the whole old row",
            "as the owner",
            tuple(f"ALTER TABLE {pg_qualified(each)} REPLICA IDENTITY FULL;" for each in partial),
        )
    if not _value(
        conn,
        "SELECT CASE WHEN to_regclass(%s) IS NULL THEN false ELSE "
        "has_schema_privilege('cdc', 'USAGE') AND has_table_privilege(%s, 'SELECT') "
        "AND has_table_privilege(%s, 'UPDATE') END",
        *[HEARTBEAT_TABLE] * 3,
    ):
        yield Need(
            f"there is no heartbeat table that user {facts.user} may update: without one an idle "
            "source keeps its log for ever",
            "as an administrator of the database",
            (
                "CREATE SCHEMA IF NOT EXISTS cdc;",
                *HEARTBEAT.strip().splitlines(),
                f"GRANT USAGE ON SCHEMA cdc TO {user};",
                f"GRANT SELECT, UPDATE ON {HEARTBEAT_TABLE} TO {user};",
            ),
        )
    yield from _published(conn, facts, plan)


def _published(conn: Connection, facts: _Facts, plan: Plan) -> Iterator[Need]:
    name, wanted = pg_ident(plan.publication), [*plan.tables, HEARTBEAT_TABLE]
    found = conn.execute(
        "SELECT oid, puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate, "
        "pubviaroot FROM pg_publication WHERE pubname = %s",
        [plan.publication],
    ).fetchone()
    options = "publish = 'insert, update, delete, truncate', publish_via_partition_root = true"
    if found is None:
        tables = ", ".join(pg_qualified(each) for each in wanted)
        yield Need(
            f"there is no publication {plan.publication}",
            "as the tables' owner",
            (f"CREATE PUBLICATION {name} FOR TABLE {tables} WITH ({options});",),
        )
        return
    oid, everything, complete, via_root = found
    if not (complete and via_root):
        yield Need(
            f"publication {plan.publication} leaves changes out, or publishes parts of partitioned "
            "tables as themselves",
            "as its owner",
            (f"ALTER PUBLICATION {name} SET ({options});",),
        )
    if everything:
        return
    carried = set(
        _names(
            conn,
            "SELECT schemaname::text || '.' || tablename FROM pg_publication_tables "
            "WHERE pubname = %(publication)s",
            publication=plan.publication,
        )
    )
    if missing := [table for table in wanted if table not in carried]:
        tables = ", ".join(pg_qualified(each) for each in missing)
        yield Need(
            f"publication {plan.publication} lacks {_listed('table', missing)}",
            "as its owner",
            (f"ALTER PUBLICATION {name} ADD TABLE {tables};",),
        )
    if facts.version >= 15:
        cut = _names(
            conn,
            "SELECT n.nspname::text || '.' || c.relname FROM pg_publication_rel r "
            "JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE r.prpubid = %(publication)s "
            "AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL) ORDER BY 1",
            publication=oid,
        )
        for each in set(cut) & set(wanted):
            yield Need(
                f"publication {plan.publication} carries only some rows or columns of {each}",
                "as its owner",
                (
                    f"ALTER PUBLICATION {name} DROP TABLE {pg_qualified(each)};",
                    f"ALTER PUBLICATION {name} ADD TABLE {pg_qualified(each)};",
                ),
            )


def _value(conn: Connection, statement: str, *arguments: object) -> Any:
    row = conn.execute(statement.encode(), arguments or None).fetchone()
    return None if row is None else row[0]


def _names(conn: Connection, statement: str, **parameters: object) -> list[str]:
    return [row[0] for row in conn.execute(statement.encode(), parameters)]


def _listed(what: str, names: Sequence[str]) -> str:
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"{what}{'s' if len(names) != 1 else ''} {shown}" if names else f"no {what}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
