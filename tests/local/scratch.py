"""A Postgres or a Kafka of a test's own: real, empty, on a free port, gone with the test."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from confluent_kafka.admin import AdminClient

from ops import parts, places

CLUSTER = "4L6g3nShT1eMCtK1JX86sw"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def free_port() -> int:
    """A TCP port of 127.0.0.1 nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def postgres(
    database: str, settings: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a Postgres with one database of that name; yields its superuser's DSN.

    settings: of postgresql.conf, over those of this function. files: name to text, in its data
    folder.
    """
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
        for file, text in (files or {}).items():
            path = data / file
            path.write_text(text)
            path.chmod(0o600)
            if places.is_root():
                os.chown(path, 65534, 65534)
        given = {
            "fsync": "off",
            "wal_level": "logical",
            "shared_buffers": "64MB",
            **(settings or {}),
        }
        options = f"-p {port} -k {folder} " + " ".join(f"-c {k}={v}" for k, v in given.items())
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


def restart(data: Path) -> None:
    """Restart the Postgres of that data folder with the options it was started with."""
    run: list[str | Path] = [*(NOBODY if places.is_root() else [])]
    run.append(parts.locate().postgres / "bin" / "pg_ctl")
    subprocess.run(
        [*run, "-D", data, "-w", "-l", data.parent / "log", "restart"],
        check=True,
        cwd="/",
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def kafka() -> Iterator[str]:
    """Run a broker (KRaft, one node, transactions allowed); yields its bootstrap address."""
    found = parts.locate()
    with tempfile.TemporaryDirectory(prefix="cdc-test-") as name:
        folder, port, control = Path(name), free_port(), free_port()
        properties = folder / "server.properties"
        properties.write_text(
            "process.roles=broker,controller\n"
            "node.id=1\n"
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}\n"
            "controller.listener.names=CONTROLLER\n"
            f"controller.quorum.bootstrap.servers=127.0.0.1:{control}\n"
            f"log.dirs={folder / 'data'}\n"
            "offsets.topic.replication.factor=1\n"
            "offsets.topic.num.partitions=1\n"
            "transaction.state.log.replication.factor=1\n"
            "transaction.state.log.min.isr=1\n"
            "transaction.state.log.num.partitions=1\n"
            "group.initial.rebalance.delay.ms=0\n",
            encoding="utf-8",
        )
        tool = "kafka.tools.StorageTool"
        java: list[str | Path] = [found.java, "-Xmx192m", "-cp", f"{found.kafka_libs}/*"]
        with (folder / "log").open("wb") as log:
            subprocess.run(
                [*java, *f"{tool} format --standalone -t {CLUSTER} -c {properties}".split()],
                check=True,
                stdout=log,
                stderr=log,
            )
            broker = subprocess.Popen([*java, "kafka.Kafka", properties], stdout=log, stderr=log)
        try:
            bootstrap = f"127.0.0.1:{port}"
            # Waits for the broker by itself; raises if it doesn't come up.
            AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=60)
            yield bootstrap
        finally:
            broker.terminate()
            broker.wait(30)
