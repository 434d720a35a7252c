"""One range of a table, out of Postgres into ClickHouse, without ever being whole in memory."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg import pq

from ops.backfill.errors import BackfillError
from ops.backfill.target import Target

IDLE, INTRANS = pq.TransactionStatus.IDLE, pq.TransactionStatus.INTRANS
CHUNK = 1 << 18  # bytes handed to the socket at once
# Blocks of this many rows are written as parts: large enough to be cheap, small enough to fit the
# memory of a query. A range holds each key once, so ClickHouse need not look for repeats in it.
SETTINGS = {
    "min_insert_block_size_rows": "262144",
    "min_insert_block_size_bytes": "67108864",
    "max_threads": "1",
    "max_insert_threads": "1",
    "input_format_parallel_parsing": "0",
    # A first row that reads like the columns' names is a row all the same.
    "input_format_tsv_detect_header": "0",
    "optimize_on_insert": "0",
    "short_circuit_function_evaluation": "force_enable",
}


def copy_range(
    connection: psycopg.Connection[Any],
    target: Target,
    copy: str,
    insert: str,
    counted: Callable[[int], None],
) -> int:
    """Streams a COPY into an INSERT and answers how many rows; `counted` is told as they pass.

    ClickHouse sets the pace: Postgres is read no faster than the rows are taken.
    Raises BackfillError in either server's words.
    """
    rows = _Rows(connection.pgconn, copy, counted)
    try:
        target.insert(insert, rows, SETTINGS)
    finally:
        rows.end()
    return rows.count


class _Rows:
    """The data of a COPY … TO STDOUT, in chunks.

    libpq hands out one row at a time; its own interface costs a quarter of what `cursor.copy()`
    does, and this is the one place where a microsecond a row matters.
    """

    def __init__(self, pgconn: pq.abc.PGconn, copy: str, counted: Callable[[int], None]) -> None:
        self.count = 0
        self._pgconn = pgconn
        self._copy = copy
        self._counted = counted

    def __iter__(self) -> Iterator[bytes]:
        began = self._pgconn.exec_(self._copy.encode())
        if began.status != pq.ExecStatus.COPY_OUT:
            raise BackfillError(f"{self._copy[:100]}…: {self._said(began)}")
        chunk: list[bytes] = []
        size = 0
        while True:
            length, row = self._pgconn.get_copy_data(1)
            if length > 0:
                chunk.append(bytes(row))
                size += length
                if size < CHUNK:
                    continue
            elif length == 0:
                select.select([self._pgconn.socket], [], [])
                self._pgconn.consume_input()
                continue
            if chunk:
                yield b"".join(chunk)
                self.count += len(chunk)
                self._counted(len(chunk))
                chunk, size = [], 0
            if length < 0:
                break
        while (ended := self._pgconn.get_result()) is not None:
            if ended.status != pq.ExecStatus.COMMAND_OK:
                raise BackfillError(f"{self._copy[:100]}…: {self._said(ended)}")

    def end(self) -> None:
        """Ends a COPY that was not read to its end, which only closing the connection does."""
        if self._pgconn.transaction_status not in (IDLE, INTRANS):
            self._pgconn.finish()

    def _said(self, result: pq.abc.PGresult) -> str:
        lines = result.error_message.decode(errors="replace").strip().splitlines()
        return lines[0] if lines else "the connection broke"
