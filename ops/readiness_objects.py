"""The tables and what has to be made for them, by the stack or by somebody else beforehand."""

from __future__ import annotations

from collections.abc import Iterator

from catalog.names import pg_ident, pg_qualified
from ops.readiness_model import Connection, Facts, Need, Plan, listed, names, value
from providers.heartbeat import CREATE as HEARTBEAT
from providers.heartbeat import MARK as HEARTBEAT_MARK
from providers.heartbeat import TABLE as HEARTBEAT_TABLE

# A captured table and, where it is partitioned, each of its parts.
CAPTURED = """
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


def captured(conn: Connection, facts: Facts, plan: Plan) -> Iterator[Need]:
    user = pg_ident(facts.user)
    unread = names(
        conn,
        CAPTURED + "SELECT name FROM parts WHERE NOT has_table_privilege(oid, 'SELECT') "
        "OR NOT has_schema_privilege(split_part(name, '.', 1), 'USAGE') ORDER BY 1",
        tables=list(plan.tables),
    )
    if unread:
        yield Need(
            f"user {facts.user} may not read {listed('table', unread)}",
            "as their owner",
            tuple(
                dict.fromkeys(
                    f"GRANT USAGE ON SCHEMA {pg_ident(each.split('.', 1)[0])} TO {user};"
                    for each in unread
                )
            )
            + tuple(f"GRANT SELECT ON {pg_qualified(each)} TO {user};" for each in unread),
        )
    # The load of a table without a key locks it for a moment (ops/backfill/source.py, `cut`);
    # any one of these lets a user do so (https://www.postgresql.org/docs/16/sql-lock.html).
    unlocked = names(
        conn,
        CAPTURED + "SELECT nspname || '.' || relname FROM captured "
        "WHERE nspname || '.' || relname = ANY (%(unkeyed)s) "
        "AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = captured.oid AND indisprimary) "
        "AND NOT has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE') ORDER BY 1",
        tables=list(plan.tables),
        unkeyed=list(plan.unkeyed),
    )
    if unlocked:
        yield Need(
            f"user {facts.user} may not lock {listed('table', unlocked)} without a key, which is "
            "done for a moment to load it",
            "as their owner; or give the table a `key` in cdc:tables, or leave it out",
            tuple(f"GRANT UPDATE ON {pg_qualified(each)} TO {user};" for each in unlocked),
        )
    hidden = names(
        conn,
        CAPTURED + "SELECT name FROM parts WHERE row_security_active(oid) ORDER BY 1",
        tables=list(plan.tables),
    )
    if hidden:
        yield Need(
            f"row security policies hide rows of {listed('table', hidden)} from user {facts.user}",
            "as a superuser",
            (f"ALTER ROLE {user} BYPASSRLS;",),
        )
    if plan.user_is != "reader":
        yield from _owned(conn, facts, plan)


def _owned(conn: Connection, facts: Facts, plan: Plan) -> Iterator[Need]:
    rows = conn.execute(
        CAPTURED + "SELECT o.rolname::text, o.rolsuper, array_agg(name ORDER BY name) "
        "FROM parts JOIN pg_roles o ON o.oid = relowner "
        "WHERE NOT pg_has_role(relowner, 'USAGE') GROUP BY 1, 2 ORDER BY 1",
        {"tables": list(plan.tables)},
    ).fetchall()
    for owner, powerful, tables in rows:
        user = pg_ident(facts.user)
        yield Need(
            f"user {facts.user} is not the owner of {listed('table', tables)}: only {owner} may "
            "publish them and set their replica identity",
            "as that owner or a superuser"
            if powerful
            else "as a superuser or with ADMIN OPTION on that role, or set cdc:sourceUser to "
            "reader and have the owner prepare them",
            tuple(f"ALTER TABLE {pg_qualified(each)} OWNER TO {user};" for each in tables)
            if powerful
            else (f"GRANT {pg_ident(owner)} TO {user};",),
        )


def made(conn: Connection, facts: Facts, plan: Plan) -> Iterator[Need]:
    """What the stack makes itself: may it, and are the names free?"""
    user, database = pg_ident(facts.user), pg_ident(facts.database)
    exists = value(conn, "SELECT 1 FROM pg_publication WHERE pubname = %s", plan.publication)
    if exists and not facts.ours:
        tables = names(
            conn,
            "SELECT schemaname::text || '.' || tablename FROM pg_publication_tables "
            "WHERE pubname = %(publication)s ORDER BY 1",
            publication=plan.publication,
        )
        yield Need(
            f"a publication {plan.publication} of {listed('table', tables)} exists and is not "
            "this stack's",
            "set cdc:publication to another name, or, if nobody needs it",
            (f"DROP PUBLICATION {pg_ident(plan.publication)};",),
        )
    if not value(conn, "SELECT has_database_privilege(current_database(), 'CREATE')"):
        yield Need(
            f"user {facts.user} may not make a publication, nor the heartbeat's schema",
            "as the database's owner",
            (f"GRANT CREATE ON DATABASE {database} TO {user};",),
        )
    heartbeat = conn.execute(
        "SELECT obj_description(c.oid, 'pg_class'), o.rolname::text, "
        "pg_has_role(c.relowner, 'USAGE') FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname || '.' || c.relname = %s",  # to_regclass wants USAGE
        [HEARTBEAT_TABLE],
    ).fetchone()
    theirs = heartbeat is not None and heartbeat[0] != HEARTBEAT_MARK
    if theirs:
        yield Need(
            f"a table {HEARTBEAT_TABLE} exists and is not a heartbeat of a stack",
            "rename it",
            (f"ALTER TABLE {HEARTBEAT_TABLE} RENAME TO heartbeat_before_cdc;",),
        )
    elif heartbeat is not None and not heartbeat[2]:
        yield Need(
            f"{HEARTBEAT_TABLE} belongs to {heartbeat[1]}, with whom another stack was made",
            "as a superuser or with ADMIN OPTION on that role",
            (f"GRANT {pg_ident(heartbeat[1])} TO {user};",),
        )
    if (heartbeat is None or theirs) and not value(
        conn,
        "SELECT coalesce(bool_and(has_schema_privilege(oid, 'CREATE') "
        "AND has_schema_privilege(oid, 'USAGE')), true) FROM pg_namespace WHERE nspname = 'cdc'",
    ):
        yield Need(
            f"user {facts.user} may not make {HEARTBEAT_TABLE}: its schema is another's",
            "as the schema's owner",
            (f"GRANT USAGE, CREATE ON SCHEMA cdc TO {user};",),
        )


def prepared(conn: Connection, facts: Facts, plan: Plan) -> Iterator[Need]:
    """What somebody else has to have made for a user that only reads."""
    user = pg_ident(facts.user)
    partial = names(
        conn,
        CAPTURED + "SELECT name FROM parts WHERE relkind = 'r' AND relreplident <> 'f' ORDER BY 1",
        tables=list(plan.tables),
    )
    if partial:
        yield Need(
            f"the replica identity of {listed('table', partial)} is not FULL: updates and deletes "
            "would not carry the whole old row",
            "as the owner",
            tuple(f"ALTER TABLE {pg_qualified(each)} REPLICA IDENTITY FULL;" for each in partial),
        )
    if not value(
        conn,
        "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') "
        "AND has_table_privilege(c.oid, 'UPDATE') FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname = %s",
        HEARTBEAT_TABLE,
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


def _published(conn: Connection, facts: Facts, plan: Plan) -> Iterator[Need]:
    name, wanted = pg_ident(plan.publication), [*plan.tables, HEARTBEAT_TABLE]
    found = conn.execute(
        "SELECT oid, puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate, "
        "pubviaroot FROM pg_publication WHERE pubname = %s",
        [plan.publication],
    ).fetchone()
    options = "publish = 'insert, update, delete, truncate', publish_via_partition_root = true"
    if found is None:
        tables = ", ".join(f"ONLY {pg_qualified(each)}" for each in wanted)
        yield Need(
            f"there is no publication {plan.publication}",
            "as the tables' owner",
            (f"CREATE PUBLICATION {name} FOR TABLE {tables} WITH ({options});",),
        )
        return
    oid, everything, complete, via_root = found
    partitioned = value(
        conn,
        CAPTURED + "SELECT bool_or(relkind = 'p') FROM parts",
        tables=list(plan.tables),
    )
    if not complete or (partitioned and not via_root):
        yield Need(
            f"publication {plan.publication} leaves changes out, or publishes parts of partitioned "
            "tables as themselves",
            "as its owner",
            (f"ALTER PUBLICATION {name} SET ({options});",),
        )
    if everything:
        return
    carried = set(
        names(
            conn,
            "SELECT schemaname::text || '.' || tablename FROM pg_publication_tables "
            "WHERE pubname = %(publication)s",
            publication=plan.publication,
        )
    )
    if missing := [table for table in wanted if table not in carried]:
        tables = ", ".join(f"ONLY {pg_qualified(each)}" for each in missing)
        yield Need(
            f"publication {plan.publication} lacks {listed('table', missing)}",
            "as its owner",
            (f"ALTER PUBLICATION {name} ADD TABLE {tables};",),
        )
    if facts.version >= 15:
        cut = names(
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
                    f"ALTER PUBLICATION {name} ADD TABLE ONLY {pg_qualified(each)};",
                ),
            )
