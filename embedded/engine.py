"""The chDB engine: one process owns a data directory; a connection is a user's session in it."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chdb.state  # type: ignore[import-untyped]

from embedded import formats
from embedded.auth import User
from embedded.errors import ClickHouseError, bad_argument, from_engine

log = logging.getLogger("embedded.engine")

_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


def quote(text: str) -> str:
    """A ClickHouse string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_name(name: str) -> str:
    """A ClickHouse identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


@dataclass
class Summary:
    """What is known of a query's work; ClickHouse's X-ClickHouse-Summary."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    elapsed_ns: int = 0


class Connection:
    """A session of the engine. Not for use by two threads at once.

    Args:
        raw: the engine's own connection.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._request_settings: frozenset[str] = frozenset()
        self._profile: Mapping[str, str] = {}

    def become(self, user: User) -> None:
        """Act as this user from now on; there is no way back on this connection."""
        self.run(f"EXECUTE AS {quote_name(user.name)}")
        self.run(f"SET profile = {quote(user.profile)}")
        # In process a profile brings its constraints, but not every value (max_execution_time).
        self._profile = user.settings
        self._set(self._profile)

    def _set(self, settings: Mapping[str, str | None]) -> None:
        if settings:
            self.run(
                "SET "
                + ", ".join(
                    f"{name} = {'DEFAULT' if value is None else quote(value)}"
                    for name, value in settings.items()
                )
            )

    def apply(self, settings: Mapping[str, str]) -> None:
        """Set exactly these request settings; those of the request before go back to the profile's.

        Raises:
            ClickHouseError: the engine refuses one, or it is no setting's name.
        """
        for name in settings:
            if not _SETTING.fullmatch(name):
                raise ClickHouseError(115, "UNKNOWN_SETTING", f"Unknown setting {name!r}")
        undone = self._request_settings - settings.keys()
        self._request_settings = frozenset(settings)
        self._set({**{name: self._profile.get(name) for name in undone}, **settings})

    def run(
        self, sql: str, output_format: str = "TSVRaw", params: Mapping[str, str] | None = None
    ) -> bytes:
        """Run one statement and give its whole output.

        Raises:
            ClickHouseError: the engine's own.
        """
        return self._query(sql, output_format, params)[0]

    def _query(
        self, sql: str, output_format: str, params: Mapping[str, str] | None
    ) -> tuple[bytes, Any]:
        try:
            result = self._raw.query(sql, output_format, params=dict(params or {}))
            return bytes(result.bytes()), result
        except Exception as error:
            self._discard_leftovers()
            raise from_engine(error) from error

    def _discard_leftovers(self) -> None:
        # What a failed query had put out so far becomes the beginning of the next one's result.
        self._raw.query("SELECT 1", "Null")

    def canonical(self, sql: str) -> str:
        """The engine's own rendering of a statement, on one line.

        Raises:
            ClickHouseError: SYNTAX_ERROR.
        """
        # Parameter values are unescaped once by the engine, as over HTTP.
        escaped = sql.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
        rendered = self.run(
            "SELECT formatQuerySingleLine({statement:String})", params={"statement": escaped}
        )
        return rendered.decode(errors="replace")

    def insert(self, sql: str) -> Summary:
        """Run an INSERT of a file's rows; on return they are in the table."""
        started = time.monotonic_ns()
        _, result = self._query(sql, "Null", None)
        # FROM INFILE counts as data that was given, a SELECT FROM file() as storage that was read.
        rows = int(result.rows_read()) + int(result.storage_rows_read())
        size = int(result.bytes_read()) + int(result.storage_bytes_read())
        elapsed = time.monotonic_ns() - started
        return Summary(rows, size, rows, size, elapsed_ns=elapsed)

    def whole(
        self, sql: str, output_format: str, params: Mapping[str, str], summary: Summary
    ) -> bytes:
        """Run any statement; all of its output.

        Raises:
            ClickHouseError: the engine's own.
        """
        started = time.monotonic_ns()
        body, result = self._query(sql, output_format, params)
        summary.read_rows = int(result.storage_rows_read())
        summary.read_bytes = int(result.storage_bytes_read())
        summary.result_rows = int(result.rows_read())
        summary.result_bytes = len(body)
        summary.elapsed_ns = time.monotonic_ns() - started
        return body

    def stream(
        self, sql: str, output_format: str, params: Mapping[str, str], summary: Summary
    ) -> Generator[bytes]:
        """Run a SELECT and give its output while it is made; closing the generator cancels it.

        Raises:
            ClickHouseError: from the first or any later piece.
        """
        header = formats.header_length(output_format)
        if header is None:
            raise bad_argument(f"Format {output_format} can't be streamed")
        started = time.monotonic_ns()
        blocks: Any = None
        first = True
        try:
            blocks = self._raw.send_query(sql, output_format, params=dict(params))
            for block in blocks:
                data = bytes(block.bytes())
                summary.result_rows += int(block.rows_read())
                summary.result_bytes += len(data)
                summary.read_rows = max(summary.read_rows, int(block.storage_rows_read()))
                summary.read_bytes = max(summary.read_bytes, int(block.storage_bytes_read()))
                summary.elapsed_ns = time.monotonic_ns() - started
                yield data if first else data[header(data) :]
                first = False
        except (RuntimeError, ValueError) as error:
            self._discard_leftovers()
            raise from_engine(error) from error
        finally:
            if blocks is not None:
                blocks.close()
        if first and formats.has_header(output_format):
            # The engine's stream gives nothing at all for no rows.
            yield self.whole(sql, output_format, params, summary)

    def close(self) -> None:
        """End the session."""
        self._raw.close()


class Engine:
    """The engine on its data directory.

    Args:
        data: the directory; created if missing.
        config: the engine's config.xml.

    Raises:
        ClickHouseError: e.g. 76 when another process has the directory.
    """

    def __init__(self, data: Path, config: Path) -> None:
        # Without it the first DROP … SYNC on a new directory hangs.
        (data / "metadata").mkdir(parents=True, exist_ok=True)
        self._address = f"{data}?config-file={config}"
        # The engine lives as long as one connection does; this is also the daemon's own session.
        self._own = self.connect()
        self.version = self._own.run("SELECT version()").decode().strip()
        self.timezone = self._own.run("SELECT timezone()").decode().strip()

    def connect(self) -> Connection:
        """A new session as the engine's own user."""
        try:
            return Connection(chdb.state.connect(self._address))
        except Exception as error:
            raise from_engine(error) from error

    def connect_as(self, user: User) -> Connection:
        """A new session of a user."""
        connection = self.connect()
        try:
            connection.become(user)
        except ClickHouseError:
            connection.close()
            raise
        return connection

    def cancel(self, query_id: str) -> None:
        """Stop the query of a request, if it still runs."""
        connection = self.connect()
        try:
            mark = quote(query_id)
            connection.run(f"KILL QUERY WHERE Settings['log_comment'] = {mark} ASYNC", "Null")
        finally:
            connection.close()

    def close(self) -> None:
        """Stop consuming, then close.

        Closing with Kafka tables attached can abort the process. Detached they stop cleanly, and
        being not permanent that is undone by the next start.
        """
        listed = self._own.run(
            "SELECT database, name FROM system.tables WHERE engine = 'Kafka'", "JSONCompactEachRow"
        )
        tables = [".".join(map(quote_name, json.loads(line))) for line in listed.splitlines()]
        with ThreadPoolExecutor(max_workers=16) as pool:
            list(pool.map(self._detach, tables))
        self._own.close()

    def _detach(self, table: str) -> None:
        connection = self.connect()
        try:
            connection.run(f"DETACH TABLE {table} SYNC", "Null")
        except ClickHouseError as error:
            # One that can't be detached must not keep the others from stopping.
            log.error("could not detach a Kafka table", extra={"table": table, "error": str(error)})
        finally:
            connection.close()
