"""Output formats: which can be streamed, and what they are called on the wire.

The engine hands a streamed result over in blocks, each a complete document of its format. A format
whose documents can simply be joined is streamed; one with a header is streamed without the header
of later blocks; any other (JSON, Parquet, Arrow, Pretty…) is produced whole.
"""

from __future__ import annotations

from collections.abc import Callable

_CONTENT_TYPES = (
    (
        ("json", "jsonstrings", "jsoncompact", "jsoncompactstrings", "jsoncolumns"),
        "application/json",
    ),
    (("xml",), "application/xml"),
    (("csv",), "text/csv"),
    (("tsv", "tabseparated", "tskv"), "text/tab-separated-values"),
    (("pretty", "vertical", "markdown", "values", "lineasstring", "sqlinsert"), "text/plain"),
)


def content_type(output_format: str) -> str:
    """The Content-Type ClickHouse gives a format.

    Args:
        output_format: any spelling of its name.
    """
    name = output_format.lower()
    if "eachrow" in name or name in ("ndjson", "jsonlines"):
        return "application/x-ndjson; charset=UTF-8"
    for prefixes, mime in _CONTENT_TYPES:
        if any(name.startswith(prefix) for prefix in prefixes):
            return f"{mime}; charset=UTF-8"
    return "application/octet-stream"


def _no_header(_block: bytes) -> int:
    return 0


def _lines(count: int) -> Callable[[bytes], int]:
    def length(block: bytes) -> int:
        at = 0
        for _ in range(count):
            at = block.index(b"\n", at) + 1
        return at

    return length


def _csv_lines(count: int) -> Callable[[bytes], int]:
    def length(block: bytes) -> int:
        at = 0
        for _ in range(count):
            end = block.index(b"\n", at) + 1
            # A column's name may hold a line end; then its quote is still open here.
            while block.count(b'"', at, end) % 2:
                end = block.index(b"\n", end) + 1
            at = end
        return at

    return length


def _row_binary(*, types: bool) -> Callable[[bytes], int]:
    def varint(block: bytes, at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = block[at]
            value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:
                return value, at

    def length(block: bytes) -> int:
        columns, at = varint(block, 0)
        for _ in range(columns * (2 if types else 1)):
            size, at = varint(block, at)
            at += size
        return at

    return length


def _with_names(*names: str, kind: Callable[[int], Callable[[bytes], int]]) -> dict[str, object]:
    headers: dict[str, object] = {}
    for name in names:
        headers[name] = _no_header
        headers[f"{name}withnames"] = kind(1)
        headers[f"{name}withnamesandtypes"] = kind(2)
    return headers


_HEADER_LENGTH: dict[str, object] = {
    **dict.fromkeys(
        ("native", "msgpack", "tskv", "jsoneachrow", "jsonlines", "ndjson", "jsonstringseachrow"),
        _no_header,
    ),
    **_with_names("tsv", "tabseparated", "jsoncompacteachrow", kind=_lines),
    **_with_names("jsoncompactstringseachrow", kind=_lines),
    **_with_names("csv", kind=_csv_lines),
    **_with_names("rowbinary", kind=lambda count: _row_binary(types=count == 2)),
}


def header_length(output_format: str) -> Callable[[bytes], int] | None:
    """How to find the header of one of the engine's blocks, so that blocks can be joined.

    Args:
        output_format: any spelling of its name.

    Returns:
        A function from a block to the bytes its header takes; None if blocks can't be joined.
    """
    found = _HEADER_LENGTH.get(output_format.lower())
    return found if callable(found) else None


def has_header(output_format: str) -> bool:
    """Whether even an empty result has bytes."""
    return header_length(output_format) is not _no_header
