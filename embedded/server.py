"""ClickHouse's HTTP protocol on the engine, as a WSGI application."""

from __future__ import annotations

import json
import logging
import re
import secrets
import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from itertools import chain, islice
from typing import Any

from cheroot.wsgi import Gateway_10
from cheroot.wsgi import Server as WsgiServer

from embedded import formats, native, sql
from embedded.auth import User, Users
from embedded.compression import choose, compress
from embedded.engine import Connection, Engine, Summary, quote, quote_name
from embedded.errors import ClickHouseError, readonly
from embedded.request import MAX_STATEMENT, Query, Request
from embedded.sessions import Sessions
from embedded.spool import Spool

log = logging.getLogger("embedded.server")

_POLLRDHUP = 0x2000  # the peer has closed; select has no name for it on every platform
_CHECK_EVERY = 0.5
# Where an error begins to quote the statement or its data, which may hold a password.
_QUOTES = re.compile(r"""['"`(\n]|\bIn scope\b""")
_UNKNOWN_PATH = """There is no handle {path}

Use / or /ping for health checks.
Or /replicas_status for more sophisticated health checks.

Send queries from your program with POST method or GET /?query=...
"""

StartResponse = Callable[[str, list[tuple[str, str]]], object]


class BrokenStreamError(Exception):
    """Ends a response that can't be completed, so that the client sees it cut off."""


@dataclass
class _Answer:
    """A query's result: the bytes that are here, what is still to come, and what is known of it."""

    output_format: str
    summary: Summary
    pieces: list[bytes]
    rest: Iterator[bytes] | None = None


class _Body:
    """A response's bytes; closing it, as WSGI servers always do, ends the query behind them."""

    def __init__(self, chunks: Iterator[bytes], held: ExitStack) -> None:
        self._chunks = chunks
        self._held = held

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._held.close()


class Watch:
    """Cancels the reading queries of clients that have gone, and ends idle sessions.

    Args:
        engine: where queries run.
        sessions: which of them to end.
    """

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self._engine = engine
        self._sessions = sessions
        self._running: dict[str, socket.socket] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="watch", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, query_id: str, client: socket.socket) -> Iterator[None]:
        """Watch one query while the context lasts.

        Raises:
            ClickHouseError: a query with this id runs already.
        """
        if query_id in self._running:
            name = "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING"
            raise ClickHouseError(216, name, f"Query with id = {query_id} is already running.")
        self._running[query_id] = client
        try:
            yield
        finally:
            self._running.pop(query_id, None)

    def close(self) -> None:
        """Stop, having cancelled what still runs."""
        self._stop.set()
        self._thread.join()
        for query_id in list(self._running):
            self._engine.cancel(query_id)

    def _loop(self) -> None:
        while not self._stop.wait(_CHECK_EVERY):
            try:
                self._sessions.expire()
                for query_id, client in list(self._running.items()):
                    if _has_gone(client):
                        self._running.pop(query_id, None)
                        self._engine.cancel(query_id)
                        log.info("client gone, query cancelled", extra={"query_id": query_id})
            except (ClickHouseError, OSError, ValueError) as error:
                log.error("watch failed once", extra={"error": str(error)})


def _has_gone(client: socket.socket) -> bool:
    if client.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(client, _POLLRDHUP)
    return bool(poll.poll(0))


class Application:
    """The WSGI application.

    Args:
        engine: runs the statements.
        users: who may.
        spool: where INSERT bodies wait.
    """

    def __init__(self, engine: Engine, users: Users, spool: Spool) -> None:
        self._engine = engine
        self._users = users
        self._spool = spool
        self._closing = False
        self._sessions = Sessions(engine)
        self._watch = Watch(engine, self._sessions)
        self._common = [
            ("X-ClickHouse-Server-Display-Name", socket.gethostname()),
            ("X-ClickHouse-Timezone", engine.timezone),
        ]

    def __call__(self, env: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(env)
        try:
            return self._route(request, start)
        except ClickHouseError as error:
            return self._fail(request, start, error)
        except Exception as error:
            log.exception("request failed", extra={"query_id": request.query_id})
            unknown = ClickHouseError(1002, "UNKNOWN_EXCEPTION", f"{type(error).__name__}: {error}")
            return self._fail(request, start, unknown)

    def close(self) -> None:
        """Take no more queries, cancel those that read, and end the sessions."""
        self._closing = True
        self._watch.close()
        self._sessions.close()

    def _route(self, request: Request, start: StartResponse) -> Iterable[bytes]:
        if request.method not in ("GET", "HEAD", "POST"):
            return self._text(start, 501, f"Method {request.method} is not served\n")
        if request.path in ("/ping", "/replicas_status"):
            return self._text(start, 200, "Ok.\n")
        if request.path != "/":
            return self._text(start, 404, _UNKNOWN_PATH.format(path=request.path))
        if request.method != "POST" and "query" not in request.params:
            return self._text(start, 200, "Ok.\n")
        return self._answer(request, start)

    def _text(self, start: StartResponse, status: int, text: str) -> Iterable[bytes]:
        body = text.encode()
        headers = [
            ("Content-Type", "text/plain; charset=UTF-8"),
            ("Content-Length", str(len(body))),
        ]
        start(_status_line(status), headers + self._common)
        return [body]

    def _fail(
        self, request: Request, start: StartResponse, error: ClickHouseError
    ) -> Iterable[bytes]:
        _log_failure(request, error)
        if error.code != 210:
            request.drain()
        body = error.render(self._engine.version).encode()
        headers = [
            ("Content-Type", "text/plain; charset=UTF-8"),
            ("Content-Length", str(len(body))),
            ("X-ClickHouse-Query-Id", request.query_id),
            ("X-ClickHouse-Exception-Code", str(error.code)),
        ]
        if error.status == HTTPStatus.UNAUTHORIZED:
            headers.append(("WWW-Authenticate", 'Basic realm="ClickHouse", charset="UTF-8"'))
        start(_status_line(error.status), headers + self._common)
        return [body]

    def _answer(self, request: Request, start: StartResponse) -> Iterable[bytes]:
        if self._closing:
            raise ClickHouseError(236, "ABORTED", "The server is shutting down")
        user = self._users.authenticate(*request.credentials, request.address)
        request.refuse_unserved()
        query = request.query()
        if request.method != "POST" and not sql.is_read(query.statement):
            raise readonly(
                "Cannot execute query in readonly mode. For queries over HTTP, method GET implies "
                "readonly. You should use method POST for modifying queries"
            )
        with ExitStack() as held:
            connection = held.enter_context(self._connection(request, user))
            _prepare(connection, request, user)
            if sql.is_read(query.statement):
                held.enter_context(self._watch.over(request.query_id, request.socket))
            answer = self._execute(connection, request, query, user, held)
            tag = secrets.token_hex(8)
            start("200 OK", self._headers(request, answer, tag))
            encoding = _encoding(request)
            if answer.rest is None:
                # All is known, so the session is free again before the client has the last byte.
                return compress(iter(answer.pieces), encoding) if encoding else answer.pieces
            body = chain(answer.pieces, self._marked(request, answer.rest, tag))
            return _Body(compress(body, encoding) if encoding else body, held.pop_all())

    def _connection(self, request: Request, user: User) -> AbstractContextManager[Connection]:
        session_id = request.params.get("session_id")
        # A read-only user has nothing a session could keep, and its settings can't be changed back.
        if not session_id or user.read_only:
            return closing(self._engine.connect_as(user))
        timeout = request.params.get("session_timeout", "")
        must_exist = request.flag("session_check")
        return self._sessions.use(user, session_id, timeout, must_exist=must_exist)

    def _execute(
        self,
        connection: Connection,
        request: Request,
        query: Query,
        user: User,
        held: ExitStack,
    ) -> _Answer:
        statement = query.statement
        if user.read_only or sql.needs_rendering(statement, query.sql):
            canonical = connection.canonical(query.sql)
            sql.refuse_unsafe(statement, canonical, read_only=user.read_only)
        if request.database:
            connection.run(f"USE {quote_name(request.database)}")
        output_format = statement.output_format or request.default_format
        if statement.data_at is not None and not (statement.values and request.query_params):
            return _Answer(output_format, self._insert(connection, query), [])
        text, params = query.sql, request.query_params
        if statement.data_at is not None:
            # Values read from a file can't refer to query parameters; in the statement they can.
            text += _read_all(query.data)
        summary = Summary()
        flagged = output_format.lower() == "native" and request.revision >= native.FLAGGED_SINCE
        if not _can_stream(request, query, output_format):
            body = connection.whole(text, output_format, params, summary)
            return _Answer(output_format, summary, [native.revise(body) if flagged else body])
        stream = connection.stream(text, output_format, params, summary)
        # Closed before its connection is, however the response ends.
        held.callback(stream.close)
        chunks = native.revised(stream) if flagged else stream
        # Two pieces ahead, an early error is still an error and a short result complete.
        begun = list(islice(chunks, 2))
        return _Answer(output_format, summary, begun, chunks if len(begun) == 2 else None)

    def _insert(self, connection: Connection, query: Query) -> Summary:
        clause = "FORMAT Values" if query.statement.values else query.sql[query.clause_at :]
        into = query.sql[: query.clause_at]
        with self._spool.hold(query.data) as path:
            if query.input_at is None:
                return connection.insert(f"{into} FROM INFILE {quote(str(path))} {clause}")
            # The engine has no body that input() could read; a file it can.
            begin, end = query.input_at
            file = f"file({quote(str(path))}, {clause.split()[1]}, "
            return connection.insert(into[:begin] + file + into[end:])

    def _headers(self, request: Request, answer: _Answer, tag: str) -> list[tuple[str, str]]:
        summary = {name: str(value) for name, value in asdict(answer.summary).items()}
        headers = [
            ("Content-Type", formats.content_type(answer.output_format)),
            ("X-ClickHouse-Query-Id", request.query_id),
            ("X-ClickHouse-Format", answer.output_format),
            ("X-ClickHouse-Summary", json.dumps(summary)),
            *self._common,
        ]
        if answer.rest is not None:
            headers.append(("X-ClickHouse-Exception-Tag", tag))
        encoding = _encoding(request)
        if encoding:
            headers.append(("Content-Encoding", encoding))
        elif answer.rest is None:
            headers.append(("Content-Length", str(sum(map(len, answer.pieces)))))
        return headers

    def _marked(self, request: Request, body: Iterator[bytes], tag: str) -> Iterator[bytes]:
        """Say in the stream itself that it broke, as ClickHouse does since 25.11, then break it."""
        try:
            yield from body
        except ClickHouseError as error:
            _log_failure(request, error)
            message = error.render(self._engine.version).encode()
            mark = tag.encode()
            yield b"__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (
                *(mark, message),
                *(len(message), mark),
            )
            raise BrokenStreamError(error.message) from error


def _can_stream(request: Request, query: Query, output_format: str) -> bool:
    statement = query.statement
    array = "output_format_json_array_of_rows"
    return (
        statement.kind in ("SELECT", "WITH", "(")
        and not statement.writes
        and not statement.has_totals
        and not request.flag("wait_end_of_query")
        and not request.flag("extremes")
        and array not in query.sql
        and array not in request.params
        and formats.header_length(output_format) is not None
    )


def _prepare(connection: Connection, request: Request, user: User) -> None:
    """Set a request's settings within what its user may change.

    Raises:
        ClickHouseError: READONLY, or the engine's own.
    """
    settings = request.settings
    if user.read_only:
        for name in settings.keys() - user.changeable:
            raise readonly(f"Cannot modify '{name}' setting in readonly mode")
    # The engine makes its own query ids and takes none; this is how a query is found again.
    settings = {"log_comment": request.query_id, **settings}
    if request.revision >= native.FLAGGED_SINCE:
        settings["output_format_native_write_json_as_string"] = "1"
    connection.apply(settings)
    if user.read_only:
        connection.run("SET readonly = 1")


def _status_line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def _log_failure(request: Request, error: ClickHouseError) -> None:
    reason = _QUOTES.split(error.message, maxsplit=1)[0].strip()
    fields = {"query_id": request.query_id, "code": error.code, "error_name": error.name}
    log.warning("query failed", extra={**fields, "error": reason})


def _encoding(request: Request) -> str | None:
    if not request.flag("enable_http_compression"):
        return None
    return choose(request.header("Accept-Encoding"))


def _read_all(data: Iterator[bytes]) -> str:
    text = b""
    for chunk in data:
        text += chunk
        if len(text) > MAX_STATEMENT:
            message = "VALUES with query parameters is too long; use a FORMAT"
            raise ClickHouseError(349, "QUERY_IS_TOO_LARGE", message)
    return text.decode()


class _Gateway(Gateway_10):
    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]
        """WSGI's environment, and the socket: only it tells whether the client is still there."""
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        return {**environ, "embedded.socket": self.req.conn.socket}


class Server(WsgiServer):
    """The HTTP server; threads are its cap on queries at once.

    Args:
        host: address to listen on.
        port: TCP port.
        application: what answers.
        threads: requests served at the same time; idle connections take none.
    """

    def __init__(self, host: str, port: int, application: Application, threads: int) -> None:
        super().__init__(
            (host, port), application, numthreads=threads, request_queue_size=128, timeout=60
        )
        self.gateway = _Gateway
        self.keep_alive_conn_limit = 256
        self.shutdown_timeout = 3

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """cheroot's own complaints, as log lines."""
        del traceback  # BrokenStreamError is logged where its cause is known
        log.log(min(level, logging.WARNING), "http server", extra={"error": msg.strip()[:500]})
