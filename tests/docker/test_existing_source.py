"""Containers that capture a Postgres which is none of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from socket import AF_INET

import docker
import psutil
import psycopg
import pytest

from tests.checkout import Checkout
from tests.local.scratch import postgres

PASSWORD = "of-the-owner"
# Containers and this machine come from addresses of theirs; the test itself comes over loopback.
CLOSED = """\
host all all 127.0.0.1/32 trust
host all all all scram-sha-256
host replication all all scram-sha-256
"""


@pytest.fixture(scope="module")
def gateway(client: docker.DockerClient) -> str:
    """This machine's address as containers see it."""
    subnet = ip_network(client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Subnet"])
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family == AF_INET and ip_address(each.address) in subnet:
                return str(each.address)
    pytest.skip("the Docker engine is on another machine than this test's Postgres")


@pytest.fixture(scope="module")
def server(gateway: str) -> Iterator[str]:
    settings = {"listen_addresses": f"127.0.0.1,{gateway}"}
    with postgres("shop", settings, {"pg_hba.conf": CLOSED}) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE postgres PASSWORD '{PASSWORD}'".encode())
            connection.execute(
                "CREATE TABLE visit (id int PRIMARY KEY, worth numeric, at timestamptz);"
                "INSERT INTO visit SELECT n, n / 7.0, now() FROM generate_series(1, 5000) n"
            )
        yield dsn


def test_a_source_elsewhere_is_captured_and_left_as_it_was(
    project: Checkout, server: str, gateway: str
) -> None:
    port = psycopg.conninfo.conninfo_to_dict(server)["port"]
    # To watch is somebody else's, too.
    project.write(sample=False, tables=[{"schema": "public"}], services=[])
    assert project.pulumi("stack", "init", project.stack).returncode == 0
    project.configure(secret=True, source=f"postgresql://postgres:{PASSWORD}@{gateway}:{port}/shop")
    done = project.cdc("up", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("UPDATE visit SET worth = worth + 0.001 WHERE id % 3 = 0")
        connection.execute("DELETE FROM visit WHERE id % 5 = 0")
        [report] = project.verified()
        assert report["equal"] and report["source_rows"] == 4000, report
        assert project.cdc("down", "--purge").returncode == 0
        for left in ("pg_replication_slots", "pg_publication"):
            assert connection.execute(f"SELECT * FROM {left}".encode()).fetchall() == []
