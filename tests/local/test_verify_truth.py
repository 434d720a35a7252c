"""Verification against a real Postgres and a real ClickHouse (in process), without Kafka between.

The target is filled by hand through the same tables and views a stack has, so that every state a
pipeline can be in, right or wrong, can be made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from catalog.introspect import describe
from catalog.model import CapturedTable, CaptureOptions, capture
from catalog.names import ch_ident, pg_qualified
from catalog.objects import KafkaSettings, platform_objects, table_objects
from ops.verify import narrow, verify
from ops.verify.model import TableReport
from ops.verify.snapshot import Snapshot
from tests.local.scratch import postgres

SLOT = 1_000
OPTIONS = CaptureOptions(
    table="shop.Orders", generated={"total": "quantity * price"}, order_by=("region", "id")
)
SCHEMA = """
CREATE SCHEMA shop;
CREATE TABLE shop."Orders" (
    id bigint, region text, price numeric(10,2) NOT NULL, quantity integer NOT NULL,
    total numeric(12,2) GENERATED ALWAYS AS (quantity * price) STORED,
    note text, placed timestamptz NOT NULL, paid boolean, code uuid, doc jsonb, ratio float8,
    PRIMARY KEY (id, region));
INSERT INTO shop."Orders" (id, region, price, quantity, note, placed, paid, code, doc, ratio)
SELECT n, 'r' || n % 3, n * 1.25, n % 7 + 1,
       CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'ä%:1:-' ELSE repeat('x', n % 50) END,
       timestamptz '2024-02-29 12:00:00.123456+00' + n * interval '1 hour', n % 2 = 0,
       md5(n::text)::uuid, jsonb_build_object('n', n), n / 7.0
FROM generate_series(1, 3000) AS n;
"""


def _same_position(lsn: int, deadline: float) -> Mapping[str, str]:
    del lsn, deadline
    return {}


class Pipeline:
    """The source, the target, and a copy between them that the test drives."""

    def __init__(
        self, dsn: str, client: Client, schema: str = SCHEMA, options: CaptureOptions = OPTIONS
    ) -> None:
        self.dsn = dsn
        self.client = client
        self.sql = psycopg.connect(dsn, autocommit=True)
        self.sql.execute(schema.encode())
        self.table: CapturedTable = capture(describe(self.sql, options.table), options, "test")
        objects = table_objects(self.table, options, KafkaSettings("nowhere:1"), SLOT)
        for made in [*platform_objects(), *objects]:
            if made.kind != "queue" and made.name != f"{self.table.target}_mv":
                client.command(made.create)
        self.loaded(SLOT)

    def loaded(self, lsn: int) -> None:
        """A load that began at `lsn` is finished."""
        name = self.table.source.qualified
        self.client.command(f"INSERT INTO cdc.loads (source, lsn) VALUES ('{name}', {lsn})")

    def drop(self) -> None:
        """Leave both databases as they were."""
        self.sql.execute("DROP SCHEMA shop CASCADE")
        self.sql.close()
        for database in ("shop", "cdc"):
            self.client.command(f"DROP DATABASE {database} SYNC")

    def txid(self) -> int:
        row = self.sql.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        assert row is not None
        return int(row[0])

    def arrive(
        self,
        where: str,
        operation: str = "c",
        version: int = SLOT,
        txid: int = 0,
        into: str = "_parsed",
        **changed: object,
    ) -> None:
        """Source rows `where` reach the target as one transaction's changes."""
        names = [column.name for column in self.table.source.columns]
        source = pg_qualified(self.table.source.qualified)
        rows = self.sql.execute(f"SELECT * FROM {source} WHERE {where}".encode()).fetchall()
        now = datetime.now(UTC)
        meta: dict[str, Any] = {
            "operation": operation,
            "source_ts_ms": now,
            "processing_ts_ms": now,
            "_lsn": version,
            "_txid": txid & 0xFFFFFFFF,
            "_version": version << 64,
            "_deleted": int(operation == "d"),
        }
        if into == "_parsed":
            meta["_applied"] = 1
        if not self.table.source.key:
            meta |= {"_sign": -1 if operation == "d" else 1, "_offset": 0}
        data = []
        for place, row in enumerate(rows):
            if "_offset" in meta:
                meta["_offset"] = place
            values = dict(zip(names, row, strict=True)) | changed
            if "doc" in values:
                values["doc"] = str(values["doc"]).replace("'", '"')
            data.append([*values.values(), *meta.values()])
        assert data, f"no row of the source has {where}"
        self.client.insert(
            ch_ident(self.table.table + into),
            data,
            column_names=[*names, *meta],
            database=self.table.database,
        )

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.dsn)

    def verify(self, **options: Any) -> TableReport:
        arguments: dict[str, Any] = {"caught_up": _same_position} | options
        [report] = verify(self.connect, self.client, [self.table], **arguments)
        return report


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres("truth") as dsn:
        yield dsn


@pytest.fixture
def pipeline(
    server: str, clickhouse: Client, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    monkeypatch.setattr(narrow, "BETWEEN_READS_SECONDS", 0.01)
    made = Pipeline(server, clickhouse)
    made.arrive("true", operation="r")
    try:
        yield made
    finally:
        made.drop()


def test_equal_tables_are_equal_in_count_and_checksum(pipeline: Pipeline) -> None:
    report = pipeline.verify()
    assert report.equal, report
    assert report.source_rows == report.target_rows == 3000
    assert report.checksum_source == report.checksum_target != f"{0:016x}"
    assert TableReport.model_validate_json(report.model_dump_json()) == report


def test_a_wrong_a_lost_and_an_invented_row_are_each_named_by_key(pipeline: Pipeline) -> None:
    pipeline.arrive("id = 7", "u", SLOT + 1, into="_final", note="wrong", paid=None)
    pipeline.arrive("id = 8", "d", SLOT + 1, into="_final")
    pipeline.arrive("id = 9", "c", SLOT + 1, into="_final", id=9_000_001)
    report = pipeline.verify()
    assert not report.equal
    assert report.missing == [{"id": "8", "region": "r2"}]
    assert report.extra == [{"id": "9000001", "region": "r0"}]
    assert (report.missing_rows, report.extra_rows, report.different_rows) == (1, 1, 1)
    [row] = report.different
    assert row.key == {"id": "7", "region": "r1"}
    assert {(column.column, column.target) for column in row.columns} == {
        ("note", "wrong"),
        ("paid", None),
    }
    assert report.checksum_source != report.checksum_target


def test_null_and_the_empty_string_differ(pipeline: Pipeline) -> None:
    pipeline.arrive("id = 4", "u", SLOT + 1, into="_final", note="")
    report = pipeline.verify()
    assert [column.model_dump() for column in report.different[0].columns] == [
        {"column": "note", "source": None, "target": ""}
    ]


def test_changes_the_snapshot_does_not_see_are_not_reported(pipeline: Pipeline) -> None:
    # A transaction that is open while the snapshot is taken, and one that begins after it.
    def later_changes_arrive(lsn: int, deadline: float) -> Mapping[str, str]:
        for number, txid in ((10, open_txid), (20, pipeline.txid())):
            version = lsn + number
            pipeline.arrive(f"id = {number}", "u", version, txid, note="later")
            pipeline.arrive(f"id = {number + 1}", "d", version, txid)
            pipeline.arrive(f"id = {number + 2}", "c", version, txid, id=10_000 + number)
        return _same_position(lsn, deadline)

    with pipeline.connect() as other:
        row = other.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        assert row is not None
        open_txid = row[0]
        pipeline.txid()
        report = pipeline.verify(caught_up=later_changes_arrive)
    assert report.equal, report
    assert report.target_rows == 3000
    # The same changes are differences for a snapshot that sees their transactions.
    report = pipeline.verify()
    assert (report.missing_rows, report.extra_rows, report.different_rows) == (2, 2, 2)


def test_a_later_change_does_not_hide_an_earlier_wrong_one(pipeline: Pipeline) -> None:
    pipeline.arrive("id = 5", "u", SLOT + 1, pipeline.txid(), note="wrong")

    def later_change_arrives(lsn: int, deadline: float) -> Mapping[str, str]:
        pipeline.arrive("id = 5", "u", lsn + 1, pipeline.txid(), note="later")
        return _same_position(lsn, deadline)

    report = pipeline.verify(caught_up=later_change_arrives)
    assert [column.target for column in report.different[0].columns] == ["wrong"]


def test_what_a_truncate_removed_does_not_come_back(pipeline: Pipeline) -> None:
    pipeline.sql.execute('TRUNCATE shop."Orders"')
    pipeline.client.command(
        f"INSERT INTO cdc.truncates (source, version) VALUES ('shop.Orders', '{(SLOT + 5) << 64}')"
    )
    report = pipeline.verify()
    assert report.equal, report
    assert report.source_rows == 0


def test_all_differences_are_counted_though_few_are_listed(pipeline: Pipeline) -> None:
    pipeline.arrive("id <= 100", "u", SLOT + 1, note="wrong")
    pipeline.arrive("id BETWEEN 101 AND 250", "d", SLOT + 1)
    report = pipeline.verify(max_keys=3)
    assert (report.different_rows, len(report.different)) == (100, 3)
    assert (report.missing_rows, len(report.missing)) == (150, 3)


def test_an_empty_target_lacks_every_row(pipeline: Pipeline) -> None:
    for suffix in ("final", "history"):
        pipeline.client.command(f"TRUNCATE TABLE shop.`Orders_{suffix}`")
    report = pipeline.verify()
    assert (report.missing_rows, report.target_rows) == (3000, 0)
    assert report.checksum_target == f"{0:016x}"
    assert len(report.missing) == 20


def test_an_emptied_source_leaves_every_row_extra(pipeline: Pipeline) -> None:
    pipeline.sql.execute('DELETE FROM shop."Orders"')
    report = pipeline.verify()
    assert (report.extra_rows, report.source_rows, report.target_rows) == (3000, 0, 3000)


def test_a_row_that_shows_up_twice_is_one_too_many(pipeline: Pipeline) -> None:
    columns = ", ".join(ch_ident(column.name) for column in pipeline.table.source.columns)
    select = f"SELECT {columns} FROM shop.`Orders_final` FINAL"
    pipeline.client.command(
        f"CREATE OR REPLACE VIEW shop.`Orders` AS {select} UNION ALL {select} WHERE id = 33"
    )
    report = pipeline.verify()
    assert (report.extra, report.extra_rows, report.target_rows) == (
        [{"id": "33", "region": "r0"}],
        1,
        3001,
    )


def test_a_column_the_target_lacks_is_a_schema_difference(pipeline: Pipeline) -> None:
    pipeline.sql.execute('ALTER TABLE shop."Orders" ADD COLUMN extra integer')
    pipeline.sql.execute('ALTER TABLE shop."Orders" ALTER paid TYPE integer USING paid::integer')
    report = pipeline.verify()
    assert not report.equal
    found = {item.column: (item.target, item.expected) for item in report.schema_differences}
    assert found["extra"] == (None, "Int32")
    assert found["paid"] == ("Nullable(Bool)", "Int32")


def test_a_target_that_is_behind_says_so(pipeline: Pipeline) -> None:
    report = pipeline.verify(caught_up=lambda _lsn, _deadline: {"shop.Orders": "at 5 of 9"})
    assert not report.equal
    assert (report.problem or "").startswith("not caught up: at 5 of 9; newest change there: 0/3E8")
    assert report.missing_rows == 0


def test_a_table_one_side_lacks_is_a_problem_and_not_an_error(pipeline: Pipeline) -> None:
    pipeline.client.command("DROP VIEW shop.`Orders`")
    assert "ClickHouse has no shop.Orders" in (pipeline.verify().problem or "")
    pipeline.sql.execute('DROP TABLE shop."Orders"')
    assert "no table shop.Orders" in (pipeline.verify().problem or "")


def test_a_savepoints_changes_belong_to_the_transaction_around_it(pipeline: Pipeline) -> None:
    # Postgres gives a savepoint an id of its own; snapshots and the stream name the outer one.
    def commit_arrives(lsn: int, deadline: float) -> Mapping[str, str]:
        pipeline.arrive("id = 30", "u", lsn + 1, outer, note="later")
        pipeline.arrive("id = 31", "d", lsn + 2, outer)
        other.commit()
        return _same_position(lsn, deadline)

    with pipeline.connect() as other:
        other.execute("SAVEPOINT first")
        other.execute("""UPDATE shop."Orders" SET note = 'later' WHERE id = 30""")
        other.execute("RELEASE first; SAVEPOINT second; SAVEPOINT third")
        other.execute("""DELETE FROM shop."Orders" WHERE id = 31""")
        row = other.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        assert row is not None
        outer = row[0]
        assert pipeline.txid() > outer + 2, "the savepoints took ids of their own"
        report = pipeline.verify(caught_up=commit_arrives)
    assert report.equal, report
    assert pipeline.verify().equal


def test_of_a_hot_keys_changes_the_last_one_seen_counts(pipeline: Pipeline) -> None:
    seen = pipeline.txid()
    for version in range(1, 40):
        pipeline.arrive("id = 3", "u", SLOT + version, seen, note=f"{version}")
    pipeline.sql.execute("""UPDATE shop."Orders" SET note = '39' WHERE id = 3""")

    def more_arrive(lsn: int, deadline: float) -> Mapping[str, str]:
        later = pipeline.txid()
        for version in range(1, 40):
            pipeline.arrive("id = 3", "u", lsn + version, later, note=f"later {version}")
        pipeline.arrive("id = 3", "d", lsn + 50, later)
        return _same_position(lsn, deadline)

    report = pipeline.verify(caught_up=more_arrive)
    assert report.equal, report


def test_a_change_that_a_replay_completed_counts_as_completed(pipeline: Pipeline) -> None:
    # The same version twice: first without a column that was unknown then.
    seen = pipeline.txid()
    for note in ("without", "completed"):
        pipeline.arrive("id = 3", "u", SLOT + 1, seen, note=note)
    pipeline.sql.execute("""UPDATE shop."Orders" SET note = 'completed' WHERE id = 3""")

    def later_change_arrives(lsn: int, deadline: float) -> Mapping[str, str]:
        pipeline.arrive("id = 3", "u", lsn + 1, pipeline.txid(), note="later")
        return _same_position(lsn, deadline)

    report = pipeline.verify(caught_up=later_change_arrives)
    assert report.equal, report


@pytest.mark.parametrize(
    ("column", "ours", "theirs"),
    [
        ("note", "'x '", "x"),
        ("note", "'x'", "X"),
        ("note", "'\u00e9'", "e\u0301"),
        ("note", "' '", ""),
        ("note", "''", None),
        ("note", "'NULL'", None),
        ("note", "'1:'", "1:|"),
        ("paid", "NULL", False),
        ("ratio", "'NaN'", None),
        ("ratio", "'Infinity'", float("-inf")),
        ("ratio", "0.1", 0.1 + 2**-55),
        ("placed", "'2024-01-01 00:00:00.000001+00'", datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_values_that_are_nearly_equal_differ(
    pipeline: Pipeline, column: str, ours: str, theirs: Any
) -> None:
    update = f"""UPDATE shop."Orders" SET {column} = {ours} WHERE id = 1"""
    pipeline.sql.execute(update.encode())
    pipeline.arrive("id = 1", "u", SLOT + 1, **{column: theirs})
    report = pipeline.verify()
    assert [each.column for row in report.different for each in row.columns] == [column]
    pipeline.arrive("id = 1", "u", SLOT + 2)
    assert pipeline.verify().equal


@pytest.mark.parametrize("value", ["'NaN'", "'-Infinity'", "-0.0", "5e-324"])
def test_special_floats_are_equal_to_themselves(pipeline: Pipeline, value: str) -> None:
    pipeline.sql.execute(f"""UPDATE shop."Orders" SET ratio = {value} WHERE id = 1""".encode())
    assert not pipeline.verify().equal
    pipeline.arrive("id = 1", "u", SLOT + 1)
    assert pipeline.verify().equal


def test_a_dead_letter_hides_no_row(pipeline: Pipeline) -> None:
    pipeline.sql.execute(
        """INSERT INTO shop."Orders" (id, region, price, quantity, placed)"""
        " VALUES (0, 'r', 1, 1, now())"
    )
    pipeline.client.command(
        "INSERT INTO cdc.dead_letters (source, reason, topic, message)"
        " VALUES ('shop.Orders', 'unreadable', 't', '{}')"
    )
    report = pipeline.verify()
    assert not report.equal
    assert (report.missing, report.dead_letters) == ([{"id": "0", "region": "r"}], 1)


def test_a_column_that_the_source_dropped_is_no_difference(pipeline: Pipeline) -> None:
    pipeline.sql.execute('ALTER TABLE shop."Orders" DROP COLUMN note')
    report = pipeline.verify()
    assert report.equal, report


def test_a_difference_in_the_last_of_many_columns_is_found(
    server: str, clickhouse: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than Postgres takes as the arguments of one call.
    monkeypatch.setattr(narrow, "BETWEEN_READS_SECONDS", 0.01)
    names = [f"c{n}" for n in range(150)]
    schema = (
        f"CREATE SCHEMA shop; CREATE TABLE shop.wide (id integer PRIMARY KEY,"
        f" {', '.join(f'{name} text' for name in names)});"
        f" INSERT INTO shop.wide SELECT n, {', '.join(['n::text'] * len(names))}"
        " FROM generate_series(1, 20) n"
    )
    wide = Pipeline(server, clickhouse, schema, CaptureOptions(table="shop.wide"))
    try:
        wide.arrive("true", "r")
        assert wide.verify().equal
        wide.arrive("id = 7", "u", SLOT + 1, c149=None)
        [row] = wide.verify().different
        assert [each.column for each in row.columns] == ["c149"]
    finally:
        wide.drop()


@pytest.mark.parametrize("xmax", [1_000, 1 << 31, (1 << 32) - 3, (1 << 32) + 3, (7 << 32) + 5_000])
def test_truncated_transaction_ids_are_judged_as_whole_ones_are(
    clickhouse: Client, xmax: int
) -> None:
    # Also where the lower 32 bits, all that the stream carries, begin again at zero.
    running = {xmax - 1, xmax - 4, xmax - 900}
    text = f"{xmax - 900}:{xmax}:{','.join(map(str, sorted(running)))}"
    snapshot = Snapshot.parse(text, lsn=1, taken_at=datetime.now(UTC))
    txids = [xmax + step for step in (*range(-910, 10), -(10**9), 10**9) if xmax + step > 2]
    rows = clickhouse.query(
        f"SELECT whole FROM (SELECT 'u' AS operation, 1 AS _version,"
        f" now64(3, 'UTC') AS source_ts_ms,"
        f" toInt64(arrayJoin({txids})) AS whole, toUInt64(whole % 4294967296) AS _txid)"
        f" WHERE {snapshot.unseen_sql(0)}"
    ).result_rows
    assert {row[0] for row in rows} == {txid for txid in txids if txid >= xmax or txid in running}
