"""Seeing what has become visible, without standing in the way of what is measured."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from catalog.names import ch_qualified
from ops.bench.figures import Seen
from ops.bench.model import BenchError
from ops.stack import ClickHouse

# A question costs the server some milliseconds of a core, planning included: at this pace a few
# per cent. What is seen is seen up to this and the question's own time late.
EVERY_SECONDS = 0.05


class Watch:
    """Asks a table for its highest id again and again, on a thread and a session of its own.

    The table is X_final: the view X shows a row from the same moment on, and is dearer to ask. The
    question names the ids above the last answer, so the primary key keeps it from reading others.
    """

    def __init__(self, clickhouse: ClickHouse, table: str, every: float = EVERY_SECONDS) -> None:
        self.seen: list[Seen] = []
        self.polls = 0
        self._clickhouse = clickhouse
        self._table = ch_qualified(table)
        self._every = every
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="bench-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def high(self) -> int:
        """The highest id that was seen, 0 before any."""
        return self.seen[-1].high if self.seen else 0

    def wait(self, last: int, seconds: float) -> None:
        """Waits until the id is visible.

        Raises BenchError where nothing new became visible for that long.
        """
        high, since = self.high, time.monotonic()
        while self.high < last:
            if self._failure is not None:
                raise self._failure
            if self.high > high:
                high, since = self.high, time.monotonic()
            if time.monotonic() - since > seconds:
                raise BenchError(
                    f"nothing new in {self._table} for {seconds:.0f} s, at id {high:,} of "
                    f"{last:,}: see `./cdc logs connect` and `./cdc logs clickhouse`"
                )
            time.sleep(self._every / 2)

    def _run(self) -> None:
        try:
            with self._clickhouse.client(session=True) as client:
                asked = time.perf_counter()
                while not self._stop.is_set():
                    before, asked = asked, time.perf_counter()
                    high = int(
                        client.command(
                            f"SELECT max(id) FROM {self._table} WHERE id > {self.high}",
                            settings={"max_threads": 1},
                        )  # type: ignore[arg-type]
                    )
                    self.polls += 1
                    if high > self.high:
                        self.seen.append(Seen(after=before, at=time.perf_counter(), high=high))
                    self._stop.wait(self._every)
        except Exception as error:  # noqa: BLE001 - told by wait(), on the thread that asks
            self._failure = error
