"""What the initial load's rules (`TypeMapping.load`) make of the texts that COPY writes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog.names import ch_string
from catalog.types import mapping
from tests.embedded.daemon import Daemon

# Postgres type, the field as COPY writes it, and the canonical text (None: not to be held).
_COPIED: list[tuple[str, str, str | None]] = [
    *[("smallint", n, n) for n in ("-32768", "32767")],
    *[("bigint", n, n) for n in (str(-(2**63)), str(2**63 - 1))],
    ("numeric(10,2)", "-99999999.99", "-99999999.99"),
    ("numeric(10,2)", "NaN", None),
    ("numeric(3,-2)", "99900", "99900"),
    ("boolean", "t", "true"),
    ("boolean", "f", "false"),
    ("text", "", ""),
    ("text", "__debezium_unavailable_value", "__debezium_unavailable_value"),
    ("text", r"a\tb\nc\\\b\f\r\v'd'", "a\tb\nc\\\b\f\r\v'd'"),
    ("character(3)", "a  ", "a"),
    ("jsonb", '{"a": "\\\\\\\\ \\\\" é"}', '{"a": "\\\\ \\" é"}'),
    *[("date", text, days) for text, days in (("1900-01-01", "-25567"), ("2299-12-31", "120529"))],
    *[
        ("date", text, None)
        for text in ("1899-12-31", "2300-01-01", "19999-01-01", "infinity", "-infinity")
    ],
    *[("date", text, None) for text in ("1950-01-01 BC", "0001-01-01")],
    ("time without time zone", "24:00:00", "86400000000"),
    ("time(3) without time zone", "00:00:00.001", "1000"),
    ("timestamp without time zone", "1900-01-01 00:00:00", str(-25567 * 86_400_000_000)),
    ("timestamp without time zone", "1969-12-31 23:59:59.999999", "-1"),
    ("timestamp with time zone", "2299-12-31 23:59:59.9", str(120530 * 86_400_000_000 - 100_000)),
    *[
        ("timestamp with time zone", text, None)
        for text in (
            "1899-12-31 23:59:59.999999",
            "2300-01-01 00:00:00",
            "19999-01-01 00:00:00",
            "1950-01-01 00:00:00 BC",
            "infinity",
            "-infinity",
        )
    ],
    ("uuid", "61f0c404-5cb3-11e7-907b-a6006ad3dba0", "61f0c404-5cb3-11e7-907b-a6006ad3dba0"),
    ("double precision", "0.1", "3fb999999999999a"),
    ("double precision", "5e-324", "0000000000000001"),
    ("double precision", "1e+20", "4415af1d78b58c40"),
    ("double precision", "-0", "0000000000000000"),
    ("double precision", "-Infinity", "fff0000000000000"),
    ("real", "3.4028235e+38", "7f7fffff"),
    ("real", "NaN", "NaN"),
    ("bytea", r"\\x", ""),
    ("bytea", r"\\x00ff5c", "00ff5c"),
]


@pytest.mark.parametrize("pg_type", list(dict.fromkeys(kind for kind, _, _ in _COPIED)))
def test_every_copied_value_is_exact_or_null(shared: Daemon, pg_type: str) -> None:
    made = mapping(pg_type)
    assert made is not None
    cases = [(field, text) for kind, field, text in _COPIED if kind == pg_type]
    body = "".join(f"{field}\n" for field in [*(field for field, _ in cases), r"\N"])
    answer = shared.ask(
        f"SELECT {made.ch_text('v')} FROM (SELECT CAST({made.load.ch('x')}, "
        f"{ch_string(f'Nullable({made.clickhouse})')}) AS v FROM format(TabSeparated, "
        f"{ch_string(f'x Nullable({made.load.input})')}, {ch_string(body)})) "
        "FORMAT JSONCompactEachRow"
    )
    found: list[Any] = [json.loads(line)[0] for line in answer.split("\n") if line]
    assert found == [*(text for _, text in cases), None]
