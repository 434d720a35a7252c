"""One HTTP request as ClickHouse reads it: parameters, then SQL, then data."""

from __future__ import annotations

import base64
import binascii
import re
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl

from embedded.compression import decompress
from embedded.errors import ClickHouseError, bad_argument, not_implemented, syntax_error
from embedded.sql import Statement, parse

CHUNK = 1 << 16
MAX_STATEMENT = 16 << 20
"""Longest SQL text in bytes, an INSERT's data apart."""

# Parameters of the protocol; every other one is a ClickHouse setting or a query parameter.
_PROTOCOL = frozenset(
    "query database user password quota_key query_id session_id session_timeout session_check "  # noqa: SIM905
    "default_format compress decompress enable_http_compression http_zlib_compression_level "
    "buffer_size wait_end_of_query stacktrace client_protocol_version "
    "send_progress_in_http_headers http_headers_progress_interval_ms "
    "cancel_http_readonly_queries_on_client_close http_write_exception_in_output_format".split()
)
_UNSERVED = {"role": "roles", "close_session": "close_session (sessions end when idle)"}
_INSERT_AHEAD = re.compile(rb"(?:\s+|/\*.*?\*/|--[^\n]*\n)*INSERT\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Query:
    """SQL taken from a request, and the data that follows it.

    Attributes:
        statement: how it splits.
        sql: the statement, up to its data.
        clause_at: offset in `sql` where an INSERT's data clause begins; 0 without one.
        input_at: offsets in `sql` of the `input(` that reads the data, else None.
        data: what follows, in chunks.
    """

    statement: Statement
    sql: str
    clause_at: int
    input_at: tuple[int, int] | None
    data: Iterator[bytes]


class Request:
    """What a client asks.

    Args:
        env: the WSGI environment.

    Raises:
        ClickHouseError: a parameter this daemon can't honour; never ignored.
    """

    def __init__(self, env: dict[str, Any]) -> None:
        self._env = env
        self.method: str = env["REQUEST_METHOD"]
        self.path: str = env["PATH_INFO"]
        self.address: str = env["REMOTE_ADDR"]
        self.socket: socket.socket = env["embedded.socket"]
        self.params = dict(parse_qsl(env["QUERY_STRING"], keep_blank_values=True))
        self.query_id = self.params.get("query_id") or str(uuid.uuid4())

    def header(self, name: str) -> str:
        """A request header's value, empty if absent."""
        return str(self._env.get("HTTP_" + name.upper().replace("-", "_"), ""))

    def flag(self, name: str) -> bool:
        """A parameter as a boolean, in ClickHouse's spelling."""
        return self.params.get(name, "0").lower() not in ("", "0", "false")

    @property
    def database(self) -> str:
        """The database unqualified names mean, empty for the default one."""
        return self.params.get("database") or self.header("X-ClickHouse-Database")

    @property
    def default_format(self) -> str:
        """The output format where the statement names none."""
        asked = self.params.get("default_format") or self.header("X-ClickHouse-Format")
        return asked or "TabSeparated"

    @property
    def settings(self) -> dict[str, str]:
        """The ClickHouse settings among the parameters."""
        reserved = _PROTOCOL | _UNSERVED.keys()
        return {
            name: value
            for name, value in self.params.items()
            if name not in reserved and not name.startswith("param_")
        }

    @property
    def revision(self) -> int:
        """The protocol revision Native is wanted in; 0 as the engine writes it.

        Raises:
            ClickHouseError: not a number.
        """
        asked = self.params.get("client_protocol_version") or "0"
        if not asked.isdecimal():
            raise bad_argument(f"client_protocol_version is not a number: {asked!r}")
        return int(asked)

    @property
    def query_params(self) -> dict[str, str]:
        """Values for `{name:Type}` in the statement."""
        return {
            name.removeprefix("param_"): value
            for name, value in self.params.items()
            if name.startswith("param_")
        }

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password, from wherever the client put them.

        Raises:
            ClickHouseError: none given (401, so that clients ask for them), or unreadable.
        """
        if name := self.header("X-ClickHouse-User"):
            return name, self.header("X-ClickHouse-Key")
        scheme, _, encoded = self.header("Authorization").partition(" ")
        if scheme.lower() == "basic":
            try:
                name, _, password = base64.b64decode(encoded).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise bad_argument("The Authorization header can't be decoded") from error
            return name, password
        if name := self.params.get("user", ""):
            return name, self.params.get("password", "")
        raise ClickHouseError(194, "REQUIRED_PASSWORD", "Name a user and its password")

    def refuse_unserved(self) -> None:
        """Refuse what would otherwise be answered wrongly.

        Raises:
            ClickHouseError: NOT_IMPLEMENTED.
        """
        if self.flag("compress") or self.flag("decompress"):
            raise not_implemented(
                "compress/decompress (ClickHouse's own block framing) is not served; use "
                "enable_http_compression=1 with Accept-Encoding and Content-Encoding instead"
            )
        for name, what in _UNSERVED.items():
            if self.params.get(name):
                raise not_implemented(f"{what} can't be chosen over HTTP here")

    def query(self) -> Query:
        """Read the SQL; an INSERT's data stays unread until its chunks are asked for.

        Raises:
            ClickHouseError: too long, not UTF-8, cut off, or several statements.
        """
        body = self._body()
        if self._env.get("CONTENT_TYPE", "").startswith("multipart/form-data"):
            self._read_form(body)
            body = iter(())
        # ClickHouse's rule: the query parameter, a line end, then the body.
        if "query" in self.params:
            body = chain([self.params["query"].encode() + b"\n"], body)
        head = b""
        for chunk in body:
            head += chunk
            if _INSERT_AHEAD.match(head):
                found = parse(head.decode("latin-1"))
                # Two bytes further on the format's name and the line end behind it are complete.
                if found.data_at is not None and found.data_at + 2 <= len(head):
                    return _split(found, head, body)
            if len(head) > MAX_STATEMENT:
                message = f"Query is longer than {MAX_STATEMENT} bytes"
                raise ClickHouseError(349, "QUERY_IS_TOO_LARGE", message)
        return _split(parse(head.decode("latin-1")), head, body)

    def drain(self) -> None:
        """Read what is left of the body, so that the connection can serve the next request."""
        while self._env["wsgi.input"].read(CHUNK):
            pass

    def _body(self) -> Iterator[bytes]:
        chunks = self._raw_body()
        encoding = self.header("Content-Encoding").lower()
        return decompress(chunks, encoding) if encoding not in ("", "identity") else chunks

    def _raw_body(self) -> Iterator[bytes]:
        expected = int(self._env.get("CONTENT_LENGTH") or 0)
        source, received = self._env["wsgi.input"], 0
        try:
            while chunk := source.read(CHUNK):
                received += len(chunk)
                yield chunk
        except (OSError, ValueError) as error:
            raise _cut_off() from error
        # A client that went away must not have half its rows inserted.
        if received < expected:
            raise _cut_off()

    def _read_form(self, body: Iterator[bytes]) -> None:
        content = b""
        for chunk in body:
            content += chunk
            if len(content) > MAX_STATEMENT:
                message = f"Form is longer than {MAX_STATEMENT} bytes"
                raise ClickHouseError(349, "QUERY_IS_TOO_LARGE", message)
        kind = str(self._env["CONTENT_TYPE"]).encode("latin-1")
        form = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + content)
        if not form.is_multipart():
            raise bad_argument("The form can't be read")
        for part in form.walk():
            if part.is_multipart():
                continue
            name = str(part.get_param("name", "", "content-disposition"))
            if part.get_filename() is not None:
                raise not_implemented(f"External table {name} is not served; insert it first")
            value = part.get_payload(decode=True)
            self.params[name] = value.decode() if isinstance(value, bytes) else ""


def _cut_off() -> ClickHouseError:
    return ClickHouseError(210, "NETWORK_ERROR", "The request ended before its body was complete")


def _split(statement: Statement, head: bytes, rest: Iterator[bytes]) -> Query:
    if not statement.kind:
        raise syntax_error("Syntax error: Empty query")
    data_at = len(head) if statement.data_at is None else statement.data_at
    clause_at = statement.format_at or 0
    try:
        before = head[:clause_at].decode()
        sql = before + head[clause_at:data_at].decode()
    except UnicodeDecodeError as error:
        raise syntax_error("Syntax error: the query is not UTF-8") from error
    input_at = None
    if statement.input_at is not None:
        begin, end = statement.input_at
        input_at = len(head[:begin].decode()), len(head[:end].decode())
    return Query(statement, sql, len(before), input_at, chain([head[data_at:]], rest))
