"""Random values of each type, as Postgres reads them: many of them at the edges of what can be."""

from __future__ import annotations

import json
import random
import re
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

Chance = random.Random

WORDS = (
    "",
    " ",
    "a",
    "A",
    "ä",
    "NULL",
    "null",
    "\\N",
    "\\",
    "it's",
    '"quoted"',
    "line\nbreak",
    "tab\there",
    "return\r\n",
    "日本語",
    "😀 emoji",
    "\u0001\u001f",
    "\u2028",
    "{}",
    "[1,2]",
    "%s %d",
    "0",
    "-0",
    "1e400",
    "trailing  ",
    "\ufeffbom",
    "e\u0301",
)


def value(chance: Chance, pg_type: str) -> str:
    """A value that every type in between can hold; see docs/types.md for those it can't."""
    name = pg_type if pg_type.endswith("[]") else re.sub(r"\(.*?\)", "", pg_type)
    arguments = [int(each) for each in re.findall(r"\d+", pg_type)]
    return VALUES[name](chance, arguments)


def _integer(bits: int) -> Callable[[Chance, list[int]], str]:
    top = 2 ** (bits - 1)

    def made(chance: Chance, _arguments: list[int]) -> str:
        edges = [0, 1, -1, top - 1, -top, 10, -100]
        return str(chance.choice([chance.choice(edges), chance.randrange(-top, top)]))

    return made


def _numeric(chance: Chance, arguments: list[int]) -> str:
    precision, scale = arguments
    digits = chance.choice(
        [
            "0",
            "9" * precision,
            "1",
            str(chance.randrange(10**precision)),
            str(chance.randrange(10 ** min(precision, 4))),
        ]
    ).rjust(scale + 1, "0")
    whole, fraction = digits[: len(digits) - scale], digits[len(digits) - scale :]
    sign = chance.choice(["", "-"]) if digits.strip("0") else ""  # a key's values must differ
    return sign + (f"{whole}.{fraction}" if scale else whole)


def _boolean(chance: Chance, _arguments: list[int]) -> str:
    return chance.choice(["true", "false"])


def _text(chance: Chance, arguments: list[int]) -> str:
    made = chance.choice(
        [
            chance.choice(WORDS),
            chance.choice(WORDS) + chance.choice(WORDS),
            f"word {chance.randrange(1000)}",
            # Kept apart from its row, and not compressible.
            "".join(chance.choices("0123456789abcdefäöü", k=3000)) if not arguments else "x",
        ]
    )
    return made[: arguments[0]] if arguments else made


def _padded(chance: Chance, arguments: list[int]) -> str:
    return _text(chance, arguments).rstrip(" ")


def _date(chance: Chance, _arguments: list[int]) -> str:
    first, last = date(1900, 1, 1), date(2299, 12, 31)
    days = chance.randrange((last - first).days + 1)
    edges = [first, last, date(1970, 1, 1), date(1969, 12, 31), date(2000, 2, 29)]
    return chance.choice([chance.choice(edges), first + timedelta(days)]).isoformat()


def _moment(chance: Chance) -> datetime:
    first = datetime(1900, 1, 1, tzinfo=UTC)
    last = datetime(2299, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    span = (last - first) // timedelta(microseconds=1)
    edges = [
        first,
        last,
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ]
    moment = chance.choice(
        [chance.choice(edges), first + timedelta(microseconds=chance.randrange(span))]
    )
    return moment.replace(microsecond=chance.choice([0, 500000, 1, moment.microsecond]))


def _timestamp(chance: Chance, _arguments: list[int]) -> str:
    return _moment(chance).replace(tzinfo=None).isoformat(" ")


def _timestamptz(chance: Chance, _arguments: list[int]) -> str:
    return _moment(chance).isoformat(" ")


def _time(chance: Chance, _arguments: list[int]) -> str:
    micros = chance.choice([0, 1, 86_399_999_999, chance.randrange(86_400_000_000)])
    if chance.random() < 0.1:
        return "24:00:00"
    return (datetime(2000, 1, 1) + timedelta(microseconds=micros)).time().isoformat()


def _uuid(chance: Chance, _arguments: list[int]) -> str:
    return str(uuid.UUID(int=chance.choice([0, 2**128 - 1, chance.getrandbits(128)])))


def _json(chance: Chance, _arguments: list[int]) -> str:
    leaf = chance.choice([None, True, 0, -1.5, 10**20, chance.choice(WORDS[:16])])
    # No control characters: Postgres takes none in json, escaped or not, where they are texts.
    made = chance.choice([leaf, [leaf, leaf], {"a": leaf, "ä b": {"": [leaf]}}, {}, []])
    return json.dumps(made, ensure_ascii=chance.random() < 0.5)


def _float(digits: int, most: int) -> Callable[[Chance, list[int]], str]:
    def made(chance: Chance, _arguments: list[int]) -> str:
        edges = ["0", "-0", "NaN", "Infinity", "-Infinity", "1", "0.1", f"1e{most}", f"-1e-{most}"]
        number = f"{chance.uniform(-10, 10):.{digits}g}e{chance.randrange(-most, most)}"
        return chance.choice([chance.choice(edges), number])

    return made


def _bytea(chance: Chance, _arguments: list[int]) -> str:
    return "\\x" + chance.randbytes(chance.choice([0, 1, 3, 16, 4000])).hex()


def _one_of(*texts: str) -> Callable[[Chance, list[int]], str]:
    return lambda chance, _arguments: chance.choice(texts)


def _money(chance: Chance, _arguments: list[int]) -> str:
    cents = chance.choice([0, 1, -1, 2**63 - 1, -(2**63), chance.randrange(-(10**9), 10**9)])
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _bits(chance: Chance, arguments: list[int]) -> str:
    return "".join(chance.choices("01", k=arguments[0]))


def _varying_bits(chance: Chance, arguments: list[int]) -> str:
    return "".join(chance.choices("01", k=chance.randrange(arguments[0] + 1)))


def _interval(chance: Chance, _arguments: list[int]) -> str:
    months, days = chance.randrange(-1000, 1000), chance.randrange(-100, 100)
    micros = chance.choice([0, 1, -1, chance.randrange(-(10**12), 10**12)])
    return f"{months} mons {days} days {micros} microseconds"


def _zoned_time(chance: Chance, arguments: list[int]) -> str:
    return _time(chance, arguments) + chance.choice(["+00", "-05:30", "+14", "+01:23:45"])


def _address(chance: Chance, _arguments: list[int]) -> str:
    octets = ".".join(str(chance.randrange(256)) for _ in range(4))
    return chance.choice([octets, f"{octets}/{chance.randrange(33)}", "::1", "2001:db8::/32"])


def _mac(length: int) -> Callable[[Chance, list[int]], str]:
    return lambda chance, _arguments: chance.randbytes(length).hex(":")


def _point(chance: Chance, _arguments: list[int]) -> str:
    return f"({chance.uniform(-9, 9)},{chance.choice(['0', '-0', '1e300', 'NaN', '0.1'])})"


def _range(made: Callable[[Chance], int]) -> Callable[[Chance, list[int]], str]:
    def ranged(chance: Chance, _arguments: list[int]) -> str:
        low, high = sorted((made(chance), made(chance)))
        return chance.choice([f"[{low},{high}]", f"({low},)", "(,)", "empty", f"[{low},{low}]"])

    return ranged


def _array(element: str) -> Callable[[Chance, list[int]], str]:
    def made(chance: Chance, _arguments: list[int]) -> str:
        items = [
            "NULL"
            if chance.random() < 0.2
            else '"' + value(chance, element).replace("\\", "\\\\").replace('"', '\\"') + '"'
            for _ in range(chance.choice((0, 1, 2, 5)))
        ]
        return "{" + ",".join(items) + "}"

    return made


ARRAYS = ("integer", "bigint", "text", "numeric(18,6)", "boolean", "uuid", "double precision")
VALUES: dict[str, Callable[[Chance, list[int]], str]] = {
    "smallint": _integer(16),
    "integer": _integer(32),
    "bigint": _integer(64),
    "numeric": _numeric,
    "boolean": _boolean,
    "text": _text,
    "character varying": _text,
    "character": _padded,
    "date": _date,
    "timestamp without time zone": _timestamp,
    "timestamp with time zone": _timestamptz,
    "time without time zone": _time,
    "uuid": _uuid,
    "json": _json,
    "jsonb": _json,
    "real": _float(7, 36),
    "double precision": _float(17, 300),
    "bytea": _bytea,
    "money": _money,
    "oid": _one_of("0", "1", "4294967295"),
    "xid": _one_of("0", "1", "4294967295"),
    "xid8": _one_of("0", "1", "18446744073709551615"),
    "name": _one_of("", "a", "a name", "größe"),
    '"char"': _one_of("a", "Z", "0"),
    "bpchar": _one_of("", "a", "a b", "trailing   "),
    "bit": _bits,
    "bit varying": _varying_bits,
    "interval": _interval,
    "time with time zone": _zoned_time,
    "inet": _address,
    "cidr": _one_of("10.0.0.0/8", "192.168.1.0/24", "::/0", "2001:db8::/32", "1.2.3.4/32"),
    "macaddr": _mac(6),
    "macaddr8": _mac(8),
    "tsvector": _one_of("", "'a':1 'b':2A", "fat cat", "'it''s'"),
    "tsquery": _one_of("fat & rat", "!a | b", "'it''s'"),
    "jsonpath": _one_of("$.a", "$[*] ? (@ > 1)", "strict $"),
    "pg_lsn": _one_of("0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"),
    "txid_snapshot": _one_of("10:20:10,14,15", "1:1:"),
    "pg_snapshot": _one_of("10:20:10,14,15", "1:1:"),
    "tid": _one_of("(0,0)", "(4294967295,65535)"),
    "point": _point,
    "line": _one_of("{1,2,3}", "{0,-1,0.5}"),
    "lseg": _one_of("[(0,0),(1,1)]", "[(-1,0.1),(2,3)]"),
    "box": _one_of("(1,1),(0,0)", "(2.5,3),(-1,0)"),
    "path": _one_of("((0,0),(1,1))", "[(0,0),(1,1),(2,0)]"),
    "polygon": _one_of("((0,0),(1,1),(2,0))", "((0,0))"),
    "circle": _one_of("<(0,0),1>", "<(1.5,-2),0.1>"),
    "int4range": _range(lambda chance: chance.randrange(-(10**6), 10**6)),
    "int8range": _range(lambda chance: chance.randrange(-(10**15), 10**15)),
    "numrange": _range(lambda chance: chance.randrange(-(10**20), 10**20)),
    "daterange": _one_of("empty", "(,)", "[2024-02-28,2024-03-01)", "[1999-12-31,)"),
    "tsrange": _one_of("empty", "(,)", "[2024-02-28 12:00:00.5,2024-03-01)"),
    "tstzrange": _one_of("empty", "(,)", "[2024-02-28 12:00:00.5+05,2024-03-01+00)"),
    "int4multirange": _one_of("{}", "{[1,2],[5,9)}", "{(,)}"),
    "int8multirange": _one_of("{}", "{[1,2],[5,9)}"),
    "nummultirange": _one_of("{}", "{[1.5,2],[5,9)}"),
    "datemultirange": _one_of("{}", "{[2024-02-28,2024-03-01)}"),
    "tsmultirange": _one_of("{}", "{[2024-02-28 12:00:00.5,2024-03-01)}"),
    "tstzmultirange": _one_of("{}", "{[2024-02-28 12:00:00.5+05,2024-03-01+00)}"),
    "xml": _one_of("<a/>", "<a b='1'>it's &amp; ä</a>", "text"),
    **{f"{element}[]": _array(element) for element in ARRAYS},
}
"""By the registry's names (catalog/types), and some arrays."""

UNTRIED = {
    "composite": "of the database's own making, as the next three",
    "enum": "see tests/local/test_types.py",
    "range": "",
    "multirange": "",
    "citext": "of an extension, as the others; see tests/local/test_types.py",
    "cube": "",
    "hstore": "",
    "lquery": "",
    "ltree": "",
    "ltxtquery": "",
    "seg": "",
}

ARGUMENTS = {
    "numeric": ("(5,2)", "(12,0)", "(18,6)", "(38,10)", "(76,30)"),
    "character varying": ("(1)", "(20)"),
    "character": ("(1)", "(7)"),
    "bit": ("(1)", "(70)"),
    "bit varying": ("(70)",),
}
# Whose values are short, and have one text each.
KEYS = (
    *("smallint", "integer", "bigint", "numeric", "boolean", "character varying", "character"),
    *("date", "timestamp without time zone", "timestamp with time zone", "uuid", "inet"),
    *("time without time zone", "macaddr", "money", "bit", "oid", "interval"),
)
# By which Postgres can also split a table.
HASHED = tuple(name for name in KEYS if name not in ("money", "bit"))
