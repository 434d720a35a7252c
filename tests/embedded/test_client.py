"""clickhouse-connect, the Python client the platform itself uses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.embedded.daemon import ANALYST, Daemon

ROW = (
    1,
    "ünï",
    Decimal("12345678.91"),
    datetime(2026, 1, 2, 3, 4, 5, 678901),
    date(2026, 1, 2),
    UUID("12345678-1234-5678-1234-567812345678"),
    ["a", "b"],
    None,
    "low",
)
TYPES = (
    "a Int64, b String, c Decimal(18, 2), d DateTime64(6), e Date32, f UUID, g Array(String), "
    "h Nullable(Int32), i LowCardinality(String)"
)


def test_rows_come_back_as_they_went_in(shared: Daemon) -> None:
    client = shared.client()
    client.command(f"CREATE TABLE typed ({TYPES}) ENGINE = MergeTree ORDER BY a")
    summary = client.insert("typed", [ROW] * 3)
    assert summary.written_rows == 3
    result = client.query("SELECT * FROM typed LIMIT 1")
    assert result.result_rows == [ROW]
    assert result.column_names == tuple("abcdefghi")


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", False])
def test_every_compression_works_both_ways(shared: Daemon, compression: str | bool) -> None:
    client = shared.client(compress=compression)
    client.command("CREATE OR REPLACE TABLE numbers (a UInt64) ENGINE = Memory")
    client.insert("numbers", [[n] for n in range(10_000)], column_names=["a"])
    assert client.query("SELECT sum(a) FROM numbers").first_row == (49_995_000,)
    rows = client.query("SELECT number FROM numbers(300000)").result_rows
    assert rows[-1] == (299_999,)


def test_parameters_settings_and_commands(shared: Daemon) -> None:
    client = shared.client(settings={"max_block_size": 1234})
    assert client.command("SELECT getSetting('max_block_size')") == 1234
    bound = client.query("SELECT {x:String} AS s", parameters={"x": "it's\n\\"})
    assert bound.first_row == ("it's\n\\",)
    limited = client.query("SELECT getSetting('max_threads')", settings={"max_threads": 1})
    assert limited.first_row == (1,)
    assert client.query("SELECT a FROM t WHERE 0").result_rows == []


def test_a_session_lasts_as_long_as_its_client(shared: Daemon) -> None:
    client = shared.client(session_id="client-session")
    client.command("CREATE TEMPORARY TABLE mine (a Int8)")
    client.insert("mine", [[7]], column_names=["a"])
    assert client.query("SELECT a FROM mine").first_row == (7,)


def test_dataframes_and_arrow(shared: Daemon) -> None:
    client = shared.client()
    client.command("CREATE TABLE frames (a Int64, b String) ENGINE = Memory")
    client.insert_df("frames", pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    client.insert_arrow("frames", pa.table({"a": [3], "b": ["z"]}))
    assert list(client.query_df("SELECT * FROM frames ORDER BY a")["b"]) == ["x", "y", "z"]
    assert client.query_arrow("SELECT * FROM frames").num_rows == 3
    assert client.raw_insert("frames", fmt="CSV", insert_block="4,w\n").written_rows == 1
    assert client.raw_query("SELECT count() FROM frames", fmt="TSV") == b"4\n"


def test_an_error_carries_its_code(shared: Daemon) -> None:
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        shared.client().query("SELECT * FROM missing")


def test_an_error_in_mid_stream_is_raised(shared: Daemon) -> None:
    sql = "SELECT number, throwIf(number = 900000) FROM numbers(3000000)"
    with pytest.raises(Exception, match="throwIf"):
        shared.client().query(sql, settings={"max_threads": 1})


def test_a_million_rows_stream(shared: Daemon) -> None:
    client = shared.client()
    sql = "SELECT number, toString(number) FROM numbers(1000000)"
    count = 0
    with client.query_row_block_stream(sql) as blocks:
        for block in blocks:
            count += len(block)
    assert count == 1_000_000


def test_eight_threads_at_once(shared: Daemon) -> None:
    client = shared.client(autogenerate_session_id=False)
    client.command("CREATE TABLE busy (w UInt8, n UInt32) ENGINE = MergeTree ORDER BY (w, n)")

    def work(worker: int) -> int:
        for part in range(5):
            rows = [[worker, part * 100 + n] for n in range(100)]
            client.insert("busy", rows, column_names=["w", "n"])
            found = client.query(f"SELECT count() FROM busy WHERE w = {worker}").first_row
            assert found == ((part + 1) * 100,)
        return worker

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(8))) == list(range(8))
    assert client.query("SELECT count(), uniq(w, n) FROM busy").first_row == (4000, 4000)


def test_the_analyst_can_use_the_client(shared: Daemon) -> None:
    client = shared.client(ANALYST)
    assert client.query("SELECT count() FROM t").first_row == (3,)
    assert client.query_df("SELECT * FROM t").shape == (3, 2)
    with pytest.raises(DatabaseError, match="readonly"):
        client.insert("t", [[9, "z"]], column_names=["a", "b"])
