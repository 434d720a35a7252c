"""A monitor's login on a real Postgres."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from providers.base import ProviderError
from providers.monitor_role import MonitorRoleProvider
from tests.providers.conftest import Services


def _props(services: Services, **changed: Any) -> dict[str, Any]:
    return {
        "connection": services.postgres,
        "role": "watch",
        "password": "pw-1",
        "mark": "cdc stack test",
        "able": True,
        **changed,
    }


def test_the_monitor_sees_the_server_and_no_rows(services: Services) -> None:
    provider, props = MonitorRoleProvider(), _props(services)
    provider.create(props)
    dsn = f"host=127.0.0.1 port={services.ports.postgres} dbname=inventory user=watch"
    with psycopg.connect(f"{dsn} password=pw-1", autocommit=True) as monitor:
        query = "SELECT count(*) FROM pg_stat_activity WHERE query = '<insufficient privilege>'"
        row = monitor.execute(query).fetchone()
        assert row == (0,)
        monitor.execute("SELECT * FROM pg_replication_slots")
        for refused in (
            "SELECT * FROM inventory.orders",
            "CREATE TABLE public.mine (a int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                monitor.execute(refused.encode())
    provider.delete("watch", props)
    assert provider.read("watch", props).id == ""


def test_more_or_fewer_rights_are_seen_and_put_right(services: Services) -> None:
    provider, props = MonitorRoleProvider(), _props(services)
    provider.create(props)
    for change in ("REVOKE pg_monitor FROM watch", "ALTER ROLE watch SUPERUSER"):
        with services.sql() as conn:
            conn.execute(change.encode())
        seen = provider.read("watch", props).outs
        assert seen is not None
        assert provider.changed(seen, props) == ["able"], change
        provider.update("watch", seen, props)
        assert provider.read("watch", props).outs == props
    provider.delete("watch", props)


def test_somebody_elses_role_is_neither_taken_nor_dropped(services: Services) -> None:
    provider, props = MonitorRoleProvider(), _props(services)
    with services.sql() as conn:
        conn.execute("CREATE ROLE watch LOGIN")
    with pytest.raises(ProviderError, match="that this stack did not make"):
        provider.create(props)
    provider.delete("watch", props)
    with services.sql() as conn:
        conn.execute("DROP ROLE watch")
