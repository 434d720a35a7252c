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
    name = re.sub(r"\(.*?\)", "", pg_type)
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
    return chance.choice(["", "-"]) + (f"{whole}.{fraction}" if scale else whole)


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


VALUES: dict[str, Callable[[Chance, list[int]], str]] = {
    "smallint": _integer(16),
    "integer": _integer(32),
    "bigint": _integer(64),
    "numeric": _numeric,
    "boolean": _boolean,
    "text": _text,
    "character varying": _text,
    "character": _text,
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
}
"""By the registry's names (catalog/types.py)."""

ARGUMENTS = {
    "numeric": ("(5,2)", "(12,0)", "(18,6)", "(38,10)", "(76,30)"),
    "character varying": ("(1)", "(20)"),
    "character": ("(1)", "(7)"),
}
# Whose values are short, and can be compared for equality.
KEYS = sorted(VALUES.keys() - {"json", "jsonb", "bytea", "text", "real", "double precision"})
