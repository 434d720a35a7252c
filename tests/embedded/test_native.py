"""Native as the Go client (Grafana's) reads it: the same data, with a flag before each column's."""

from __future__ import annotations

import pytest

from embedded import native
from tests.embedded.daemon import Daemon

ROWS = 300
REVISION = "54460"
BLOCK_INFO = bytes.fromhex("0100 02ffffffff 00")

EXPRESSIONS = [
    "number",
    "toInt8(number % 100)",
    "toInt256(number)",
    "toFloat32(number)",
    "number % 2 = 0",
    "toString(number)",
    "repeat('x', number)",
    "toFixedString('abc', 7)",
    "toDate('2026-01-02') + number",
    "toDate32('2026-01-02')",
    "toDateTime('2026-01-02 03:04:05', 'Europe/Berlin')",
    "toDateTime64('2026-01-02 03:04:05.678901', 6, 'UTC')",
    "toDecimal32(number, 2)",
    "toDecimal64(number, 2)",
    "toDecimal128(number, 2)",
    "toDecimal256(number, 2)",
    "toUUID('12345678-1234-5678-1234-567812345678')",
    "toIPv4('127.0.0.1')",
    "toIPv6('::1')",
    "CAST(number % 2, 'Enum8(\\'a, (b\\' = 0, \\'it\\\\\\'s\\' = 1)')",
    "toNullable(number)",
    "if(number % 2 = 0, NULL, toString(number))",
    "NULL",
    "toLowCardinality(toString(number % 5))",
    "toLowCardinality(toString(number))",
    "toLowCardinality(if(number % 3 = 0, NULL, toString(number % 5)))",
    "range(number % 7)",
    "CAST([], 'Array(Array(String))')",
    "[[toString(number)], [], ['a', 'b']]",
    "arrayMap(x -> toLowCardinality(toString(x)), range(number % 4))",
    "(number, toString(number), [number])",
    "CAST((1, 'x'), 'Tuple(`a b` Int8, c LowCardinality(String))')",
    "map(toString(number), number, 'k', 2)",
    "CAST(map('a', ['b']), 'Map(LowCardinality(String), Array(Nullable(String)))')",
    "CAST([(1, 'x')], 'Nested(a Int8, b String)')",
    "CAST((1.5, 2.5), 'Point')",
    "CAST([[(1.5, 2.5)]], 'Polygon')",
    "toIntervalDay(number)",
    "CAST(number, 'SimpleAggregateFunction(sum, UInt64)')",
]


def fetch(daemon: Daemon, sql: str, **params: str) -> bytes:
    """A result in Native."""
    response = daemon.post(sql, default_format="Native", **params)
    assert response.status_code == 200, response.text
    return response.content


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_flags_go_between_the_columns_whatever_their_types(shared: Daemon, expression: str) -> None:
    rows = f"FROM numbers({ROWS})"
    # One column alone shows where its data ends, without knowing its type.
    alone = fetch(shared, f"SELECT {expression} AS x {rows}")
    count = native._as_varint(ROWS)
    kind, after = native._string(alone, 3 + len(count))
    column = b"\x01x" + native._as_varint(len(kind)) + kind.encode()
    assert alone[:after] == b"\x01" + count + column
    data = alone.removeprefix(b"\x01" + count + column)
    flagged = fetch(
        shared, f"SELECT {expression} AS x, 7 AS y {rows}", client_protocol_version=REVISION
    )
    marker = b"\x01y\x05UInt8\x00" + b"\x07" * ROWS
    assert flagged == BLOCK_INFO + b"\x02" + count + column + b"\x00" + data + marker


def test_a_streamed_result_is_flagged_block_by_block(shared: Daemon) -> None:
    sql = "SELECT number, toString(number) FROM numbers(300000)"
    streamed = fetch(shared, sql, client_protocol_version=REVISION, max_threads="1")
    plain = fetch(shared, sql, max_threads="1")
    assert streamed == native.revise(plain)
    assert streamed.count(BLOCK_INFO) > 1


def test_json_arrives_as_a_string(shared: Daemon) -> None:
    sql = "SELECT CAST('{\"a\": 1}', 'JSON') AS j"
    answer = fetch(shared, sql, client_protocol_version=REVISION)
    head, _, data = answer.partition(b"JSON\x00")
    assert head == BLOCK_INFO + b"\x01\x01\x01j\x04"
    assert data == b"\x01" + bytes(7) + b'\x07{"a":1}'


def test_a_type_that_cannot_be_flagged_is_refused_with_the_way_out(shared: Daemon) -> None:
    sql = "SELECT uniqState(1) AS s"
    refused = shared.post(sql, default_format="Native", client_protocol_version=REVISION)
    assert refused.status_code == 501
    assert "cast it to String" in refused.text


def test_older_clients_get_the_engines_own_blocks(shared: Daemon) -> None:
    sql = "SELECT 1 AS x"
    assert fetch(shared, sql, client_protocol_version="54405") == fetch(shared, sql)
