"""What there is in each service that something could leave behind."""

from __future__ import annotations

import requests
from confluent_kafka.admin import AdminClient

from ops.stack import Deployed

_POSTGRES = {
    "slots": "SELECT slot_name FROM pg_replication_slots",
    "publications": "SELECT pubname FROM pg_publication",
    "tables": "SELECT oid::regclass::text FROM pg_class WHERE oid >= 16384 AND relkind = 'r'",
    "schemas": "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'",
}
_CLICKHOUSE = {
    "objects": "SELECT concat(database, '.', name) FROM system.tables WHERE database != 'system'",
    "databases": "SELECT name FROM system.databases",
    "letters": "SELECT DISTINCT source FROM cdc.dead_letters",
    "truncates": "SELECT DISTINCT source FROM cdc.truncates",
}


def everything(deployed: Deployed) -> dict[str, set[str]]:
    """Names, by kind."""
    admin = AdminClient({"bootstrap.servers": deployed.kafka, "log_level": 0})
    connectors = requests.get(f"{deployed.connect.url}/connectors", timeout=30)
    found = {
        "connectors": set(connectors.json()),
        "topics": set(admin.list_topics(timeout=30).topics),
        "groups": {group.group_id for group in admin.list_consumer_groups().result().valid},
    }
    with deployed.postgres.connect() as connection, deployed.clickhouse.client() as client:
        for kind, query in _POSTGRES.items():
            found[kind] = {row[0] for row in connection.execute(query.encode())}
        for kind, query in _CLICKHOUSE.items():
            found[kind] = {row[0] for row in client.query(query).result_rows}
    return found
