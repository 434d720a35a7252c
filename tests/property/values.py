"""Random values of Postgres' own types, as it reads them: some at the edges of what can be."""

from __future__ import annotations

import ipaddress
import json
import math
import random
import struct
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

Chance = random.Random
Arguments = tuple[int, ...]
Made = Callable[[Chance, Arguments], str]
Simple = Callable[[Chance], str]

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
    "(a,b)",
    "a=>b",
)
# All that UTF-8 can hold but NUL, which Postgres can't.
UNICODE = ((1, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF))
EDGES = 0.3  # how often a value is one at an edge, rather than any


def value(chance: Chance, name: str, arguments: Arguments = ()) -> str:
    """A value that every type in between can hold; see docs/types.md for those it can't."""
    return VALUES[name](chance, arguments)


def quoted(text: str) -> str:
    """As part of an array, a composite value, a range or an hstore."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unicode(chance: Chance, most: int = 12) -> str:
    """Characters of one to four bytes, assigned or not."""
    return "".join(
        chr(chance.randint(*chance.choice(UNICODE))) for _ in range(chance.randint(1, most))
    )


def range_of(
    chance: Chance,
    bound: Simple,
    order: Callable[[str], Any],
    forms: tuple[str, ...] = ("[]", "[)", "(]", "()"),
) -> str:
    """order: a key by which Postgres would put two bounds in order."""
    if chance.random() < 0.15:
        return "empty"
    low, high = sorted((bound(chance), bound(chance)), key=order)
    ends = [quoted(end) if chance.random() < 0.8 else "" for end in (low, high)]
    form = chance.choice(forms)
    return f"{form[0]}{ends[0]},{ends[1]}{form[1]}"


def several(chance: Chance, made: Simple, joined: str = ",", most: int = 4) -> str:
    return joined.join(made(chance) for _ in range(chance.randint(0, most)))


def _of(made: Simple) -> Made:
    """For types without arguments."""
    return lambda chance, _arguments: made(chance)


def _one_of(*texts: str) -> Made:
    return lambda chance, _arguments: chance.choice(texts)


def _integer(low: int, high: int) -> Made:
    edges = [each for each in (0, 1, -1, low, high, 10, -100) if low <= each <= high]
    bits = high.bit_length()

    def made(chance: Chance) -> str:
        if chance.random() < EDGES:
            return str(chance.choice(edges))
        # Of every length, not almost all of the greatest.
        size = chance.randint(1, bits)
        return str(chance.randrange(max(low, -(2**size)), min(high + 1, 2**size)))

    return _of(made)


def _numeric(chance: Chance, arguments: Arguments) -> str:
    # Without arguments, of as many digits as the target's type has on each side of the point.
    precision, scale = arguments or (76, 38)
    most = 10**precision - 1
    any_ = chance.randrange(10 ** chance.randint(1, precision))
    digits = chance.choice((0, 1, most)) if chance.random() < EDGES else any_
    # A key's values must differ, which 0 and -0 don't.
    sign = int(digits > 0 and chance.random() < 0.5)
    text = format(Decimal((sign, tuple(map(int, str(digits))), -scale)), "f")
    return text if arguments else text.rstrip("0").removesuffix(".") or "0"


def _boolean(chance: Chance, _arguments: Arguments) -> str:
    return chance.choice(["true", "false"])


def _text(chance: Chance, arguments: Arguments) -> str:
    made = chance.choice(
        [
            chance.choice(WORDS),
            chance.choice(WORDS) + chance.choice(WORDS),
            f"word {chance.randrange(1000)}",
            unicode(chance),
            # Kept apart from its row, and not compressible.
            "".join(chance.choices("0123456789abcdefäöü", k=3000)) if not arguments else "x",
        ]
    )
    return made[: arguments[0]] if arguments else made


def _padded(chance: Chance, arguments: Arguments) -> str:
    return _text(chance, arguments).rstrip(" ")


def _name(chance: Chance) -> str:
    return chance.choice(["", "a name", unicode(chance)])


def _char(chance: Chance) -> str:
    # Beyond ASCII it is a byte, written as its number.
    code = chance.randrange(1, 256)
    return chr(code) if code < 128 else f"\\{code:o}"


def _date(chance: Chance) -> str:
    first, last = date(1900, 1, 1), date(2299, 12, 31)
    edges = [first, last, date(1970, 1, 1), date(1969, 12, 31), date(2000, 2, 29)]
    any_ = first + timedelta(chance.randrange((last - first).days + 1))
    return (chance.choice(edges) if chance.random() < EDGES else any_).isoformat()


def _moment(chance: Chance) -> datetime:
    first = datetime(1900, 1, 1, tzinfo=UTC)
    last = datetime(2299, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    microsecond = timedelta(microseconds=1)
    edges = [first, last, epoch, epoch - microsecond, epoch + microsecond]
    any_ = first + microsecond * chance.randrange((last - first) // microsecond)
    if chance.random() < 0.2:
        any_ = any_.replace(microsecond=chance.choice([0, 500000, 1000 * chance.randrange(1000)]))
    return chance.choice(edges) if chance.random() < EDGES else any_


def _timestamp(chance: Chance) -> str:
    return _moment(chance).replace(tzinfo=None).isoformat(" ")


def _timestamptz(chance: Chance) -> str:
    return _moment(chance).isoformat(" ")


def _time(chance: Chance) -> str:
    if chance.random() < 0.1:
        return "24:00:00"
    edges, any_ = [0, 1, 86_399_999_999], chance.randrange(86_400_000_000)
    micros = chance.choice(edges) if chance.random() < EDGES else any_
    return (datetime(2000, 1, 1) + timedelta(microseconds=micros)).time().isoformat()


def _zoned_time(chance: Chance) -> str:
    seconds = chance.choice([0, 3600 * chance.randrange(15), chance.randrange(16 * 3600)])
    return f"{_time(chance)}{chance.choice('+-')}{timedelta(seconds=seconds)!s:0>8}"


def _interval(chance: Chance) -> str:
    def number(bits: int) -> int:
        return chance.choice((1, -1)) * chance.randrange(2 ** chance.randrange(bits))

    # Debezium can't read more than 2,147,483,647 hours.
    return f"{number(31)} mons {number(31)} days {number(62)} microseconds"


def _uuid(chance: Chance) -> str:
    any_ = chance.getrandbits(128)
    edge = chance.choice([0, 2**128 - 1])
    return str(uuid.UUID(int=edge if chance.random() < EDGES else any_))


def _json(chance: Chance) -> str:
    indent = chance.choice((None, None, 1))
    return json.dumps(_tree(chance, 3), ensure_ascii=chance.random() < 0.5, indent=indent)


def _tree(chance: Chance, depth: int) -> Any:
    kind = chance.randrange(8 if depth else 6)
    if kind < 2:
        return chance.choice([unicode(chance), chance.choice(WORDS)])
    if kind < 4:
        bits = chance.choice([8, 64, 100])
        return chance.choice([chance.getrandbits(bits), float(_finite(chance)), -1.5, 10**20])
    if kind < 6:
        return chance.choice([None, True, False])
    trees = [_tree(chance, depth - 1) for _ in range(chance.randrange(4))]
    return trees if kind == 6 else {unicode(chance): each for each in trees}


def _float(form: str, shown: Callable[[float], str]) -> Made:
    size = struct.calcsize(form)

    def made(chance: Chance) -> str:
        edges = ["0", "-0", "NaN", "Infinity", "-Infinity", "1", "0.1", "16777217", "1e15", "1e-5"]
        any_ = shown(struct.unpack(form, chance.randbytes(size))[0])
        return chance.choice(edges) if chance.random() < EDGES else any_

    return _of(made)


def _finite(chance: Chance) -> str:
    number: float = struct.unpack("<d", chance.randbytes(8))[0]
    plain = chance.choice([0.0, 1.0, round(chance.uniform(-99, 99), chance.randrange(17))])
    return repr(number if math.isfinite(number) and chance.random() < 0.5 else plain)


def _point(chance: Chance) -> str:
    return f"({value(chance, 'double precision')},{value(chance, 'double precision')})"


def _finite_point(chance: Chance) -> str:
    return f"({_finite(chance)},{_finite(chance)})"


def _path(chance: Chance) -> str:
    points = f"{_finite_point(chance)},{_finite_point(chance)}"
    return chance.choice([f"[{points}]", f"({points})"])


def _bytea(chance: Chance) -> str:
    return "\\x" + chance.randbytes(chance.choice([0, 1, 3, 16, 4000])).hex()


def _money(chance: Chance) -> str:
    cents = int(value(chance, "bigint"))
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _bits(chance: Chance, arguments: Arguments) -> str:
    return "".join(chance.choices("01", k=arguments[0]))


def _varying_bits(chance: Chance, arguments: Arguments) -> str:
    most = arguments[0] if arguments else 200
    return "".join(chance.choices("01", k=chance.randrange(most + 1)))


def _network(strict: bool) -> Made:
    """strict: the bits behind the prefix are 0, as in cidr."""

    def made(chance: Chance) -> str:
        size = chance.choice((32, 128))
        prefix = size if chance.random() < 0.4 else chance.randrange(size)
        number, made_of = chance.getrandbits(size), (ipaddress.IPv4Address, ipaddress.IPv6Address)
        if strict:
            number = number >> (size - prefix) << (size - prefix)
        # Without the prefix that says nothing: a key's values have one text.
        return f"{made_of[size == 128](number)}" + (f"/{prefix}" if prefix < size else "")

    return _of(made)


def _mac(length: int) -> Made:
    return lambda chance, _arguments: chance.randbytes(length).hex(":")


def _lexeme(chance: Chance) -> str:
    made = unicode(chance) if chance.random() < 0.6 else chance.choice(WORDS[1:])
    return "'" + made.replace("\\", "\\\\").replace("'", "''") + "'"


def _tsvector(chance: Chance) -> str:
    def entry(chance: Chance) -> str:
        place = f":{chance.randrange(1, 16384)}{chance.choice('ABCD')}"
        return _lexeme(chance) + chance.choice(["", place])

    return several(chance, entry, " ")


def _tsquery(chance: Chance) -> str:
    made = _lexeme(chance)
    for _ in range(chance.randrange(4)):
        operator = chance.choice(["&", "|", "<->", "<3>", "& !"])
        made = f"({made}) {operator} {_lexeme(chance)}{chance.choice(['', ':*', ':AB'])}"
    return made


def _jsonpath(chance: Chance) -> str:
    mode, key = chance.choice(["", "strict "]), json.dumps(unicode(chance))
    return f"{mode}$.{key} ? (@ > {_finite(chance)})"


def _xml(chance: Chance) -> str:
    def content(chance: Chance) -> str:
        text = chance.choice([unicode(chance), chance.choice(WORDS)])
        return escape("".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "￾￿")))

    return chance.choice(["{0}", "<a/>{0}", "<a b='1'>{0}<ä>{1}</ä></a>", "<!-- -->"]).format(
        content(chance), content(chance)
    )


def _label(chance: Chance) -> str:
    return "".join(chance.choices("abcXYZ019_-", k=chance.randint(1, 9)))


def _lquery(chance: Chance) -> str:
    def level(chance: Chance) -> str:
        label = _label(chance)
        return chance.choice(["*", "*{2,5}", f"{label}@*", f"!{label}", f"{label}|b%"])

    return f"{level(chance)}.{level(chance)}"


def _ltxtquery(chance: Chance) -> str:
    flag = chance.choice(["", "@", "*", "%"])
    return f"{_label(chance)}{flag} & !({_label(chance)} | {_label(chance)})"


def _hstore(chance: Chance) -> str:
    def pair(chance: Chance) -> str:
        key, text = (chance.choice([unicode(chance), chance.choice(WORDS)]) for _ in range(2))
        return f"{quoted(key)}=>{chance.choice([quoted(text), 'NULL'])}"

    return several(chance, pair)


def _seg(chance: Chance) -> str:
    low, high = sorted(round(chance.uniform(-99, 99), chance.randrange(5)) for _ in range(2))
    return chance.choice([f"{low} .. {high}", f"~{low}", f"<{low}", f"{low} ..", f".. {high}"])


def _snapshot(chance: Chance) -> str:
    low, ahead = chance.randrange(1, 2**40), chance.randint(1, 50)
    running = sorted({low + chance.randrange(ahead) for _ in range(chance.randrange(4))})
    return f"{low}:{low + ahead}:{','.join(map(str, running))}"


def _ranges(
    element: str, order: Callable[[str], Any], forms: tuple[str, ...] = ("[]", "[)", "(]", "()")
) -> tuple[Made, Made]:
    """Of a range type over `element`, and of its multirange type."""

    def bound(chance: Chance) -> str:
        return value(chance, element)

    def one(chance: Chance) -> str:
        return range_of(chance, bound, order, forms)

    return _of(one), _of(lambda chance: "{" + several(chance, one) + "}")


# Of types with a next value, for which Postgres writes `[a,b)`: beyond the last there is none.
HALF_OPEN = ("[)",)
RANGES = {
    "int4": _ranges("integer", int, HALF_OPEN),
    "int8": _ranges("bigint", int, HALF_OPEN),
    "num": _ranges("numeric", Decimal),
    "date": _ranges("date", str, HALF_OPEN),
    "ts": _ranges("timestamp without time zone", str),
    "tstz": _ranges("timestamp with time zone", str),
}
VALUES: dict[str, Made] = {
    "smallint": _integer(-(2**15), 2**15 - 1),
    "integer": _integer(-(2**31), 2**31 - 1),
    "bigint": _integer(-(2**63), 2**63 - 1),
    "oid": _integer(0, 2**32 - 1),
    "xid": _integer(0, 2**32 - 1),
    "xid8": _integer(0, 2**64 - 1),
    "numeric": _numeric,
    "boolean": _boolean,
    "money": _of(_money),
    "real": _float("<f", lambda number: f"{number:.9g}"),
    "double precision": _float("<d", repr),
    "text": _text,
    "character varying": _text,
    "character": _padded,
    "bpchar": _text,
    "name": _of(_name),
    '"char"': _of(_char),
    "citext": _text,
    "date": _of(_date),
    "timestamp without time zone": _of(_timestamp),
    "timestamp with time zone": _of(_timestamptz),
    "time without time zone": _of(_time),
    "time with time zone": _of(_zoned_time),
    "interval": _of(_interval),
    "uuid": _of(_uuid),
    "json": _of(_json),
    "jsonb": _of(_json),
    "jsonpath": _of(_jsonpath),
    "xml": _of(_xml),
    "hstore": _of(_hstore),
    "bytea": _of(_bytea),
    "bit": _bits,
    "bit varying": _varying_bits,
    "inet": _network(strict=False),
    "cidr": _network(strict=True),
    "macaddr": _mac(6),
    "macaddr8": _mac(8),
    "tsvector": _of(_tsvector),
    "tsquery": _of(_tsquery),
    "ltree": _of(lambda chance: several(chance, _label, ".")),
    "lquery": _of(_lquery),
    "ltxtquery": _of(_ltxtquery),
    "pg_lsn": _of(lambda chance: f"{chance.getrandbits(32):X}/{chance.getrandbits(32):X}"),
    "pg_snapshot": _of(_snapshot),
    "txid_snapshot": _of(_snapshot),
    "tid": _of(lambda chance: f"({chance.getrandbits(32)},{chance.getrandbits(16)})"),
    "point": _of(_point),
    # A and B may not both be as good as 0.
    "line": _of(lambda chance: f"{{{chance.uniform(1, 9)},{_finite(chance)},{_finite(chance)}}}"),
    "lseg": _of(lambda chance: f"[{_finite_point(chance)},{_finite_point(chance)}]"),
    "box": _of(lambda chance: f"{_finite_point(chance)},{_finite_point(chance)}"),
    "path": _of(_path),
    "polygon": _of(lambda chance: f"({_finite_point(chance)},{_finite_point(chance)})"),
    "circle": _of(lambda chance: f"<{_finite_point(chance)},{_finite(chance).lstrip('-')}>"),
    "cube": _of(lambda chance: f"({_finite(chance)},0),({_finite(chance)},{_finite(chance)})"),
    "seg": _of(_seg),
    **{f"{name}range": one for name, (one, _) in RANGES.items()},
    **{f"{name}multirange": many for name, (_, many) in RANGES.items()},
}
"""By the registry's names (catalog/types)."""

ARGUMENTS: dict[str, tuple[Arguments, ...]] = {
    "numeric": ((), (5, 2), (12, 0), (18, 6), (38, 10), (76, 30), (5, -2), (3, 5)),
    "character varying": ((1,), (20,)),
    "character": ((1,), (7,)),
    "bit": ((1,), (70,)),
    "bit varying": ((), (70,)),
}
EXTENSIONS = {
    "citext": "citext",
    "cube": "cube",
    "hstore": "hstore",
    "lquery": "ltree",
    "ltree": "ltree",
    "ltxtquery": "ltree",
    "seg": "seg",
}
"""The extension that a type is of."""
# Whose values are short, and have one text each.
KEYS = (
    *("smallint", "integer", "bigint", "numeric", "boolean", "character varying", "character"),
    *("date", "timestamp without time zone", "timestamp with time zone", "uuid", "inet"),
    *("time without time zone", "macaddr", "money", "bit", "oid", "interval"),
)
# By which Postgres can also split a table.
HASHED = tuple(name for name in KEYS if name not in ("money", "bit"))
