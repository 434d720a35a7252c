"""ClickHouse's HTTP protocol, as curl and the Go client speak it."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import lz4.frame  # type: ignore[import-untyped]
import pytest
import requests
import zstandard

from tests.embedded.daemon import ADMIN, Daemon, until

GZIP = gzip.compress
LONG = "SELECT sum(sin(number)) FROM numbers(100000000000)"


def test_ping_needs_no_password(shared: Daemon) -> None:
    for path in ("ping", "replicas_status", ""):
        response = requests.get(shared.url + path, timeout=5)
        assert (response.status_code, response.text) == (200, "Ok.\n")


def test_an_unknown_path_is_404(shared: Daemon) -> None:
    response = requests.get(shared.url + "dashboards/x", timeout=5)
    assert response.status_code == 404
    assert "There is no handle /dashboards/x" in response.text


def test_credentials_are_taken_from_header_basic_auth_or_url(shared: Daemon) -> None:
    name, password = ADMIN
    key = {"X-ClickHouse-User": name, "X-ClickHouse-Key": password}
    query = {"query": "SELECT currentUser()"}
    url = {**query, "user": name, "password": password}
    assert requests.get(shared.url, params=query, headers=key, timeout=5).text == "cdc_admin\n"
    assert requests.get(shared.url, params=query, auth=ADMIN, timeout=5).text == "cdc_admin\n"
    assert requests.get(shared.url, params=url, timeout=5).text == "cdc_admin\n"


def test_no_credentials_are_asked_for_and_wrong_ones_refused(shared: Daemon) -> None:
    missing = requests.get(shared.url, params={"query": "SELECT 1"}, timeout=5)
    assert missing.status_code == 401
    assert "Basic" in missing.headers["WWW-Authenticate"]
    for user in ((ADMIN[0], "wrong"), ("nobody", "x"), ("default", "")):
        refused = shared.post("SELECT 1", user)
        assert refused.status_code == 403
        assert refused.headers["X-ClickHouse-Exception-Code"] == "516"


def test_query_parameter_and_body_are_one_statement(shared: Daemon) -> None:
    assert shared.ask("+ 1", query="SELECT 1") == "2\n"
    shared.ask("CREATE TABLE joined (a Int32) ENGINE = Memory")
    shared.ask("1\n2\n", query="INSERT INTO joined FORMAT TSV")
    shared.ask("(3), (2 + 2)", query="INSERT INTO joined VALUES")
    shared.ask('INSERT INTO joined FORMAT JSONEachRow\n{"a": 5}')
    shared.ask("INSERT INTO joined SELECT 6")
    assert shared.ask("SELECT groupArray(a) FROM (SELECT a FROM joined ORDER BY a)") == (
        "[1,2,3,4,5,6]\n"
    )


def test_every_answer_says_what_it_is(shared: Daemon) -> None:
    response = shared.post("SELECT a FROM t FORMAT JSONCompact", query_id="an-id")
    headers = response.headers
    assert headers["X-ClickHouse-Query-Id"] == "an-id"
    assert headers["X-ClickHouse-Format"] == "JSONCompact"
    assert headers["X-ClickHouse-Timezone"] == shared.ask("SELECT timezone()").strip()
    assert headers["X-ClickHouse-Server-Display-Name"] == socket.gethostname()
    assert headers["Content-Type"] == "application/json; charset=UTF-8"
    assert json.loads(headers["X-ClickHouse-Summary"])["result_rows"] == "3"


def test_an_insert_says_how_many_rows_it_wrote(shared: Daemon) -> None:
    shared.ask("CREATE TABLE counted (a Int32) ENGINE = Memory")
    response = shared.post("1\n2\n3\n", query="INSERT INTO counted FORMAT TSV")
    assert json.loads(response.headers["X-ClickHouse-Summary"])["written_rows"] == "3"


@pytest.mark.parametrize(
    ("sql", "status", "code", "name"),
    [
        ("SELEC 1", 400, 62, "SYNTAX_ERROR"),
        ("", 400, 62, "SYNTAX_ERROR"),
        ("exit", 400, 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 400, 62, "SYNTAX_ERROR"),
        ("SELECT toInt8('x')", 400, 6, "CANNOT_PARSE_TEXT"),
        ("SELECT nope FROM t", 404, 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT * FROM nope", 404, 60, "UNKNOWN_TABLE"),
        ("SELECT 1 FORMAT Nope", 404, 73, "UNKNOWN_FORMAT"),
        ("SELECT throwIf(1)", 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT 1 INTO OUTFILE 'out.tsv'", 500, 348, "INTO_OUTFILE_NOT_ALLOWED"),
        (
            "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT TSV",
            500,
            348,
            "INTO_OUTFILE_NOT_ALLOWED",
        ),
    ],
)
def test_an_error_has_clickhouses_status_code_and_words(
    shared: Daemon, sql: str, status: int, code: int, name: str
) -> None:
    response = shared.post(sql)
    assert response.status_code == status
    assert response.headers["X-ClickHouse-Exception-Code"] == str(code)
    assert response.text.startswith(f"Code: {code}. DB::Exception: ")
    assert f"({name}) (version 26.1" in response.text


def test_the_word_outfile_in_a_string_is_only_a_word(shared: Daemon) -> None:
    assert shared.ask("SELECT 'INTO OUTFILE x'") == "INTO OUTFILE x\n"


def test_get_only_reads(shared: Daemon) -> None:
    for sql in ("CREATE TABLE by_get (a Int8) ENGINE = Memory", "INSERT INTO t VALUES (9, '')"):
        response = requests.get(shared.url, params={"query": sql}, auth=ADMIN, timeout=5)
        assert response.headers["X-ClickHouse-Exception-Code"] == "164"
    assert shared.ask("SELECT count() FROM t") == "3\n"


def test_parameters_reach_the_statement_as_values(shared: Daemon) -> None:
    sql = "SELECT {s:String}, {n:Int32} + 1, {l:Array(String)}, {t:Identifier}.a FROM t LIMIT 1"
    values = {"param_s": "it's \\\\ \\t", "param_n": "41", "param_l": "['a','b']", "param_t": "t"}
    assert shared.ask(sql, **values) == "it\\'s \\\\ \\t\t42\t['a','b']\t1\n"
    shared.ask("CREATE TABLE filled (a Int32, b String) ENGINE = Memory")
    shared.ask("INSERT INTO filled VALUES ({n:Int32}, {s:String})", param_n="7", param_s="z")
    assert shared.ask("SELECT * FROM filled") == "7\tz\n"


def test_settings_and_database_hold_for_one_request(shared: Daemon) -> None:
    shared.ask("CREATE DATABASE IF NOT EXISTS other")
    sql = "SELECT currentDatabase(), getSetting('max_block_size')"
    assert shared.ask(sql, database="other", max_block_size="77") == "other\t77\n"
    assert shared.ask(sql) != "other\t77\n"
    assert shared.post("SELECT 1", no_such_setting="1").status_code == 404
    assert shared.post("SELECT 1", **{"a='1', b": "1"}).status_code == 404
    assert shared.post("SELECT 1", database="nope").headers["X-ClickHouse-Exception-Code"] == "81"


def test_a_format_can_be_chosen_by_parameter_or_header(shared: Daemon) -> None:
    assert shared.ask("SELECT 1 AS x", default_format="JSONEachRow") == '{"x":1}\n'
    header = {"X-ClickHouse-Format": "CSV"}
    asked = {"data": "SELECT 'q'", "headers": header, "auth": ADMIN}
    assert requests.post(shared.url, **asked, timeout=5).text == '"q"\n'  # type: ignore[arg-type]


def test_a_session_keeps_tables_and_settings_but_not_request_settings(shared: Daemon) -> None:
    session = {"session_id": "s1"}
    shared.ask("CREATE TEMPORARY TABLE kept (a Int8)", **session)
    shared.ask("INSERT INTO kept VALUES (5)", **session)
    shared.ask("SET max_block_size = 99", **session)
    assert shared.ask("SELECT a, getSetting('max_block_size') FROM kept", **session) == "5\t99\n"
    assert shared.ask("SELECT getSetting('max_threads')", max_threads="1", **session) == "1\n"
    assert shared.ask("SELECT getSetting('max_threads')", **session) == "2\n"
    assert shared.post("SELECT a FROM kept").status_code == 404


def test_after_a_failure_a_session_answers_only_what_was_asked(shared: Daemon) -> None:
    failing = "SELECT number, throwIf(number = 150000) FROM numbers(300000)"
    for format_ in ("TSV", "JSON"):
        broken = shared.post(
            failing + f" SETTINGS max_block_size = 1000, max_threads = 1 FORMAT {format_}",
            session_id="s2",
            wait_end_of_query="1",
        )
        assert broken.headers["X-ClickHouse-Exception-Code"] == "395"
        assert shared.ask("SELECT 1", session_id="s2") == "1\n"


def test_a_session_is_free_once_its_answer_has_been_read(shared: Daemon) -> None:
    def use(name: str) -> set[str]:
        # Each time over another connection: on the same one the server reads nothing before.
        return {shared.post("SELECT 1", session_id=name).text for _ in range(100)}

    with ThreadPoolExecutor(8) as clients:
        assert set().union(*clients.map(use, "abcdefgh")) == {"1\n"}


def test_a_session_serves_one_request_at_a_time(shared: Daemon) -> None:
    options = {"session_id": "s3", "query_id": "slow"}
    slow = threading.Thread(target=shared.post, args=("SELECT sleep(2)",), kwargs=options)
    slow.start()
    for _ in until(5):
        if running(shared, "slow"):
            break
    refused = shared.post("SELECT 1", session_id="s3")
    assert refused.headers["X-ClickHouse-Exception-Code"] == "373"
    slow.join()
    assert shared.ask("SELECT 1", session_id="s3") == "1\n"


def test_an_idle_session_ends(shared: Daemon) -> None:
    shared.ask("SELECT 1", session_id="s4", session_timeout="1")
    assert shared.ask("SELECT 1", session_id="s4", session_check="1", session_timeout="1") == "1\n"
    time.sleep(1.8)
    gone = shared.post("SELECT 1", session_id="s4", session_check="1")
    assert gone.headers["X-ClickHouse-Exception-Code"] == "372"
    assert shared.post("SELECT 1", session_id="s4", session_timeout="9999").status_code == 400


@pytest.mark.parametrize(
    ("encoding", "expand"),
    [
        ("gzip", gzip.decompress),
        ("deflate", zlib.decompress),
        ("lz4", lz4.frame.decompress),
        ("zstd", lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
    ],
)
def test_answers_are_compressed_when_asked(shared: Daemon, encoding: str, expand: object) -> None:
    response = requests.post(
        shared.url,
        params={"enable_http_compression": "1"},
        data="SELECT number FROM numbers(200000)",
        headers={"Accept-Encoding": encoding},
        auth=ADMIN,
        timeout=10,
        stream=True,
    )
    assert response.headers["Content-Encoding"] == encoding
    raw = response.raw.read(decode_content=False)
    assert callable(expand)
    assert expand(raw).count(b"\n") == 200000
    assert len(raw) < 1_000_000


def test_answers_are_plain_unless_asked(shared: Daemon) -> None:
    response = requests.post(
        shared.url, data="SELECT 1", headers={"Accept-Encoding": "gzip"}, auth=ADMIN, timeout=5
    )
    assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("lz4", lz4.frame.compress),
        ("zstd", lambda data: zstandard.ZstdCompressor().compress(data)),
    ],
)
def test_bodies_are_expanded(shared: Daemon, encoding: str, pack: object) -> None:
    shared.ask("CREATE OR REPLACE TABLE packed (a Int32) ENGINE = Memory")
    assert callable(pack)
    two_frames = pack(b"1\n2\n") + pack(b"3\n")
    insert = {"query": "INSERT INTO packed FORMAT TSV"}
    sent = {"params": insert, "headers": {"Content-Encoding": encoding}, "auth": ADMIN}
    response = requests.post(shared.url, data=two_frames, **sent, timeout=5)  # type: ignore[arg-type]
    assert response.status_code == 200, response.text
    assert shared.ask("SELECT sum(a) FROM packed") == "6\n"
    cut = requests.post(shared.url, data=two_frames[:-3], **sent, timeout=5)  # type: ignore[arg-type]
    assert cut.headers["X-ClickHouse-Exception-Code"] == "271"
    assert shared.ask("SELECT sum(a) FROM packed") == "6\n"


def test_what_is_not_served_is_refused_with_the_way_out(shared: Daemon) -> None:
    framing = shared.post("SELECT 1", compress="1")
    assert framing.status_code == 501
    assert "enable_http_compression=1" in framing.text
    assert shared.post("SELECT 1", role="x").status_code == 501
    external = requests.post(
        shared.url, params={"query": "SELECT 1"}, files={"x": b"1"}, auth=ADMIN, timeout=5
    )
    assert external.status_code == 501
    headers = {"Content-Encoding": "snappy"}
    snappy = requests.post(shared.url, data="x", headers=headers, auth=ADMIN, timeout=5)
    assert snappy.status_code == 501
    assert requests.delete(shared.url, auth=ADMIN, timeout=5).status_code == 501


def test_a_form_carries_query_and_parameters(shared: Daemon) -> None:
    fields = {"query": (None, "SELECT {x:Int8} + 1"), "param_x": (None, "4")}
    response = requests.post(shared.url, files=fields, auth=ADMIN, timeout=5)
    assert response.text == "5\n"


def test_a_connection_serves_on_after_an_error(shared: Daemon) -> None:
    with requests.Session() as connection:
        connection.auth = ADMIN
        chunks = (b"x" * 10000 for _ in range(20))
        refused = connection.post(shared.url, params={"compress": "1"}, data=chunks, timeout=5)
        assert refused.status_code == 501
        assert connection.post(shared.url, data="SELECT 1", timeout=5).text == "1\n"


def test_an_insert_may_make_its_rows_of_the_data(shared: Daemon) -> None:
    shared.ask("CREATE TABLE made (a Int32, `é` String) ENGINE = Memory")
    query = "INSERT INTO made (a, `é`) SELECT x * 2, 'ü' || y FROM input('x Int32, y String')"
    answer = shared.post(b"1\t\xc3\xa4\n2\tb\n", query=f"{query} FORMAT TabSeparated")
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    assert shared.ask("SELECT * FROM made ORDER BY a") == "2\tüä\n4\tüb\n"
    wrong = shared.post(b"one\n", query=f"{query} FORMAT TabSeparated")
    assert wrong.headers["X-ClickHouse-Exception-Code"] == "27"


def test_a_body_that_is_cut_off_inserts_nothing(shared: Daemon) -> None:
    shared.ask("CREATE TABLE cut (a Int32) ENGINE = Memory")
    lines = [
        "POST /?query=INSERT+INTO+cut+FORMAT+TSV HTTP/1.1",
        "Host: x",
        f"X-ClickHouse-User: {ADMIN[0]}",
        f"X-ClickHouse-Key: {ADMIN[1]}",
    ]
    for framing, body in (
        ("Content-Length: 100", "1\n2\n"),
        ("Transfer-Encoding: chunked", "4\r\n1\n2\n\r\n"),
    ):
        with socket.create_connection(("127.0.0.1", shared.port)) as connection:
            head = "\r\n".join([*lines, framing])
            connection.sendall(f"{head}\r\n\r\n{body}".encode())
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
            assert b" 200 " not in answer.split(b"\r\n")[0]
    assert shared.ask("SELECT count() FROM cut") == "0\n"


def test_an_error_in_mid_stream_does_not_look_like_success(shared: Daemon) -> None:
    sql = "SELECT number, throwIf(number = 2000000) FROM numbers(3000000) SETTINGS max_threads = 1"
    response = requests.post(shared.url, data=sql, auth=ADMIN, stream=True, timeout=10)
    assert response.status_code == 200
    tag = response.headers["X-ClickHouse-Exception-Tag"]
    received = b""
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        for chunk in response.iter_content(65536):
            received += chunk
    assert b"Code: 395" in received
    assert received.endswith(f" {tag}\r\n__exception__\r\n".encode())


def test_wait_end_of_query_turns_a_late_error_into_a_status(shared: Daemon) -> None:
    sql = "SELECT number, throwIf(number = 2000000) FROM numbers(3000000)"
    response = shared.post(sql, wait_end_of_query="1")
    assert response.headers["X-ClickHouse-Exception-Code"] == "395"


def test_a_query_stops_at_its_time_limit(shared: Daemon) -> None:
    started = time.monotonic()
    response = shared.post(LONG, max_execution_time="1")
    assert response.status_code == 408
    assert time.monotonic() - started < 4


def running(daemon: Daemon, query_id: str) -> bool:
    """Whether a request's query runs."""
    mark = f"Settings['log_comment'] = '{query_id}'"
    return daemon.ask(f"SELECT count() FROM system.processes WHERE {mark}") != "0\n"


@pytest.mark.parametrize("sql", [LONG, "SELECT number FROM numbers(100000000000)"])
def test_a_query_ends_when_its_client_goes(shared: Daemon, sql: str) -> None:
    query_id = f"gone-{len(sql)}"
    with socket.create_connection(("127.0.0.1", shared.port)) as connection:
        head = f"POST /?query_id={query_id} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(sql)}\r\n"
        keys = f"X-ClickHouse-User: {ADMIN[0]}\r\nX-ClickHouse-Key: {ADMIN[1]}\r\n\r\n"
        connection.sendall((head + keys + sql).encode())
        for _ in until(5):
            if running(shared, query_id):
                break
    for _ in until(5):
        if not running(shared, query_id):
            break


def test_a_query_can_be_killed(shared: Daemon) -> None:
    result: list[requests.Response] = []
    victim = threading.Thread(target=lambda: result.append(shared.post(LONG, query_id="victim")))
    victim.start()
    for _ in until(5):
        if running(shared, "victim"):
            break
    shared.ask("KILL QUERY WHERE Settings['log_comment'] = 'victim' SYNC")
    victim.join(5)
    assert result[0].headers["X-ClickHouse-Exception-Code"] == "394"


def test_two_queries_cannot_share_an_id(shared: Daemon) -> None:
    slow = threading.Thread(target=shared.post, args=("SELECT sleep(1)",), kwargs={"query_id": "q"})
    slow.start()
    for _ in until(5):
        if running(shared, "q"):
            break
    refused = shared.post("SELECT 1", query_id="q")
    assert refused.headers["X-ClickHouse-Exception-Code"] == "216"
    slow.join()


def test_a_failed_query_is_one_json_line_in_the_log(shared: Daemon) -> None:
    before = len(shared.log)
    shared.ask("SELECT 1", query_id="fine")
    shared.post("SELECT nope", query_id="failed")
    for _ in until(5):
        lines = shared.log[before:]
        if lines:
            break
    assert [(line["query_id"], line["code"]) for line in lines] == [("failed", 47)]


def test_a_secret_in_a_failed_statement_is_not_logged(shared: Daemon) -> None:
    before = len(shared.log)
    for sql in (
        "CREATE TABLE x (a Int8) ENGINE = Kafka SETTINGS kafka_sasl_password = 'hunter2' or",
        "CREATE TABLE x (a Int8) ENGINE = Kafka SETTINGS bad = 1, kafka_sasl_password = 'hunter2'",
        "SELECT nope, 'hunter2'",
        "SELECT toInt8('hunter2')",
        "SELECT throwIf(1, 'x'), 'hunter2'",
        "INSERT INTO t FORMAT TSV\nhunter2\thunter2\n",
    ):
        assert shared.post(sql).status_code != 200
    for _ in until(5):
        lines = shared.log[before:]
        if len(lines) == 6:
            break
    assert "hunter2" not in str(lines)
    assert all(line["error"] for line in lines)


def test_small_queries_are_answered_at_once(shared: Daemon) -> None:
    with requests.Session() as connection:
        connection.auth = ADMIN
        times = []
        for _ in range(30):
            started = time.perf_counter()
            connection.post(shared.url, data="SELECT 1", timeout=5)
            times.append(time.perf_counter() - started)
    # Without TCP_NODELAY each takes 40 ms of delayed acknowledgement.
    assert sorted(times)[15] < 0.03
