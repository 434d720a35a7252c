"""As much of ClickHouse's grammar as a front needs: what kind of statement, where its data starts.

The engine parses; this only splits text. What decides about *safety* is decided on the engine's
own rendering of the statement, because a second lexer differs from the first one somewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import NamedTuple

from embedded.errors import ClickHouseError, readonly, syntax_error

_TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
      | (?P<quoted>'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*"
          |\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<other>\d[\w.]*|.)""",
    re.DOTALL | re.VERBOSE | re.ASCII,
)
_DATA_START = re.compile(r"[ \t\f]*;?[ \t\f]*(?:\r?\n)?")
# One word a line would hide these lists rather than show them: hence split, and noqa.
_ANALYST_READS = frozenset("SELECT WITH FROM ( SHOW DESC DESCRIBE EXPLAIN EXISTS".split())  # noqa: SIM905
_READS = _ANALYST_READS | {"CHECK", "USE", "SET"}
_STATEMENTS = _READS | frozenset(
    "INSERT CREATE ALTER DROP RENAME EXCHANGE TRUNCATE DETACH ATTACH OPTIMIZE SYSTEM KILL GRANT "  # noqa: SIM905
    "REVOKE DELETE UPDATE UNDROP REPLACE MOVE BACKUP RESTORE BEGIN COMMIT ROLLBACK".split()
)
_FILE_WORDS = re.compile(r"outfile|infile", re.IGNORECASE)
_LOCAL_FILE = re.compile(r"\b(INTO OUTFILE|FROM INFILE)\b")
# file() and catboostEvaluate() read files without asking for a grant, and DESCRIBE of a table
# function infers the structure of a file the same way.
_READS_FILE = re.compile(
    r"\b(file|catboostEvaluate)`?\s*\(|\bAPPLY[\s(]+`?(file|catboostEvaluate)\b"
)
_DESCRIBES_FUNCTION = re.compile(r"\bDESC(?:RIBE)?(?: TABLE)? (?!TABLE )(?:`[^`]*`|\w+)\s*\(")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`", re.DOTALL)
_PLAIN_NAME = re.compile(r"`\w+`")


class _Word(NamedTuple):
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Statement:
    """One statement as it came in, split but not understood.

    Attributes:
        kind: its first word in capitals, "(" for a parenthesised SELECT, "" when empty.
        writes: it inserts, also `WITH … INSERT`.
        output_format: what a trailing FORMAT names, else None.
        has_totals: WITH TOTALS is in it.
        format_at: where an INSERT's data clause (SETTINGS, FORMAT, VALUES) begins, else None.
        data_at: where an INSERT's data begins, else None.
        values: the data clause is VALUES.
        input_at: offsets of `input(`, through which an INSERT … SELECT reads its data, else None.
    """

    kind: str
    writes: bool = False
    output_format: str | None = None
    has_totals: bool = False
    format_at: int | None = None
    data_at: int | None = None
    values: bool = False
    input_at: tuple[int, int] | None = None


def _outer_words(text: str) -> Iterator[_Word]:
    """Words, signs and quoted things outside all parentheses; the parentheses themselves too."""
    depth = 0
    for token in _TOKEN.finditer(text):
        if token["skip"] is not None:
            continue
        sign = token["other"] or ""
        depth -= sign in (")", "]")
        if depth == 0:
            plain = (token["word"] or sign or "''").upper()
            yield _Word(plain, token.start(), token.end())
        depth += sign in ("(", "[")


def parse(text: str) -> Statement:
    """Split one statement.

    Args:
        text: SQL decoded as latin-1, so that offsets are byte offsets; an INSERT's data may follow.

    Raises:
        ClickHouseError: more than one statement, which ClickHouse refuses over HTTP too.
    """
    words = _outer_words(text)
    first = next(words, None)
    if first is None:
        return Statement("")
    if first.text == "INSERT":
        found = _parse_insert(text, words)
        if found is not None:
            return found
        words = islice(_outer_words(text), 1, None)
    rest = list(words)
    for word, following in pairwise(rest):
        if word.text == ";" and following.text != ";":
            raise syntax_error("Syntax error (Multi-statements are not allowed)")
    return Statement(
        first.text,
        writes=first.text == "INSERT"
        or (first.text == "WITH" and any(word.text == "INSERT" for word in rest)),
        output_format=_trailing_format(text, rest),
        has_totals=any(
            word.text == "WITH" and following.text == "TOTALS" for word, following in pairwise(rest)
        ),
    )


def _parse_insert(text: str, words: Iterator[_Word]) -> Statement | None:
    """An INSERT with data, else None; stops before the data, which may be binary."""
    format_at: int | None = None
    previous = ""
    for word in words:
        clause = previous not in (".", "INTO", "TABLE", "=", ",")
        if clause and word.text in ("SELECT", "WITH"):
            return _parse_input(text, word.start, words)
        if clause and word.text == "FROM":
            return None
        if previous == "FORMAT" and format_at is not None:
            start = _DATA_START.match(text, word.end)
            data_at = start.end() if start else word.end
            return Statement("INSERT", writes=True, format_at=format_at, data_at=data_at)
        if clause and word.text in ("SETTINGS", "FORMAT", "VALUES"):
            format_at = word.start if format_at is None else format_at
        if clause and word.text == "VALUES":
            return Statement(
                "INSERT", writes=True, format_at=word.start, data_at=word.end, values=True
            )
        previous = word.text
    return None


def _parse_input(text: str, start: int, words: Iterator[_Word]) -> Statement | None:
    """An INSERT … SELECT … FROM input(…) FORMAT …, which has data; any other SELECT has none."""
    format_at: int | None = None
    for word in words:
        if format_at is not None and (input_at := _input_call(text, start, format_at)):
            found = _DATA_START.match(text, word.end)
            data_at = found.end() if found else word.end
            return Statement(
                "INSERT", writes=True, format_at=format_at, data_at=data_at, input_at=input_at
            )
        format_at = word.start if word.text == "FORMAT" else None
    return None


def _input_call(text: str, start: int, end: int) -> tuple[int, int] | None:
    name: re.Match[str] | None = None
    for token in _TOKEN.finditer(text, start, end):
        if token["skip"] is None:
            if name is not None and token[0] == "(":
                return name.start(), token.end()
            name = token if token[0].lower() == "input" else None
    return None


def _trailing_format(text: str, words: list[_Word]) -> str | None:
    named: str | None = None
    for at, word in enumerate(words[:-1]):
        name, tail = words[at + 1], words[at + 2 : at + 3]
        ends = not tail or tail[0].text in (";", "SETTINGS")
        if word.text == "FORMAT" and ends and name.text.isidentifier():
            named = text[name.start : name.end]
    return named


def is_read(statement: Statement) -> bool:
    """Whether GET may run it: ClickHouse lets GET only read."""
    return statement.kind in _READS and not statement.writes


def needs_rendering(statement: Statement, text: str) -> bool:
    """Whether the engine must parse it before it may run: it may name a local file, or be one of
    the words the engine's command-line front would act on (`exit`, `??`)."""
    return statement.kind not in _STATEMENTS or _FILE_WORDS.search(text) is not None


def _without_content(quoted: re.Match[str]) -> str:
    # Names are matched too, because a quote inside one would otherwise open a string.
    return quoted[0] if _PLAIN_NAME.fullmatch(quoted[0]) else "''"


def refuse_unsafe(statement: Statement, canonical: str, *, read_only: bool) -> None:
    """Refuse what the engine would do without asking for a grant.

    Args:
        statement: the split statement.
        canonical: the engine's own rendering of it, without an INSERT's data.
        read_only: the user's profile only reads.

    Raises:
        ClickHouseError: it names a local file, is no statement, or a read-only user's statement
            writes or reads files.
    """
    bare = _QUOTED.sub(_without_content, canonical)
    if _LOCAL_FILE.search(bare):
        message = "INTO OUTFILE and FROM INFILE are not allowed over HTTP"
        raise ClickHouseError(348, "INTO_OUTFILE_NOT_ALLOWED", message)
    if statement.kind not in _STATEMENTS:
        raise syntax_error(f"Syntax error: {statement.kind} is not served over HTTP")
    if not read_only:
        return
    if statement.kind not in _ANALYST_READS or statement.writes:
        raise readonly("Cannot execute query in readonly mode")
    if _READS_FILE.search(bare) or _DESCRIBES_FUNCTION.search(bare):
        raise ClickHouseError(497, "ACCESS_DENIED", "Not enough privileges: this reads files")
