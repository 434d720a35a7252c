"""Sessions that outlive a request: temporary tables and SET, by ClickHouse's session_id."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from embedded.auth import User
from embedded.engine import Connection, Engine
from embedded.errors import ClickHouseError, bad_argument

MAX_TIMEOUT = 3600.0
"""Longest time a session may be idle, in seconds (ClickHouse's max_session_timeout)."""
DEFAULT_TIMEOUT = 60.0
"""Idle seconds after which a session ends unless the request says otherwise."""
MAX_SESSIONS = 256
"""Sessions kept at once; each holds its temporary tables in memory."""


@dataclass
class _Session:
    connection: Connection
    timeout: float
    expires: float
    busy: bool


class Sessions:
    """The open sessions of all users.

    Args:
        engine: where their connections come from.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], _Session] = {}

    @contextmanager
    def use(
        self, user: User, session_id: str, timeout: str, *, must_exist: bool
    ) -> Iterator[Connection]:
        """The session's connection, for one request alone.

        Args:
            user: sessions of different users never meet, whatever their ids.
            session_id: the client's name for it.
            timeout: idle seconds until it ends; empty for the default.
            must_exist: ClickHouse's session_check.

        Raises:
            ClickHouseError: SESSION_NOT_FOUND, SESSION_IS_LOCKED, or too many sessions.
        """
        session = self._take(user, session_id, _seconds(timeout), must_exist=must_exist)
        try:
            yield session.connection
        finally:
            session.expires = time.monotonic() + session.timeout
            session.busy = False

    def _take(self, user: User, session_id: str, timeout: float, *, must_exist: bool) -> _Session:
        self.expire()
        with self._lock:
            session = self._open.get((user.name, session_id))
            if session is None and must_exist:
                raise ClickHouseError(372, "SESSION_NOT_FOUND", f"Session {session_id} not found")
            if session is None:
                if len(self._open) >= MAX_SESSIONS:
                    message = (
                        f"Too many sessions ({MAX_SESSIONS}); close some or lower session_timeout"
                    )
                    raise ClickHouseError(202, "TOO_MANY_SIMULTANEOUS_QUERIES", message)
                session = _Session(self._engine.connect_as(user), timeout, 0, busy=False)
                self._open[user.name, session_id] = session
            if session.busy:
                message = f"Session {session_id} is locked by a concurrent client"
                raise ClickHouseError(373, "SESSION_IS_LOCKED", message)
            session.busy, session.timeout = True, timeout
            return session

    def expire(self) -> None:
        """End sessions idle for longer than their timeout."""
        now = time.monotonic()
        with self._lock:
            ended = [key for key, one in self._open.items() if not one.busy and one.expires < now]
            sessions = [self._open.pop(key) for key in ended]
        for session in sessions:
            session.connection.close()

    def close(self) -> None:
        """End all sessions."""
        with self._lock:
            sessions = list(self._open.values())
            self._open.clear()
        for session in sessions:
            session.connection.close()


def _seconds(text: str) -> float:
    try:
        value = float(text or DEFAULT_TIMEOUT)
    except ValueError as error:
        raise bad_argument(f"Invalid session timeout: {text!r}") from error
    if not 0 <= value <= MAX_TIMEOUT:
        raise bad_argument(f"Session timeout {text} is outside 0 to {MAX_TIMEOUT:.0f} seconds")
    return value
