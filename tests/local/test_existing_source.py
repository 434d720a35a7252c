"""A stack on a server that nobody of us made: TLS, patterns, limited rights, and no trace left.

The tests build on each other, in order. The server is real, another one than any stack's own; its
users are no superusers, and it lets nobody in without TLS.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from psycopg.conninfo import conninfo_to_dict

from tests.catalogs import catalogs
from tests.checkout import Checkout, checkout
from tests.local.scratch import postgres

# As `pgbench -i` makes them, and a shop of somebody else's.
FOREIGN = """
CREATE ROLE app LOGIN PASSWORD 'of-the-app';
CREATE ROLE dba LOGIN PASSWORD 'of/the dba' CREATEROLE REPLICATION;
CREATE ROLE watcher LOGIN PASSWORD 'of-the-watcher' REPLICATION;
GRANT app TO dba;
REVOKE ALL ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO dba WITH GRANT OPTION;
GRANT CONNECT ON DATABASE shop TO watcher;
GRANT CREATE ON DATABASE shop TO dba;
GRANT ALL ON SCHEMA public TO app;
CREATE SCHEMA crm AUTHORIZATION app;
SET ROLE app;
CREATE TABLE public.pgbench_accounts
    (aid int NOT NULL, bid int, abalance int, filler char(84)) WITH (fillfactor=100);
CREATE TABLE public.pgbench_branches
    (bid int NOT NULL, bbalance int, filler char(88)) WITH (fillfactor=100);
CREATE TABLE public.pgbench_tellers
    (tid int NOT NULL, bid int, tbalance int, filler char(84)) WITH (fillfactor=100);
CREATE TABLE public.pgbench_history
    (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
ALTER TABLE public.pgbench_accounts ADD PRIMARY KEY (aid);
ALTER TABLE public.pgbench_branches ADD PRIMARY KEY (bid);
ALTER TABLE public.pgbench_tellers ADD PRIMARY KEY (tid);
INSERT INTO pgbench_branches SELECT n, 0, NULL FROM generate_series(1, 3) n;
INSERT INTO pgbench_tellers SELECT n, n / 10 + 1, 0, NULL FROM generate_series(1, 29) n;
INSERT INTO pgbench_accounts SELECT n, n % 3 + 1, n, 'f' || n FROM generate_series(1, 3000) n;
CREATE TABLE crm.contacts (
    region text, number int, name text NOT NULL, since date, note text, PRIMARY KEY (region, number)
);
ALTER TABLE crm.contacts REPLICA IDENTITY NOTHING;
CREATE TABLE crm.visits (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamptz NOT NULL, worth numeric(12, 2)
);
CREATE TABLE crm."Follow Ups" ("When" date PRIMARY KEY, "select" text);
CREATE UNLOGGED TABLE crm.cache (id int PRIMARY KEY);
COMMENT ON TABLE crm.visits IS 'theirs';
GRANT SELECT ON crm.visits TO watcher;
INSERT INTO crm.contacts
    SELECT 'r' || n % 4, n, 'Zoë ' || n, date '2020-01-01' + n, NULL FROM generate_series(1, 500) n;
INSERT INTO crm."Follow Ups" VALUES ('2025-02-28', 'call'), ('2024-02-29', NULL);
INSERT INTO crm.visits (at, worth)
    SELECT timestamptz '2024-05-01 12:00+00' + n * interval '1 minute', n * 1.05
    FROM generate_series(1, 500) n;
RESET ROLE;
"""
CHANGES = """
UPDATE public.pgbench_accounts SET abalance = abalance - 7 WHERE aid % 5 = 0;
UPDATE public.pgbench_tellers SET tbalance = 7;
INSERT INTO public.pgbench_history VALUES (1, 1, 1, -7, now());
INSERT INTO public.pgbench_history SELECT 1, 1, 1, -7, '2026-01-01' FROM generate_series(1, 5);
UPDATE crm."Follow Ups" SET "select" = 'write' WHERE "select" IS NULL;
DELETE FROM crm.contacts WHERE number % 10 = 3;
UPDATE crm.contacts SET number = number + 10000, note = E'two\\nlines\\t\\\\' WHERE number % 10 = 4;
INSERT INTO crm.visits (at, worth) SELECT now(), NULL FROM generate_series(1, 50);
"""
TABLES = [
    {"schema": "crm", "exclude": ["cache"]},
    "public.pgbench_*",
]
CAPTURED = [
    "crm.Follow Ups",
    "crm.contacts",
    "crm.visits",
    "public.pgbench_accounts",
    "public.pgbench_branches",
    "public.pgbench_history",
    "public.pgbench_tellers",
]
OPENSSL = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
# The test itself comes in as the superuser; everybody else needs TLS and a password.
CLOSED = """
host    all postgres 127.0.0.1/32 trust
hostssl all all      127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class Server:
    """dsn: the superuser's. certificate: what to trust, a file."""

    dsn: str
    certificate: Path

    def url(self, user: str, password: str) -> str:
        at = conninfo_to_dict(self.dsn)
        return (
            f"postgresql://{user}:{password}@{at['host']}:{at['port']}/{at['dbname']}"
            f"?sslmode=verify-full&sslrootcert={self.certificate}&channel_binding=require"
        )

    def sql(self, statements: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as conn:
            cursor = conn.execute(statements.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "server.key", folder / "server.crt"
    subject = ("-subj", "/CN=somebody else's server", "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run(
        [*OPENSSL, *subject, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    files = {
        "server.key": key.read_text(),
        "server.crt": certificate.read_text(),
        "pg_hba.conf": CLOSED,
    }
    with postgres("shop", {"ssl": "on"}, files) as dsn:
        made = Server(dsn, certificate)
        made.sql(FOREIGN)
        yield made


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with checkout(tmp_path_factory.mktemp("clone")) as copy:
        copy.write(sample=False, tables=TABLES)
        assert copy.pulumi("stack", "init", "local").returncode == 0
        yield copy


def _same(project: Checkout, server: Server) -> None:
    """Both ways: by `verify`, and by counts and sums that don't depend on it."""
    reports = project.verified()
    assert [report["table"] for report in reports] == CAPTURED
    assert all(report["equal"] for report in reports), reports
    with project.deployed().clickhouse.client() as client:
        for query in (
            "SELECT count(*), sum(abalance), sum(length(filler)) FROM public.pgbench_accounts",
            "SELECT count(*), sum(number), count(note) FROM crm.contacts",
            "SELECT count(*), sum(worth), count(worth) FROM crm.visits",
        ):
            found = client.query(query).result_rows[0]
            theirs = server.sql(query.replace("length(filler)", "octet_length(filler)"))[0]
            assert [str(each) for each in found] == [str(each) for each in theirs], query


def _told(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr


def test_a_password_in_the_open_is_refused(project: Checkout, server: Server) -> None:
    project.configure(source=server.url("watcher", "of-the-watcher"))
    done = project.pulumi("preview", "-s", "local")
    assert done.returncode != 0
    assert "config set --secret cdc:source" in done.stdout + done.stderr
    assert "of-the-watcher" not in done.stdout + done.stderr


def test_what_is_missing_is_one_message_and_nothing_was_changed(
    project: Checkout, server: Server
) -> None:
    before = catalogs(server.dsn)
    project.configure(secret=True, source=server.url("watcher", "of-the-watcher"))
    message = _told(project.cdc("up"))
    assert message.count("error:") == 1, message
    assert "is not ready to be captured; nothing was changed" in message
    assert re.search(r"^ {7}GRANT \"app\" TO \"watcher\";$", message, re.M), message
    wrong = server.url("watcher", "wrong")
    project.configure(secret=True, source=wrong)
    assert "password authentication failed" in _told(project.cdc("up"))
    untrusted = re.sub("sslrootcert=[^&]*", "sslrootcert=system", wrong)
    project.configure(secret=True, source=untrusted)
    assert "certificate verify failed" in _told(project.cdc("up"))
    assert catalogs(server.dsn) == before
    assert not (project.home / "local" / "conf.d").exists(), "no service was started"


def test_up_captures_it_by_configuration_only(project: Checkout, server: Server) -> None:
    before = catalogs(server.dsn)
    (project.folder / "before.json").write_text(json.dumps(before))
    project.configure(secret=True, source=server.url("dba", "of%2Fthe%20dba"))
    done = project.cdc("up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "./cdc load" not in done.stdout
    assert done.stdout.count("warning: ") == 1
    assert "max_slot_wal_keep_size is -1 on the source" in done.stdout
    _same(project, server)
    server.sql(CHANGES)
    _same(project, server)


def test_no_postgres_of_its_own_runs_and_status_says_so(project: Checkout) -> None:
    done = project.cdc("status", "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    states = {each["name"]: each["state"] for each in status["services"]}
    assert states["postgres"] == "existing"
    assert status["slot_lag_bytes"] is not None
    assert not (project.home / "local" / "postgres").exists()
    load = project.cdc("load")
    assert load.returncode == 1
    assert "no sample schema" in load.stderr


def test_the_connector_comes_by_tls_as_a_login_of_its_own(server: Server) -> None:
    found = server.sql(
        "SELECT DISTINCT a.usename::text, s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a "
        "USING (pid) WHERE a.usename LIKE 'cdc%'"
    )
    assert found == [("cdc_local_reader", True)]


def test_the_given_password_is_readable_nowhere(project: Checkout) -> None:
    at = project.deployed().connect
    config = requests.get(f"{at.url}/connectors/{at.connector}/config", timeout=10)
    assert config.json()["database.sslmode"] == "verify-full"
    texts = {"connector": config.text, "tasks": json.dumps(config.json())}
    for folder in (project.folder / ".pulumi-state", project.home / "local"):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_relative_to(project.home / "local" / "kafka"):
                texts[str(path)] = path.read_text(errors="replace")
    assert len(texts) > 10
    forms = ("of/the dba", "of%2Fthe%20dba", "of\\/the dba")
    assert [place for place, text in texts.items() if any(form in text for form in forms)] == []


def test_a_second_up_changes_nothing_and_a_new_table_is_in_the_next_preview(
    project: Checkout, server: Server
) -> None:
    same = project.pulumi("preview", "--expect-no-changes", "-s", "local")
    assert same.returncode == 0, same.stdout + same.stderr
    server.sql(
        "SET ROLE app; CREATE TABLE crm.later (id int PRIMARY KEY); "
        "CREATE TABLE crm.keeps (id point)"
    )
    try:
        refused = project.pulumi("preview", "-s", "local")
        assert "crm.keeps" in refused.stdout + refused.stderr
        server.sql("DROP TABLE crm.keeps")
        planned = project.pulumi("preview", "-s", "local")
        assert planned.returncode == 0, planned.stdout + planned.stderr
        assert "source-crm.later" in planned.stdout
    finally:
        server.sql("DROP TABLE IF EXISTS crm.keeps; DROP TABLE crm.later")


def test_down_leaves_the_server_as_it_was(project: Checkout, server: Server) -> None:
    done = project.cdc("down")
    assert done.returncode == 0, done.stderr
    assert catalogs(server.dsn) == json.loads((project.folder / "before.json").read_text())


def test_a_reader_captures_what_somebody_else_prepared(project: Checkout, server: Server) -> None:
    project.configure(sourceUser="reader", publication="prepared")
    project.configure(secret=True, source=server.url("watcher", "of-the-watcher"))
    message = _told(project.cdc("up"))
    for line in message.splitlines():
        if line.rstrip().endswith(";"):
            server.sql(line)
    before = catalogs(server.dsn)
    done = project.cdc("up")
    assert done.returncode == 0, done.stdout + done.stderr
    server.sql(CHANGES.replace("10000", "20000"))
    _same(project, server)
    made = catalogs(server.dsn)
    assert {kind for kind in made if made[kind] != before[kind]} == {"slots"}
    assert project.cdc("status").returncode == 0
    assert project.cdc("down", "--purge").returncode == 0
    assert catalogs(server.dsn) == before
