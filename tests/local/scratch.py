"""A Postgres of a test's own: real, empty, on a free port, gone with the test."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from ops import parts, places

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def free_port() -> int:
    """A TCP port of 127.0.0.1 nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def postgres(database: str) -> Iterator[str]:
    """Run a Postgres with one database of that name; yields its DSN."""
    binaries = parts.locate().postgres / "bin"
    # Postgres refuses to run as root, and "nobody" can't enter pytest's own temporary folders.
    with tempfile.TemporaryDirectory(prefix="cdc-test-") as name:
        folder, prefix = Path(name), NOBODY if places.is_root() else []
        if places.is_root():
            os.chown(folder, 65534, 65534)
        port, data = free_port(), folder / "data"
        run: list[str | Path] = [
            *prefix,
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-A",
            "trust",
        ]
        subprocess.run(
            [*run, "-E", "UTF8", "--locale=C", "-N"], check=True, cwd="/", capture_output=True
        )
        control: list[str | Path] = [*prefix, binaries / "pg_ctl", "-D", data, "-w"]
        options = f"-p {port} -k {folder} -c fsync=off -c wal_level=logical -c shared_buffers=64MB"
        subprocess.run(
            [*control, "-l", folder / "log", "-o", options, "start"],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
        )
        try:
            dsn = f"host=127.0.0.1 port={port} user=postgres dbname="
            with psycopg.connect(dsn + "postgres", autocommit=True) as conn:
                conn.execute(f'CREATE DATABASE "{database}"'.encode())
            yield dsn + database
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"],
                check=True,
                cwd="/",
                stdout=subprocess.DEVNULL,
            )
