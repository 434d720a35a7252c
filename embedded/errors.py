"""Errors as ClickHouse reports them: a code, a name, a sentence, and the HTTP status that fits."""

from __future__ import annotations

import re

_CODE = re.compile(r"(?:Code: (\d+)\. DB::Exception: )+")
_NAME = re.compile(r" \(([A-Z][A-Z0-9_]+)\)\s*$")
_INNER = re.compile(r" \(version [\w. ()-]+\)\. \([A-Z][A-Z0-9_]+\)\s*$")

# ClickHouse's own mapping (src/Server/HTTP/exceptionCodeToHTTPStatus.cpp); anything else is 500.
_BAD_REQUEST = "6 12 15 25 26 27 38 41 44 53 62 69 72 104 36 8 16 61 167 168 223 376 427 441 675"
_NOT_FOUND = "46 47 50 56 60 63 73 78 81 115 372 511"
_STATUS: dict[int, int] = {
    **{int(code): 400 for code in _BAD_REQUEST.split()},
    **{int(code): 404 for code in _NOT_FOUND.split()},
    **dict.fromkeys((192, 193, 497, 512, 516), 403),
    **dict.fromkeys((76, 209, 439), 503),
    **{48: 501, 159: 408, 194: 401, 349: 413, 381: 411, 415: 415},
}


class ClickHouseError(Exception):
    """A failure with ClickHouse's error code and name.

    Args:
        code: ClickHouse error code, e.g. 62 for SYNTAX_ERROR.
        name: its symbolic name.
        message: what is wrong, in a sentence.
    """

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status ClickHouse gives this code."""
        return _STATUS.get(self.code, 500)

    def render(self, version: str) -> str:
        """The response body, in ClickHouse's own form.

        Args:
            version: what the server calls itself.
        """
        head = f"Code: {self.code}. DB::Exception: {self.message}"
        return f"{head} ({self.name}) (version {version} (embedded))\n"


def from_engine(error: Exception) -> ClickHouseError:
    """What the engine raised, as a ClickHouseError; the engine only hands over text."""
    text = str(error)
    found = _CODE.search(text)
    if found is None:
        return ClickHouseError(1002, "UNKNOWN_EXCEPTION", text)
    # An error that crossed a thread inside the engine carries its own code and version twice.
    message = _INNER.sub("", text[found.end() :].rstrip())
    named = _NAME.search(text)
    message = _NAME.sub("", message).rstrip()
    return ClickHouseError(int(found[1]), named[1] if named else "UNKNOWN_EXCEPTION", message)


def syntax_error(message: str) -> ClickHouseError:
    """SYNTAX_ERROR (62)."""
    return ClickHouseError(62, "SYNTAX_ERROR", message)


def bad_argument(message: str) -> ClickHouseError:
    """BAD_ARGUMENTS (36)."""
    return ClickHouseError(36, "BAD_ARGUMENTS", message)


def not_implemented(message: str) -> ClickHouseError:
    """NOT_IMPLEMENTED (48)."""
    return ClickHouseError(48, "NOT_IMPLEMENTED", message)


def readonly(message: str) -> ClickHouseError:
    """READONLY (164)."""
    return ClickHouseError(164, "READONLY", message)
