"""The real daemon, as tests start, stop and kill it."""

from __future__ import annotations

import hashlib
import json
import signal
import string
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import requests
from clickhouse_connect.driver.client import Client

ROOT = Path(__file__).parents[2]
ADMIN = ("cdc_admin", "admin's secret")
ANALYST = ("analytics_user", "analyst's secret")
_VALUES = {
    "ADMIN_PASSWORD_SHA256": hashlib.sha256(ADMIN[1].encode()).hexdigest(),
    "ANALYST_PASSWORD_SHA256": hashlib.sha256(ANALYST[1].encode()).hexdigest(),
    "QUERY_MEMORY": "300000000",
    "QUERY_THREADS": "2",
    "MAX_MEMORY": "600000000",
    "CACHE_MEMORY": "16777216",
    "BACKGROUND_THREADS": "2",
    "KAFKA_CONSUMERS": "4",
    "BIND": "127.0.0.1",
    "HTTP_PORT": "8123",
    "METRICS_PORT": "9363",
    "DATA": "/nowhere",
}


class Daemon:
    """One daemon on a directory of its own.

    Args:
        directory: for its configuration and data.
        extra: a configuration of the server's own kind, whose elements are added to its.
    """

    def __init__(self, directory: Path, extra: str = "") -> None:
        self.directory = directory
        self.data = directory / "data"
        for name in ("config", "users"):
            template = (ROOT / "configs" / "clickhouse" / f"{name}.xml").read_text()
            text = string.Template(template).substitute(_VALUES)
            if name == "config":
                text = text.replace("</clickhouse>", f"{extra}</clickhouse>")
            (directory / f"{name}.xml").write_text(text)
        self.log: list[dict[str, Any]] = []
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def command(self, port: int = 0) -> list[str]:
        """The command line; port 0 takes a free one."""
        files = ["--config", str(self.directory / "config.xml")]
        files += ["--users", str(self.directory / "users.xml"), "--data", str(self.data)]
        return [sys.executable, "-m", "embedded", *files, "--http-port", str(port)]

    def start(self) -> None:
        """Start and wait until it is ready."""
        self._process = subprocess.Popen(
            self.command(),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self._process, ready), daemon=True)
        self._reader.start()
        assert ready.wait(30), f"not ready: {self.log}"
        self.port = next(line["port"] for line in reversed(self.log) if line["message"] == "ready")

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            entry = json.loads(line) if line.startswith("{") else {"message": line}
            self.log.append(entry)
            if entry["message"] == "ready":
                ready.set()

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code, negative if a signal ended it."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(30)
        self._reader.join(5)
        self._process = None
        return code

    def stop_if_running(self) -> None:
        """Leave no process behind."""
        if self._process is not None:
            self.end()

    def resident(self) -> int:
        """Resident memory, bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * 4096

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/"

    def post(
        self, sql: str | bytes, user: tuple[str, str] = ADMIN, /, **params: str
    ) -> requests.Response:
        """POST a statement; parameters go to the URL."""
        body = sql.encode() if isinstance(sql, str) else sql
        return requests.post(self.url, params=params, data=body, auth=user, timeout=30)

    def ask(self, sql: str, user: tuple[str, str] = ADMIN, /, **params: str) -> str:
        """POST a statement that must succeed; its output."""
        response = self.post(sql, user, **params)
        assert response.status_code == 200, response.text
        return response.text

    def client(self, user: tuple[str, str] = ADMIN, **options: Any) -> Client:
        """A clickhouse-connect client."""
        name, password = user
        return clickhouse_connect.get_client(
            host="127.0.0.1", port=self.port, username=name, password=password, **options
        )


def until(seconds: float) -> Iterator[None]:
    """Yield until the time is over, then fail: for loops that wait for something to become true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")
