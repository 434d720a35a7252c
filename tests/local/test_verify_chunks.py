"""Verification in chunks: of every kind of key, at later and later moments of the source."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from catalog.introspect import describe
from catalog.model import CapturedTable, CaptureOptions, Column, SourceTable
from catalog.types import mapping_of
from ops.verify import chunks, moment, narrow
from ops.verify.sql import Chunk, Compared, source_rows
from tests.local.scratch import postgres
from tests.local.test_verify_truth import SLOT, Pipeline

ROWS = 3_000
KEYS = {
    "bigint": "n * 7919 - 9000000",
    "smallint": "n - 1500",
    "numeric(12,3)": "n * 1.125 - 1000",
    "numeric(30,0)": "n * 12345678901234567890",
    "date": "date '1899-12-20' + n * 40",
    "timestamp": "timestamp '1950-01-01 00:00:00.000001' + n * interval '7 days 1 second'",
    "timestamptz": "timestamptz '2024-01-01 00:00:00.5+02' + n * interval '1 hour'",
    "uuid": "md5(n::text)::uuid",
    "text": "CASE n % 5 WHEN 0 THEN 'ä' WHEN 1 THEN 'Z' WHEN 2 THEN 'a''\\' WHEN 3 THEN ' '"
    " ELSE '€|' END || md5(n::text)",
    "varchar(50)": "repeat(chr(65 + n % 26), n % 7) || n || ' '",
    "boolean, n integer": "n % 2 = 0, n",
    "bytea": "decode(md5(n::text), 'hex')",
    "float8": "n / 7.0",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres("chunks") as dsn:
        yield dsn


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the rows is a chunk, so that many of them meet."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", ROWS // 10)
    monkeypatch.setattr(narrow, "BETWEEN_READS_SECONDS", 0.01)


Make = Callable[..., Pipeline]


@pytest.fixture
def keyed(server: str, clickhouse: Client, small: None) -> Iterator[Make]:
    del small
    made: list[Pipeline] = []

    def make(kind: str = "bigint", value: str = "n", arrived: str = "true") -> Pipeline:
        names = [part.strip() for part in kind.split(", ")]
        columns = [f"k{i} {part.split(' ')[-1]} " for i, part in enumerate(names)]
        if len(names) == 1:
            columns = [f"k0 {kind}"]
        key = ", ".join(f"k{i}" for i in range(len(columns)))
        schema = (
            f"CREATE SCHEMA shop; CREATE TABLE shop.keyed ({', '.join(columns)}, v text, "
            f"PRIMARY KEY ({key}));"
            f" INSERT INTO shop.keyed SELECT {value}, 'v' || n FROM generate_series(1, {ROWS}) n;"
            " ANALYZE shop.keyed"
        )
        pipeline = Pipeline(server, clickhouse, schema, CaptureOptions(table="shop.keyed"))
        made.append(pipeline)
        pipeline.arrive(arrived, operation="r")
        return pipeline

    yield make
    for pipeline in made:
        pipeline.drop()


def planned(pipeline: Pipeline) -> list[Chunk]:
    found = describe(pipeline.sql, "shop.keyed").columns
    kinds = [(column, mapping_of(column)) for column in found]
    compared = Compared(pipeline.table, tuple((c, m) for c, m in kinds if m is not None))

    def query(text: str) -> Any:
        return pipeline.client.query(text).result_rows

    size = chunks.size(pipeline.sql, compared.source_name, ROWS)
    return chunks.plan(pipeline.sql, query, compared, size)


@pytest.mark.parametrize("kind", KEYS)
def test_chunks_hold_every_row_once_on_both_sides(keyed: Make, kind: str) -> None:
    pipeline = keyed(kind, KEYS[kind])
    found = planned(pipeline)
    assert len(found) == 1 if kind in ("boolean, n integer", "bytea", "float8") else len(found) > 5
    held = []
    for chunk in found:
        row = pipeline.sql.execute(
            f"SELECT count(*) FROM shop.keyed WHERE {chunk.source}".encode()
        ).fetchone()
        assert row is not None
        [[there]] = pipeline.client.query(
            f"SELECT count() FROM shop.keyed WHERE {chunk.target('k0')}"
        ).result_rows
        held.append((int(row[0]), int(there)))
    assert [ours for ours, _ in held] == [theirs for _, theirs in held]
    assert sum(ours for ours, _ in held) == ROWS
    report = pipeline.verify()
    assert report.equal, report


@pytest.fixture
def keyless(server: str, clickhouse: Client, small: None) -> Iterator[Pipeline]:
    del small
    schema = (
        "CREATE SCHEMA shop; CREATE TABLE shop.bag (n integer NOT NULL, v text);"
        f" INSERT INTO shop.bag SELECT n % 1000, nullif('v' || n % 2, 'v1')"
        f" FROM generate_series(1, {ROWS}) n; ANALYZE shop.bag"
    )
    pipeline = Pipeline(server, clickhouse, schema, CaptureOptions(table="shop.bag"))
    try:
        pipeline.arrive("true", operation="r")
        yield pipeline
    finally:
        pipeline.drop()


def test_rows_without_a_key_are_counted_in_chunks(keyless: Pipeline) -> None:
    assert keyless.verify().equal
    txid = keyless.txid()
    keyless.sql.execute("DELETE FROM shop.bag WHERE n = 7")
    report = keyless.verify()
    assert (report.extra_rows, report.extra[0]["n"]) == (3, "7")
    for n, operation in ((900, "c"), (901, "d")):
        keyless.arrive(f"n = {n}", operation, SLOT + n, txid)
    report = keyless.verify()
    assert (report.extra_rows, report.missing_rows) == (6, 3)
    assert [key["n"] for key in report.missing] == ["901"]


def test_what_writers_did_to_rows_without_a_key_is_taken_back(keyless: Pipeline) -> None:
    def later_changes_arrive(lsn: int, deadline: float) -> Mapping[str, str]:
        del deadline
        txid = keyless.txid()
        keyless.arrive("n = 5", "d", lsn + 1, txid)
        keyless.arrive("n = 6", "c", lsn + 2, txid)
        keyless.arrive("true", "r", lsn + 3)  # a load that is not finished
        return {}

    report = keyless.verify(caught_up=later_changes_arrive)
    assert report.equal, report


def test_rows_without_a_key_that_were_loaded_anew_meanwhile_are_a_problem(
    keyless: Pipeline,
) -> None:
    def resync(lsn: int, deadline: float) -> Mapping[str, str]:
        del deadline
        keyless.arrive("true", "r", lsn + 1)
        keyless.loaded(lsn + 1)
        return {}

    report = keyless.verify(caught_up=resync)
    assert not report.equal
    assert "loaded anew while it was compared" in (report.problem or "")
    assert keyless.verify().equal


def test_a_bound_that_clickhouse_can_not_hold_leaves_no_row_out(keyed: Make) -> None:
    # A tenth of the keys: dates after 2299 and infinity. Their rows are dead letters.
    late = "CASE WHEN n = 10 THEN 'infinity' WHEN n % 10 = 0 THEN date '2301-01-01' + n "
    pipeline = keyed("date", f"{late} ELSE date '1990-01-01' + n END", "k0 < '2300-01-01'")
    report = pipeline.verify()
    assert (report.missing_rows, report.extra_rows, report.different_rows) == (300, 0, 0)
    assert report.target_rows == ROWS - 300


def test_differences_of_many_chunks_add_up(keyed: Make) -> None:
    pipeline = keyed()
    whole = pipeline.verify()
    pipeline.arrive("k0 % 1000 = 1", "u", SLOT + 1, into="_final", v="wrong")
    pipeline.arrive("k0 % 1000 = 2", "d", SLOT + 1, into="_final")
    pipeline.arrive("k0 = 3", "c", SLOT + 1, into="_final", k0=-5)
    pipeline.arrive("k0 = 3", "c", SLOT + 1, into="_final", k0=99_999)
    report = pipeline.verify(max_keys=2)
    assert (report.missing_rows, report.extra_rows, report.different_rows) == (3, 2, 3)
    assert report.missing == [{"k0": "2"}, {"k0": "1002"}]
    assert report.extra == [{"k0": "-5"}, {"k0": "99999"}]
    assert [row.key for row in report.different] == [{"k0": "1"}, {"k0": "1001"}]
    assert report.target_rows == ROWS - 1
    assert report.checksum_source == whole.checksum_source != report.checksum_target


def test_a_chunk_moves_to_a_later_moment_and_stays_exact(keyed: Make) -> None:
    pipeline = keyed()
    moments = []

    def writers_go_on(lsn: int, deadline: float) -> Mapping[str, str]:
        del deadline
        moments.append(lsn)
        # Seen by the next snapshot and not by this one: a change, a delete, and a key that moves
        # from one end of the table to the other.
        many = len(moments)
        with pipeline.connect() as other:
            row = other.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
            assert row is not None
            before = f"k0 IN ({many * 9}, {ROWS - many * 9}, {many * 9 + 1})"
            pipeline.arrive(f"k0 = {many * 9 + 1}", "d", lsn + 1, row[0])
            pipeline.arrive(f"k0 = {many * 9}", "u", lsn + 1, row[0], v="new")
            pipeline.arrive(f"k0 = {ROWS - many * 9}", "d", lsn + 1, row[0])
            pipeline.arrive(f"k0 = {ROWS - many * 9}", "c", lsn + 2, row[0], k0=-many)
            assert other.execute(
                f"SELECT count(*) FROM shop.keyed WHERE {before}".encode()
            ).fetchone() == (3,)
            other.execute(f"UPDATE shop.keyed SET v = 'new' WHERE k0 = {many * 9}".encode())
            other.execute(f"DELETE FROM shop.keyed WHERE k0 = {many * 9 + 1}".encode())
            other.execute(
                f"UPDATE shop.keyed SET k0 = {-many} WHERE k0 = {ROWS - many * 9}".encode()
            )
        return {}

    report = pipeline.verify(caught_up=writers_go_on, renew_seconds=0)
    assert report.equal, report
    assert len(moments) > 5
    assert report.position != report.last_position


def test_between_two_moments_nothing_holds_back_vacuum_or_alter(keyed: Make) -> None:
    pipeline = keyed()
    horizons = []

    def look(lsn: int, deadline: float) -> Mapping[str, str]:
        del lsn, deadline
        row = pipeline.sql.execute(
            "SELECT backend_xmin::text::bigint FROM pg_stat_activity"
            " WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        ).fetchall()
        horizons.append(min(xmin for (xmin,) in row))
        pipeline.sql.execute("CREATE TABLE shop.other (); DROP TABLE shop.other")
        return {}

    assert pipeline.verify(caught_up=look, renew_seconds=0).equal
    assert horizons == sorted(set(horizons)), "each snapshot is newer than the one before"
    assert len(horizons) > 5
    row = pipeline.sql.execute(
        "SELECT count(*) FROM pg_locks WHERE relation = 'shop.keyed'::regclass"
    ).fetchone()
    assert row == (0,)


def test_a_table_altered_between_two_moments_is_a_problem(keyed: Make) -> None:
    pipeline = keyed()
    altering = iter([None, None, "ALTER TABLE shop.keyed ADD COLUMN w integer"])

    def alter(lsn: int, deadline: float) -> Mapping[str, str]:
        del lsn, deadline
        if (statement := next(altering, None)) is not None:
            # The verification's own lock lets nobody in now; it will when it renews its moment.
            threading.Thread(target=_run, args=(pipeline.dsn, statement)).start()
            time.sleep(0.3)
        return {}

    report = pipeline.verify(caught_up=alter, renew_seconds=0)
    assert not report.equal
    assert "was altered while it was compared" in (report.problem or "")


def _run(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statement.encode())


def test_a_locked_table_is_a_problem_of_its_own(
    keyed: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moment, "LOCK_SECONDS", 1)
    pipeline = keyed()
    with pipeline.connect() as other:
        other.execute("LOCK TABLE shop.keyed IN ACCESS EXCLUSIVE MODE")
        report = pipeline.verify()
    assert "locked by another session" in (report.problem or "")
    assert pipeline.verify().equal


def test_a_truncate_that_was_waited_for_is_seen_with_what_came_after_it(keyed: Make) -> None:
    # TRUNCATE is not transactional: an older snapshot would show an empty table.
    pipeline = keyed()
    with pipeline.connect() as other:
        other.execute("TRUNCATE shop.keyed")
        other.execute("INSERT INTO shop.keyed VALUES (1, 'after')")
        reports: list[Any] = []

        def caught_up(lsn: int, deadline: float) -> Mapping[str, str]:
            del deadline
            pipeline.client.command(
                "INSERT INTO cdc.truncates (source, version)"
                f" VALUES ('shop.keyed', '{(SLOT + 5) << 64}')"
            )
            pipeline.arrive("k0 = 1", "c", SLOT + 6)
            assert lsn > SLOT + 6
            return {}

        waiting = threading.Thread(
            target=lambda: reports.append(pipeline.verify(caught_up=caught_up))
        )
        waiting.start()
        time.sleep(1)
        other.commit()
        waiting.join(60)
    [report] = reports
    assert report.equal, report
    assert report.source_rows == 1


def test_a_load_that_was_not_finished_is_taken_back(keyed: Make) -> None:
    pipeline = keyed()

    def resync(lsn: int, deadline: float) -> Mapping[str, str]:
        # It reads the source after the verification's snapshot: rows changed and gone since.
        del deadline
        txid = pipeline.txid()
        pipeline.arrive(f"k0 = {changed}", "u", lsn + 1, txid, v="since")
        pipeline.arrive(f"k0 = {changed + 1}", "d", lsn + 1, txid)
        pipeline.sql.execute(f"UPDATE shop.keyed SET v = 'since' WHERE k0 = {changed}".encode())
        pipeline.sql.execute(f"DELETE FROM shop.keyed WHERE k0 = {changed + 1}".encode())
        pipeline.arrive("true", "r", lsn + 2)
        if finished:
            pipeline.loaded(lsn + 2)
        return {}

    for changed, finished in ((100, False), (200, True), (300, False)):
        report = pipeline.verify(caught_up=resync)
        assert report.equal, (changed, finished, report)
    assert pipeline.verify().equal
    # What a load that counts lacks is missing.
    pipeline.loaded(9 * 10**9)
    assert pipeline.verify().missing_rows == ROWS - 3


def test_a_table_without_a_finished_load_is_a_problem(keyed: Make) -> None:
    pipeline = keyed()
    pipeline.client.command("TRUNCATE TABLE cdc.loads")
    report = pipeline.verify()
    assert not report.equal
    assert "is not loaded yet" in (report.problem or "")


def test_pauses_keep_the_load_down(keyed: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = keyed()
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    report = pipeline.verify(max_load=25)
    assert report.equal
    assert len(pauses) > 5
    assert min(pauses) > 0
    assert sum(pauses) == pytest.approx(3 * (report.seconds), rel=0.5)
    pauses.clear()
    pipeline.verify()
    assert sum(pauses) == 0


def test_texts_that_look_alike_when_joined_have_different_hashes(server: str) -> None:
    texts = ["", "|", ":", "1:", "1:|", "0:", ":1", "1", "-", "a", "1:a", "a1:", "\\N", None, " "]
    kinds = {"a": "text", "n": "integer", "b": "text", "c": "date"}
    columns = [Column(name=name, pg_type=kind, nullable=True) for name, kind in kinds.items()]
    source = SourceTable(schema_="public", name="alike", columns=tuple(columns), key=("a",))
    alike = CapturedTable(source=source, topic="", database="", table="", group="")
    types = [(column, mapping_of(column)) for column in columns]
    compared = Compared(alike, tuple((c, m) for c, m in types if m is not None))
    with psycopg.connect(server) as conn:
        conn.execute("CREATE TABLE alike (a text, n integer, b text, c date)")
        rows = [(a, n, b) for a in texts for b in texts for n in (None, 1, 11)]
        conn.cursor().executemany("INSERT INTO alike VALUES (%s, %s, %s, NULL)", rows)
        hashed = f"SELECT count(DISTINCT row_hash) FROM ({source_rows(compared, Chunk())}) AS x"
        assert conn.execute(hashed.encode()).fetchone() == (len(rows),)
        conn.rollback()
