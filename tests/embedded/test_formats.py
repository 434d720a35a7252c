"""A streamed result is byte for byte the result produced whole, in every format."""

from __future__ import annotations

import io
import json

import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
import requests

from tests.embedded.daemon import ADMIN, Daemon

ROWS = 150_000
SELECT = 'SELECT number AS n, toString(number) AS "a ""b\n" FROM numbers({rows})'


def fetch(daemon: Daemon, output_format: str, rows: int = ROWS, **params: str) -> bytes:
    """A result's bytes."""
    sql = f"{SELECT.format(rows=rows)} FORMAT {output_format}"
    response = daemon.post(sql, max_threads="1", **params)
    assert response.status_code == 200, response.text
    return response.content


@pytest.mark.parametrize("rows", [ROWS, 3, 0])
@pytest.mark.parametrize(
    "output_format",
    [
        "Native",
        "RowBinary",
        "RowBinaryWithNames",
        "RowBinaryWithNamesAndTypes",
        "TSV",
        "TabSeparatedWithNames",
        "TSVWithNamesAndTypes",
        "CSV",
        "CSVWithNames",
        "CSVWithNamesAndTypes",
        "JSONEachRow",
        "JSONCompactEachRow",
        "JSONCompactEachRowWithNames",
        "JSONCompactEachRowWithNamesAndTypes",
        "JSONStringsEachRow",
        "MsgPack",
        "TSKV",
    ],
)
def test_a_streamed_result_equals_the_whole_one(
    shared: Daemon, output_format: str, rows: int
) -> None:
    streamed = fetch(shared, output_format, rows)
    assert streamed == fetch(shared, output_format, rows, wait_end_of_query="1")


def test_formats_with_a_footer_come_out_valid(shared: Daemon) -> None:
    document = json.loads(fetch(shared, "JSON"))
    assert document["rows"] == len(document["data"]) == ROWS
    assert len(json.loads(fetch(shared, "JSONCompact"))["data"]) == ROWS
    assert pq.read_table(io.BytesIO(fetch(shared, "Parquet"))).num_rows == ROWS
    assert pa.ipc.open_file(fetch(shared, "Arrow")).read_all().num_rows == ROWS
    assert pa.ipc.open_stream(fetch(shared, "ArrowStream")).read_all().num_rows == ROWS
    assert (
        len(pd.read_xml(io.BytesIO(fetch(shared, "XML", 10)), xpath=".//row", parser="etree")) == 10
    )


def test_a_json_array_of_rows_is_one_array(shared: Daemon) -> None:
    rows = fetch(shared, "JSONEachRow", output_format_json_array_of_rows="1")
    assert len(json.loads(rows)) == ROWS


def test_totals_come_once(shared: Daemon) -> None:
    sql = "SELECT number AS k, count() FROM numbers(100000) GROUP BY k WITH TOTALS FORMAT CSV"
    assert shared.ask(sql).count("\n0,100000") == 1


@pytest.mark.parametrize(
    ("output_format", "content_type"),
    [
        ("JSON", "application/json; charset=UTF-8"),
        ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
        ("CSVWithNames", "text/csv; charset=UTF-8"),
        ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
        ("PrettyCompact", "text/plain; charset=UTF-8"),
        ("Native", "application/octet-stream"),
        ("Parquet", "application/octet-stream"),
    ],
)
def test_a_format_has_its_content_type(
    shared: Daemon, output_format: str, content_type: str
) -> None:
    response = shared.post("SELECT 1", default_format=output_format)
    assert response.headers["Content-Type"] == content_type


def test_a_large_result_streams_in_bounded_memory(shared: Daemon) -> None:
    sql = "SELECT number, randomString(100) FROM numbers(5000000) FORMAT RowBinary"
    before = shared.resident()
    received = highest = 0
    response = requests.post(shared.url, data=sql, auth=ADMIN, stream=True, timeout=30)
    for chunk in response.iter_content(1 << 20):
        received += len(chunk)
        highest = max(highest, shared.resident())
    assert received > 500_000_000
    assert highest - before < 220_000_000
