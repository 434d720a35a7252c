"""The server and the user: version, log, room for a slot, rights."""

from __future__ import annotations

from collections.abc import Iterator

from catalog.names import pg_ident
from ops.readiness_model import Connection, Facts, Need, Plan, listed, names, value

OLDEST = 13  # the first with publish_via_partition_root and a slot's wal_status

# Managed servers, known by a role that each of them has; their settings are not set by SQL.
MANAGED = {
    "rds_superuser": "in the parameter group of Amazon RDS or Aurora, then reboot: "
    "rds.logical_replication = 1",
    "cloudsqlsuperuser": "among the flags of Cloud SQL, which restarts it: "
    "cloudsql.logical_decoding = on",
    "azure_pg_admin": "among the server parameters of Azure, then restart: wal_level = logical",
    "neon_superuser": "in the project's settings of Neon: enable logical replication",
}


def facts(conn: Connection, plan: Plan) -> Facts:
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
        replication |= value(conn, "SELECT pg_has_role('rds_replication', 'MEMBER')")
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
    ours = value(
        conn,
        "SELECT obj_description(oid, 'pg_publication') = %s FROM pg_publication WHERE pubname = %s",
        plan.mark,
        plan.publication,
    )
    return Facts(
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


def itself(conn: Connection, facts: Facts) -> Iterator[Need]:
    if facts.version < OLDEST:
        yield Need(
            f"the server is PostgreSQL {facts.settings['server_version']}, {OLDEST} is the oldest "
            "that works",
            "upgrade it",
        )
    if value(conn, "SELECT pg_is_in_recovery()"):
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


def room(conn: Connection, facts: Facts, plan: Plan) -> Iterator[Need]:
    for setting, what, used, has in (
        ("max_replication_slots", "replication slots", "pg_replication_slots", facts.slot),
        ("max_wal_senders", "WAL senders", "pg_stat_replication", facts.slot and facts.slot[2]),
    ):
        most = int(facts.settings[setting])
        taken = int(value(conn, f"SELECT count(*) FROM {used}"))
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


def user(conn: Connection, facts: Facts, plan: Plan) -> Iterator[Need]:
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
    if not value(
        conn,
        "SELECT has_database_privilege('public', current_database(), 'CONNECT') "
        "OR has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION')",
    ):
        yield Need(
            f"user {facts.user} may not let {plan.role} into database {facts.database}",
            "as the database's owner",
            (f"GRANT CONNECT ON DATABASE {database} TO {user} WITH GRANT OPTION;",),
        )
    closed = names(
        conn,
        "SELECT DISTINCT nspname::text FROM pg_namespace WHERE nspname = ANY(%(schemas)s) "
        "AND NOT has_schema_privilege('public', oid, 'USAGE') "
        "AND NOT has_schema_privilege(oid, 'USAGE WITH GRANT OPTION') ORDER BY 1",
        schemas=[table.split(".", 1)[0] for table in plan.tables],
    )
    if closed:
        yield Need(
            f"user {facts.user} may not let {plan.role} into {listed('schema', closed)}",
            "as their owner",
            tuple(
                f"GRANT USAGE ON SCHEMA {pg_ident(each)} TO {user} WITH GRANT OPTION;"
                for each in closed
            ),
        )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
