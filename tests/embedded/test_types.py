"""Each type's rules on edge values, in the real engine: exact, or NULL and so a dead letter.

What Postgres and Debezium really write is in tests/local/test_types.py, on the whole chain; what
the views make of the rules in test_captured_table.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog.model import Column
from catalog.names import ch_string
from catalog.types import TypeMapping, mapping
from tests.embedded.captured import Captured, event
from tests.embedded.daemon import Daemon

Case = tuple[str, str | None]
_DAY = 86_400_000_000
_NINES = "9" * 38
_LOST = ("__debezium_unavailable_value", None)

# By type: the field of a message as text, and the canonical text of what is stored; None where the
# value can't be held. `as_text` types are marked by '!'.
_STREAMED: dict[str, list[Case]] = {
    "oid": [("0", "0"), ("4294967295", "4294967295"), ("4294967296", None), ("-1", None)],
    "xid8": [("MTg0NDY3NDQwNzM3MDk1NTE2MTU=", "18446744073709551615"), ("5", None), _LOST],
    "numeric": [
        ("1.50", "1.5"),
        ("0.000", "0"),
        ("-100", "-100"),
        (f"-{_NINES}.{_NINES}", f"-{_NINES}.{_NINES}"),
        ("0." + "0" * 37 + "1", "0." + "0" * 37 + "1"),
        ("0." + "0" * 38 + "1", None),
        ("1." + "0" * 60, "1"),
        ("1" + "0" * 38, None),
        *[(text, None) for text in ("NAN", "POSITIVE_INFINITY", "NEGATIVE_INFINITY", "", "1e3")],
        _LOST,
    ],
    "numeric(5,-2)": [
        ("12300." + "0" * 2046, "12300"),
        ("0." + "0" * 2046, "0"),
        ("12300.5", None),
    ],
    "money": [("-92233720368547758.08", "-92233720368547758.08"), ("0.005", None)],
    "numeric!": [
        ("1.50", "1.50"),
        ("9" * 200, "9" * 200),
        ("NAN", "NaN"),
        ("POSITIVE_INFINITY", "Infinity"),
        ("NEGATIVE_INFINITY", "-Infinity"),
        _LOST,
    ],
    "numeric(5,-2)!": [("12300." + "0" * 2046, "12300"), ("NAN", "NaN")],
    "date!": [
        ("-25567", "1900-01-01"),
        ("120529", "2299-12-31"),
        ("0", "1970-01-01"),
        ("0044-03-15 BC", "0044-03-15 BC"),
        ("infinity", "infinity"),
        # Without the converter: what Debezium means by infinity.
        ("2146033979", None),
        _LOST,
    ],
    "timestamp without time zone!": [
        ("-1", "1969-12-31 23:59:59.999999"),
        ("0", "1970-01-01 00:00:00"),
        ("500000", "1970-01-01 00:00:00.5"),
        ("10000000", "1970-01-01 00:00:10"),
        ("0044-03-15 12:00:00 BC", "0044-03-15 12:00:00 BC"),
        ("-infinity", "-infinity"),
        ("9223372036854775807", None),
        _LOST,
    ],
    "timestamp with time zone!": [
        ("2020-01-01T00:00:00.000000Z", "2020-01-01 00:00:00+00"),
        ("2020-01-01T00:00:10.100010Z", "2020-01-01 00:00:10.10001+00"),
        ("+294276-12-31T23:59:59.999999Z", "294276-12-31 23:59:59.999999+00"),
        ("-0043-03-15T12:13:14.123456Z", "0044-03-15 12:13:14.123456+00 BC"),
        ("0000-06-01T00:00:00.000000Z", "0001-06-01 00:00:00+00 BC"),
        ("-4712-01-02T00:00:00.000000Z", "4713-01-02 00:00:00+00 BC"),
        ("0001-01-01T00:00:00.000000Z", "0001-01-01 00:00:00+00"),
        ("infinity", "infinity"),
        ("2020-01-01", None),
        _LOST,
    ],
    "interval": [
        ("P1Y2M3DT4H5M6.789012S", f"14 3 {(4 * 3600 + 5 * 60) * 1_000_000 + 6_789_012}"),
        ("P-1Y-2M3DT-4H-5M-6.789S", f"-14 3 {-((4 * 3600 + 5 * 60) * 1_000_000 + 6_789_000)}"),
        ("P0Y0M0DT0H0M0S", "0 0 0"),
        ("P0Y0M0DT0H0M-0.000001S", "0 0 -1"),
        ("P0Y0M0DT0H0M-0.000000999S", "0 0 -1"),  # what Debezium makes of it
        ("P0Y828M-74DT-55H-7M-1.605894999S", "828 -74 -198421605895"),
        ("P178956970Y7M2147483647DT0H0M0S", "2147483647 2147483647 0"),
        ("P178956970Y8M0DT0H0M0S", None),
        ("P0Y0M0DT2147483647H59M59.999999S", "0 0 7730941132799999999"),
        ("P0Y0M0DT9999999999H0M0S", None),
        ("P1D", None),
        ("1 day", None),
        _LOST,
    ],
    "bit varying(5)": [("", ""), ("0", "0"), ("00101", "00101"), _LOST],
    "time with time zone": [("24:00:00-15:59", "24:00:00-15:59"), _LOST],
    "tsquery": [("J2EnICYgISdiJw==", "'a' & !'b'"), ("", ""), ("a & b", None), _LOST],
    "composite": [("KDEsIngsXFwiIik=", '(1,"x,\\\\"")'), ("(,)", "(,)"), ("1,2", None), _LOST],
    "range": [("WzEsMik=", "[1,2)"), ("[1,2)", "[1,2)"), ("empty", "empty"), ("ZW1wdHk=", "empty")],
    "enum": [('it\'s "x", {y}', 'it\'s "x", {y}'), _LOST],
    "point": [
        ("(1.5,-2)", "3ff8000000000000,c000000000000000"),
        ("(NaN,-Infinity)", "NaN,fff0000000000000"),
        ("(0.1,1e+300)", "3fb999999999999a,7e37e43c8800759c"),
        ("(1,)", None),
        ("(1,2,3)", None),
        ("", None),
        _LOST,
    ],
    "hstore": [
        ("{}", ""),
        ('{"b":null,"aa":"x\\"\\\\","a":""}', '"a"=>"", "b"=>NULL, "aa"=>"x\\"\\\\"'),
        ('{"é":"NULL"}', '"é"=>"NULL"'),
        ('{"a":', None),
        ('{"__debezium_unavailable_value":"__debezium_unavailable_value"}', None),
        ('"a"=>"1"', None),
        ("[1]", None),
        _LOST,
    ],
    "integer[]": [
        ("{}", ""),
        ("{1,NULL,-3}", "1:1,-,2:-3"),
        ("{NULL,NULL}", "-,-"),
        ("{2147483648}", None),
        ("{1.5}", None),
        ("{{1,2},{3,NULL}}", None),
        ("[0:1]={1,2}", None),
        ("[1,2]", None),
        ("[null,null]", None),
        ("{1,2", None),
        ("{1,,2}", None),
        ("{1,2,}", None),
        ("", None),
        _LOST,
    ],
    "text[]": [
        (
            '{a,NULL,"NULL","","a,b","x\\"\\\\y","{c}"," s ","l\n1\t😀"}',
            '1:a,-,4:NULL,0:,3:a,b,4:x"\\y,3:{c},3: s ,8:l\n1\t😀',
        ),
        ('{"\\\\"}', "1:\\"),
        ('{"a\\\\\\"b"}', '4:a\\"b'),
        ("{{a,b},{c,NULL}}", None),
        ("[0:0]={a}", None),
        ('["a"]', None),
        ("[Ljava.lang.String;@553ca917", None),
        ('{"a"b}', None),
    ],
    "numeric(10,2)[]": [("{1.50,NULL}", "4:1.50,-"), ("{1.50,NaN}", None), ("{1.505}", None)],
    "numeric[]": [("{1.50,1e1}", None), ("{1.50,10}", "3:1.5,2:10")],
    "boolean[]": [("{t,f,NULL}", "4:true,5:false,-"), ("{true}", None)],
    "date[]": [("{2020-01-01,NULL}", "5:18262,-"), ("{infinity}", None), ("{1582-10-10}", None)],
    "time without time zone[]": [
        ("{24:00:00,23:59:59.999999}", f"11:{_DAY},11:{_DAY - 1}"),
        ("{x}", None),
    ],
    "timestamp without time zone[]": [
        ('{"1969-12-31 23:59:59.999999",NULL}', "2:-1,-"),
        ('{"0044-03-15 00:00:00 BC"}', None),
        ("{infinity}", None),
    ],
    "timestamp with time zone[]": [
        ('{"1970-01-01 00:00:00.5+00"}', "6:500000"),
        ('{"1970-01-01 00:00:00.5+01"}', None),
        ('{"1970-01-01 00:00:00+00 BC"}', None),
        ("{infinity}", None),
    ],
    "uuid[]": [
        ("{61f0c404-5cb3-11e7-907b-a6006ad3dba0}", "36:61f0c404-5cb3-11e7-907b-a6006ad3dba0")
    ],
    "double precision[]": [("{0.1,NaN,NULL}", "16:3fb999999999999a,3:NaN,-"), ("{x}", None)],
    "bytea[]": [('{"\\\\x00ff",NULL,"\\\\x"}', "4:00ff,-,0:"), ("{00ff}", None)],
    "interval[]": [('{"1 day"}', "5:1 day")],
    "int4range[]": [('{"[1,2)",empty}', "5:[1,2),5:empty")],
    "composite[]": [('{"(1,\\"a,\\"\\"b\\")"}', '11:(1,"a,""b")')],
    "enum[]": [("{sad,NULL}", "3:sad,-")],
    "box[]": [
        ("{(1,1),(0,0);NULL;(2.5,3),(-1,0)}", "11:(1,1),(0,0),-,14:(2.5,3),(-1,0)"),
        ("{}", ""),
        ("{{(1,1),(0,0)};{(1,1),(0,0)}}", None),
        ("[0:0]={(1,1),(0,0)}", None),
    ],
    "integer[]!": [
        ("{{1,2},{3,4}}", "{{1,2},{3,4}}"),
        ("[-1:0]={1,2}", "[-1:0]={1,2}"),
        ("[null,null]", None),
        ("[1,2]", None),
        _LOST,
    ],
}

# The field as COPY writes it.
_COPIED: dict[str, list[Case]] = {
    "smallint": [(n, n) for n in ("-32768", "32767")],
    "bigint": [(n, n) for n in (str(-(2**63)), str(2**63 - 1))],
    "xid8": [("18446744073709551615", "18446744073709551615")],
    "numeric": [("1.50", "1.5"), ("NaN", None), ("Infinity", None)],
    "numeric(10,2)": [("-99999999.99", "-99999999.99"), ("NaN", None)],
    "numeric(3,-2)": [("99900", "99900")],
    "numeric!": [("NaN", "NaN"), ("1.50", "1.50")],
    "money": [("-0.01", "-0.01")],
    "boolean": [("t", "true"), ("f", "false")],
    "text": [
        ("", ""),
        ("__debezium_unavailable_value", "__debezium_unavailable_value"),
        (r"a\tb\nc\\\b\f\r\v'd'", "a\tb\nc\\\b\f\r\v'd'"),
    ],
    "character(3)": [("a  ", "a")],
    "jsonb": [('{"a": "\\\\\\\\ \\\\" é"}', '{"a": "\\\\ \\" é"}')],
    "date": [
        ("1900-01-01", "-25567"),
        ("2299-12-31", "120529"),
        *[(text, None) for text in ("1899-12-31", "2300-01-01", "19999-01-01", "infinity")],
        *[(text, None) for text in ("-infinity", "1950-01-01 BC", "0001-01-01")],
    ],
    "date!": [("1950-01-01 BC", "1950-01-01 BC")],
    "time without time zone": [("24:00:00", str(_DAY))],
    "time(3) without time zone": [("00:00:00.001", "1000")],
    "timestamp without time zone": [
        ("1900-01-01 00:00:00", str(-25567 * _DAY)),
        ("1969-12-31 23:59:59.999999", "-1"),
    ],
    "timestamp with time zone": [
        ("2299-12-31 23:59:59.9", str(120530 * _DAY - 100_000)),
        *[(text, None) for text in ("1899-12-31 23:59:59.999999", "2300-01-01 00:00:00")],
        *[(text, None) for text in ("19999-01-01 00:00:00", "1950-01-01 00:00:00 BC")],
        *[(text, None) for text in ("infinity", "-infinity")],
    ],
    "timestamp with time zone!": [("0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC")],
    "interval": [("P1Y2M3DT-4H0M6.789012S", f"14 3 {-4 * 3_600_000_000 + 6_789_012}")],
    "uuid": [("61f0c404-5cb3-11e7-907b-a6006ad3dba0",) * 2],
    "double precision": [
        ("0.1", "3fb999999999999a"),
        ("5e-324", "0000000000000001"),
        ("1e+20", "4415af1d78b58c40"),
        ("-0", "0000000000000000"),
        ("-Infinity", "fff0000000000000"),
    ],
    "real": [("3.4028235e+38", "7f7fffff"), ("NaN", "NaN")],
    "bytea": [(r"\\x", ""), (r"\\x00ff5c", "00ff5c")],
    "hstore": [(r'{"a": "1", "b": null, "c": "\\\\"}', '"a"=>"1", "b"=>NULL, "c"=>"\\\\"')],
    "point": [("(1.5,-2)", "3ff8000000000000,c000000000000000")],
    "text[]": [(r'{"a\\\\b",NULL,"c\nd"}', "3:a\\b,-,3:c\nd"), ("{{a},{b}}", None)],
    "box[]": [("{(1,1),(0,0);(2,2),(1,1)}", "11:(1,1),(0,0),11:(2,2),(1,1)")],
    "integer[]!": [("{{1},{2}}", "{{1},{2}}")],
    "tsquery": [("'a' & !'b'", "'a' & !'b'")],
}


def _mapping(name: str) -> TypeMapping:
    made = mapping(name.removesuffix("!"), as_text=name.endswith("!"))
    assert made is not None
    return made


def _values(answer: str) -> list[Any]:
    return [json.loads(line)[0] for line in answer.split("\n") if line]


@pytest.mark.parametrize("analyzer", ["0", "1"])
@pytest.mark.parametrize("name", list(_STREAMED))
def test_every_streamed_value_is_exact_or_null(shared: Daemon, name: str, analyzer: str) -> None:
    """In both analyzers: the queues' views are planned with the older one."""
    made = _mapping(name)
    cases = [*_STREAMED[name], (None, None)]
    texts = ", ".join("NULL" if raw is None else ch_string(raw) for raw, _ in cases)
    # One lambda over the texts of all columns of a type, as in decode.sql.
    kind = ch_string(f"Array({made.parsed})")
    decoded = f"CAST(arrayMap(_text -> {made.decode('_text')}, [{texts}]), {kind})"
    stored = f"CAST({made.store('v', True)}, {ch_string(made.stored(True))})"
    answer = shared.ask(
        f"SELECT {made.ch_text('s')} FROM (SELECT {stored} AS s FROM (SELECT arrayJoin({decoded}) "
        "AS v)) FORMAT JSONCompactEachRow",
        enable_analyzer=analyzer,
    )
    assert _values(answer) == [text for _, text in cases]
    held = [ch_string(raw) for raw, text in cases if raw is not None and text is not None]
    answer = shared.ask(
        f"SELECT {made.ch_text('s')} FROM (SELECT CAST({made.store('v', False)}, "
        f"{ch_string(made.stored(False))}) AS s FROM (SELECT arrayJoin(arrayMap(_text -> "
        f"{made.decode('_text')}, [{', '.join(held)}])) AS v)) FORMAT JSONCompactEachRow",
        enable_analyzer=analyzer,
    )
    assert _values(answer) == [text for _, text in cases if text is not None]


@pytest.mark.parametrize("name", list(_COPIED))
def test_every_copied_value_is_exact_or_null(shared: Daemon, name: str) -> None:
    made = _mapping(name)
    cases = _COPIED[name]
    body = "".join(f"{field}\n" for field in [*(field for field, _ in cases), r"\N"])
    answer = shared.ask(
        f"SELECT {made.ch_text('v')} FROM (SELECT CAST({made.load.ch('x')}, "
        f"{ch_string(made.parsed)}) AS p, CAST({made.store('p', True)}, "
        f"{ch_string(made.stored(True))}) AS v FROM format(TabSeparated, "
        f"{ch_string(f'x Nullable({made.load.input})')}, {ch_string(body)})) "
        "FORMAT JSONCompactEachRow"
    )
    assert _values(answer) == [*(text for _, text in cases), None]


_COMPOSED: dict[str, tuple[Any, str]] = {
    "integer[]": ("{1,NULL}", "1:1,-"),
    "text[]": ("{}", ""),
    "hstore": ('{"a":null}', '"a"=>NULL'),
    "interval": ("P0Y1M2DT0H0M3S", "1 2 3000000"),
    "point": ("(1,-2)", "3ff0000000000000,c000000000000000"),
    "enum": ("sad", "sad"),
}


@pytest.mark.parametrize("key", [("id",), ()])
def test_composed_values_take_the_whole_way(shared: Daemon, key: tuple[str, ...]) -> None:
    """Of a table with a key and of one without: nullable and not, NULL and not, and unreadable."""
    columns = [Column(name="id", pg_type="integer", nullable=False)]
    for n, kind in enumerate(_COMPOSED):
        columns += [Column(name=f"n{n}", pg_type=kind, nullable=True)]
        columns += [Column(name=f"v{n}", pg_type=kind, nullable=False)]
    table = Captured(shared, columns, key)
    full = {c.name: _COMPOSED[c.pg_type][0] for c in columns[1:]}
    nulls = {name: None if name.startswith("n") else value for name, value in full.items()}
    table.arrive(
        event("c", {"id": 1} | full, 2_000),
        event("c", {"id": 2} | nulls, 2_001),
        event("c", {"id": 3} | full | {"v0": None, "n3": "1 day"}, 2_002),
    )
    texts = [_mapping(c.pg_type).ch_text(c.name) for c in columns]
    expected = [_COMPOSED[c.pg_type][1] for c in columns[1:]]
    without = [None if c.name.startswith("n") else _COMPOSED[c.pg_type][1] for c in columns[1:]]
    for shown in ("{t}", "{t}_history FINAL"):
        rows = table.rows(f"SELECT {', '.join(texts)} FROM {shown} ORDER BY id")
        assert rows == [["1", *expected], ["2", *without]]
    assert table.reasons() == ["unreadable: v0 is null, n3=1 day"]
