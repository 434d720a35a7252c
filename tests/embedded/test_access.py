"""The analyst reads tables, and nothing else: no writing, no files, no addresses, no secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.embedded.daemon import ADMIN, ANALYST, Daemon

SECRET = "only-for-admins"


@pytest.fixture(scope="session")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of this machine that holds a secret."""
    path = tmp_path_factory.mktemp("secret") / "secret.csv"
    path.write_text(f"{SECRET}\n1\n")
    return path


@pytest.fixture(scope="session")
def kafka(shared: Daemon) -> str:
    """A Kafka table with a password; no broker answers there."""
    shared.ask(
        "CREATE TABLE queue (a String) ENGINE = Kafka SETTINGS kafka_broker_list = '127.0.0.1:1', "
        "kafka_topic_list = 'x', kafka_group_name = 'g', kafka_format = 'JSONAsString', "
        f"kafka_sasl_password = '{SECRET}'"
    )
    return "queue"


def test_the_analyst_reads(shared: Daemon) -> None:
    assert shared.ask("SELECT currentUser(), count() FROM t", ANALYST) == "analytics_user\t3\n"
    assert "t\n" in shared.ask("SHOW TABLES", ANALYST)
    assert shared.ask("DESCRIBE TABLE t", ANALYST).startswith("a\tInt32")
    assert shared.ask("DESCRIBE (SELECT count() AS c FROM t)", ANALYST).startswith("c\tUInt64")
    assert shared.ask("SELECT name FROM system.tables WHERE name = 't'", ANALYST) == "t\n"
    assert shared.ask("EXPLAIN SELECT 1", ANALYST)


@pytest.mark.parametrize("user", [ADMIN, ANALYST])
def test_queries_have_the_new_analyzer_though_the_queues_have_not(
    shared: Daemon, user: tuple[str, str]
) -> None:
    assert shared.ask("SELECT getSetting('enable_analyzer')", user) == "true\n"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (9, 'z')",
        "INSERT INTO t SELECT 9, 'z'",
        "WITH 1 AS x INSERT INTO t SELECT x, 'z'",
        "CREATE TABLE mine (a Int8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE mine (a Int8)",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE FUNCTION f AS x -> x",
        "CREATE USER u",
        "ALTER TABLE t DELETE WHERE 1",
        "ALTER TABLE t ADD COLUMN c Int8",
        "DELETE FROM t WHERE 1",
        "TRUNCATE TABLE t",
        "DROP TABLE t",
        "DETACH TABLE t",
        "RENAME TABLE t TO u",
        "OPTIMIZE TABLE t",
        "SYSTEM FLUSH LOGS",
        "SYSTEM STOP MERGES",
        "KILL QUERY WHERE 1",
        "GRANT SELECT ON *.* TO analytics_user",
        "BACKUP TABLE t TO File('x')",
        "EXECUTE AS cdc_admin SELECT 1",
        "EXECUTE AS default",
        "SET readonly = 0",
        "SET profile = 'default'",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1; DROP TABLE t",
        "exit",
    ],
)
def test_the_analyst_cannot_write(shared: Daemon, sql: str) -> None:
    response = shared.post(sql, ANALYST)
    assert response.status_code != 200, response.text
    assert shared.ask("SELECT count() FROM t") == "3\n"


FILE_READS = [
    "SELECT * FROM file('{path}', 'LineAsString')",
    "SELECT * FROM file('{path}')",
    "SELECT file('{path}')",
    "SELECT `file`('{path}')",
    "SELECT \"file\" ('{path}')",
    "SELECT file /**/ ('{path}')",
    "SELECT * APPLY(file) FROM (SELECT '{path}')",
    "SELECT * APPLY file FROM (SELECT '{path}')",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '{path}')",
    "SELECT arrayMap(x -> file(x), ['{path}'])",
    "WITH (SELECT file('{path}')) AS x SELECT x",
    "SELECT ‘'’, file('{path}'), ‘'’",
    "EXPLAIN QUERY TREE SELECT file('{path}')",
    "EXPLAIN SELECT file('{path}')",
    "DESCRIBE file('{path}', 'CSVWithNames')",
    "DESC TABLE file('{path}', 'CSVWithNames')",
    "DESCRIBE TABLE `file`('{path}', 'CSVWithNames')",
    "DESCRIBE (SELECT * FROM file('{path}', 'CSVWithNames'))",
    "SELECT * FROM view(SELECT * FROM file('{path}', 'LineAsString'))",
    "SELECT * FROM loop(file('{path}', 'LineAsString')) LIMIT 1",
    "SELECT * FROM viewIfPermitted(SELECT file('{path}') AS x ELSE null('x String'))",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file('{path}')))",
    "SELECT 1 AS `a'`, file('{path}') AS `b'`",
    "SELECT 1 AS `a\\`'`, file('{path}') AS `b'`",
    "SELECT 1 AS \"a'\", file('{path}') AS \"b'\"",
    "SELECT $$'$$, file('{path}'), $$'$$",
    "SELECT 'it''s \\' --', file('{path}')",
    "SELECT catboostEvaluate('{path}', 1)",
    "INSERT INTO t FROM INFILE '{path}' FORMAT LineAsString",
    "SELECT 1 SETTINGS additional_result_filter = 'throwIf(1, file(\\'{path}\\'))'",
]


@pytest.mark.parametrize("sql", FILE_READS)
def test_the_analyst_cannot_read_files(shared: Daemon, secret: Path, sql: str) -> None:
    response = shared.post(sql.format(path=secret), ANALYST)
    assert response.status_code != 200
    assert SECRET not in response.text


def test_a_parameter_cannot_name_the_function(shared: Daemon, secret: Path) -> None:
    for sql in (
        f"SELECT {{f:Identifier}}('{secret}')",
        f"SELECT * APPLY {{f:Identifier}} FROM (SELECT '{secret}')",
        f"SELECT * APPLY({{f:Identifier}}) FROM (SELECT '{secret}')",
        f"DESCRIBE TABLE {{f:Identifier}}('{secret}', 'CSVWithNames')",
        f"DESCRIBE {{f:Identifier}}('{secret}', 'CSVWithNames')",
    ):
        response = shared.post(sql, ANALYST, param_f="file")
        assert response.status_code != 200
        assert SECRET not in response.text


def test_files_can_be_read_at_all_so_that_the_refusals_prove_something(
    shared: Daemon, secret: Path
) -> None:
    for sql in (FILE_READS[0], FILE_READS[2], FILE_READS[7], FILE_READS[14]):
        assert SECRET in shared.ask(sql.format(path=secret), ADMIN)


@pytest.mark.parametrize("user", [ADMIN, ANALYST])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 INTO OUTFILE '{path}'",
        "SELECT 1 INTO /* here */ OUTFILE '{path}' TRUNCATE FORMAT TSV",
        "SELECT ‘'’ INTO OUTFILE '{path}'",
        "EXPLAIN SELECT 1 INTO OUTFILE '{path}'",
    ],
)
def test_nobody_writes_files_by_into_outfile(
    shared: Daemon, tmp_path: Path, sql: str, user: tuple[str, str]
) -> None:
    target = tmp_path / "out"
    assert shared.post(sql.format(path=target), user).status_code != 200
    assert not target.exists()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM url('http://127.0.0.1:{port}/ping', 'LineAsString')",
        "DESCRIBE url('http://127.0.0.1:{port}/ping', 'CSVWithNames')",
        "SELECT * FROM s3('http://127.0.0.1:{port}/bucket/key', 'LineAsString')",
        "DESCRIBE s3('http://127.0.0.1:{port}/bucket/key', 'CSV')",
        "SELECT * FROM remote('127.0.0.1:{port}', system.one)",
        "SELECT * FROM postgresql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')",
        "SELECT * FROM executable('id', 'TSV', 'a String')",
        "SELECT * FROM python(x)",
    ],
)
def test_the_analyst_reaches_no_other_address_or_program(shared: Daemon, sql: str) -> None:
    response = shared.post(sql.format(port=shared.port), ANALYST)
    assert response.status_code != 200
    assert "Ok." not in response.text


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW CREATE TABLE {table}",
        "SELECT create_table_query, engine_full FROM system.tables WHERE name = '{table}'",
        "SHOW CREATE TABLE {table} SETTINGS format_display_secrets_in_show_and_select = 1",
        "SHOW CREATE USER cdc_admin",
        "SELECT * FROM system.users",
        "SELECT * FROM system.grants",
        "SELECT * FROM system.query_log",
        "SHOW PROCESSLIST",
    ],
)
def test_the_analyst_sees_no_secret(shared: Daemon, kafka: str, sql: str) -> None:
    text = shared.post(sql.format(table=kafka), ANALYST).text
    assert SECRET not in text
    assert "cdc_admin" not in text.replace("ON cdc_admin", "")


def test_the_analyst_takes_no_message_off_a_queue(shared: Daemon, kafka: str) -> None:
    direct = {"stream_like_engine_allow_direct_select": "1"}
    assert shared.post(f"SELECT * FROM {kafka}", ANALYST, **direct).status_code != 200
    sql = f"SELECT * FROM {kafka} SETTINGS stream_like_engine_allow_direct_select = 1"
    assert shared.post(sql, ANALYST).headers["X-ClickHouse-Exception-Code"] == "164"


def test_the_analyst_changes_only_the_settings_named_for_it(shared: Daemon) -> None:
    sql = "SELECT getSetting('max_execution_time')"
    assert shared.ask(sql, ANALYST) == "60\n"
    assert shared.ask(sql, ANALYST, max_execution_time="5") == "5\n"
    above = shared.post(sql, ANALYST, max_execution_time="9999")
    assert above.headers["X-ClickHouse-Exception-Code"] == "452"
    for name in ("readonly", "max_memory_usage", "additional_result_filter", "profile"):
        refused = shared.post(sql, ANALYST, **{name: "0"})
        assert refused.headers["X-ClickHouse-Exception-Code"] == "164"


def test_the_analyst_is_stopped_by_limits(shared: Daemon) -> None:
    heavy = "SELECT count() FROM (SELECT groupArray(number) FROM numbers(100000000))"
    assert shared.post(heavy, ANALYST).headers["X-ClickHouse-Exception-Code"] == "241"
    slow = "SELECT sum(sin(number)) FROM numbers(100000000000)"
    assert shared.post(slow, ANALYST, max_execution_time="1").status_code == 408


def test_sessions_of_two_users_never_meet(shared: Daemon) -> None:
    shared.ask("CREATE TEMPORARY TABLE private (a Int8)", session_id="same")
    assert shared.post("SELECT * FROM private", ANALYST, session_id="same").status_code == 404


def test_no_password_is_on_the_command_line_or_readable_by_others(shared: Daemon) -> None:
    command = Path(f"/proc/{shared.pid}/cmdline").read_bytes().decode()
    environment = Path(f"/proc/{shared.pid}/environ").read_bytes().decode()
    for _, password in (ADMIN, ANALYST):
        assert password not in command + environment
    users = shared.data / "embedded" / "users.xml"
    assert users.stat().st_mode & 0o077 == 0
