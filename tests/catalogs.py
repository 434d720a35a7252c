"""Everything a server's catalogs say, to be compared before and after."""

from __future__ import annotations

from typing import Any

import psycopg

# An access list that was never written down (NULL) means the same as the owner's default written
# out, which GRANT and REVOKE leave behind; pg_dump tells them apart as little.
_ACL = """
(SELECT array_agg(format('%%s %%s by %%s%%s', CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE
        pg_get_userbyid(a.grantee) END, a.privilege_type, pg_get_userbyid(a.grantor),
        CASE WHEN a.is_grantable THEN ' +' ELSE '' END) ORDER BY 1)
 FROM aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))) a)
"""

QUERIES = {
    "roles": "SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, "
    "rolreplication, rolbypassrls, rolconnlimit, rolconfig, shobj_description(oid, 'pg_authid') "
    "FROM pg_roles",
    "memberships": "SELECT roleid::regrole::text, member::regrole::text, grantor::regrole::text, "
    "admin_option FROM pg_auth_members",
    "settings of roles": "SELECT setdatabase, setrole::regrole::text, setconfig "
    "FROM pg_db_role_setting",
    "databases": "SELECT datname, " + _ACL.format(acl="datacl", kind="d", owner="datdba") + ", "
    "shobj_description(oid, 'pg_database') FROM pg_database",
    "schemas": "SELECT nspname, nspowner::regrole::text, "
    + _ACL.format(acl="nspacl", kind="n", owner="nspowner")
    + ", obj_description(oid, 'pg_namespace') FROM pg_namespace "
    "WHERE nspname !~ '^pg_(temp|toast_)'",
    "relations": "SELECT n.nspname, c.relname, c.relkind, c.relowner::regrole::text, "
    "c.relpersistence, c.relreplident, c.reloptions, c.relrowsecurity, "
    + _ACL.format(acl="c.relacl", kind="r", owner="c.relowner")
    + ", obj_description(c.oid, 'pg_class'), "
    "(SELECT x.indexrelid::regclass::text FROM pg_index x WHERE x.indrelid = c.oid "
    "AND x.indisreplident) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname !~ '^pg_(temp|toast_|catalog)'",
    "columns": "SELECT a.attrelid::regclass::text, a.attnum, a.attname, "
    "format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attacl::text, a.attstattarget "
    "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "WHERE c.relnamespace::regnamespace::text !~ '^pg_' AND a.attnum > 0",
    "functions": "SELECT oid::regprocedure::text FROM pg_proc WHERE oid >= 16384",
    "types": "SELECT oid::regtype::text FROM pg_type WHERE oid >= 16384",
    "triggers": "SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger",
    "constraints": "SELECT conrelid::regclass::text, conname, contype FROM pg_constraint",
    "default privileges": "SELECT defaclrole::regrole::text, defaclacl::text FROM pg_default_acl",
    "extensions": "SELECT extname, extversion FROM pg_extension",
    "event triggers": "SELECT evtname FROM pg_event_trigger",
    "publications": "SELECT pubname, pubowner::regrole::text, puballtables, pubinsert, pubupdate, "
    "pubdelete, pubtruncate, pubviaroot, obj_description(oid, 'pg_publication') "
    "FROM pg_publication",
    "published": "SELECT prpubid, prrelid::regclass::text FROM pg_publication_rel",
    "slots": "SELECT slot_name, plugin, database FROM pg_replication_slots",
    "comments": "SELECT count(*) FROM pg_description WHERE objoid >= 16384",
    "shared comments": "SELECT count(*) FROM pg_shdescription",
}


def catalogs(dsn: str) -> dict[str, list[Any]]:
    """By kind: one text a line of the catalogs, sorted. Never empty where a server has anything."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SET search_path = ''")
        found = {
            kind: sorted(repr(row) for row in conn.execute(query.replace("%%", "%").encode()))
            for kind, query in QUERIES.items()
        }
    assert found["relations"] and found["roles"]
    return found
