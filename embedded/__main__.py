"""Run the daemon: `python -m embedded --config CONFIG.xml --users USERS.xml --data DIR`."""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import re
import signal
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

from embedded.auth import ConfigError, Users

EXIT_CONFIG, EXIT_IN_USE, EXIT_PORT = 2, 3, 4
"""Exit codes: configuration can't be served; directory has an owner; port is taken."""

log = logging.getLogger("embedded")
# The directory and the address are given by options; access rules of its own the
# engine in process does not read; and its log would go between this process's JSON lines, with the
# text of every statement.
_NOT_FOR_ENGINE = (
    "listen_host",
    "http_port",
    "path",
    "tmp_path",
    "user_files_path",
    "format_schema_path",
    "user_directories",
    "users_config",
    "access_control_improvements",
    "logger",
)
_PLAIN_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its extra fields."""
        line = {
            "ts": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{record.msecs:03.0f}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _PLAIN_RECORD:
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def write_engine_config(source: Path, users: Users, directory: Path) -> Path:
    """Write the files the engine reads: the given ones and what it needs in process.

    Args:
        source: a ClickHouse config.xml.
        users: the users to write beside it.
        directory: where to; the files are for this process's user only.

    Returns:
        The config file's path.

    Raises:
        ConfigError: the source can't be read.
    """
    try:
        tree = ET.parse(source)  # noqa: S314
    except (OSError, ET.ParseError) as error:
        raise ConfigError(f"{source}: {error}") from error
    root = tree.getroot()
    for name in _NOT_FOR_ENGINE:
        for node in root.findall(name):
            root.remove(node)
    users.write_for_engine(directory / "users.xml")
    ET.SubElement(root, "users_config").text = str(directory / "users.xml")
    # Connections start as the engine's own user; EXECUTE AS is how they become the client's.
    ET.SubElement(root, "allow_impersonate_user").text = "1"
    target = directory / "config.xml"
    target.touch(mode=0o600)
    tree.write(target)
    return target


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="embedded", description="ClickHouse in one process.")
    parser.add_argument("--config", type=Path, required=True, help="ClickHouse config.xml")
    parser.add_argument("--users", type=Path, required=True, help="ClickHouse users.xml")
    parser.add_argument("--data", type=Path, required=True, help="data directory")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--http-port", type=int, default=8123, help="port to listen on")
    parser.add_argument("--threads", type=int, default=32, help="requests served at once")
    parser.add_argument(
        "--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"]
    )
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        argv: the command's arguments.

    Returns:
        The exit code: 0, or one of EXIT_CONFIG, EXIT_IN_USE, EXIT_PORT.
    """
    options = _arguments(argv)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=options.log_level, handlers=[handler], force=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    data = options.data.resolve()
    if not re.fullmatch(r"[\w./-]+", str(data)):
        log.error("--data may only contain letters, digits, and _ . / -", extra={"data": str(data)})
        return EXIT_CONFIG
    try:
        users = Users(options.users)
        runtime = data / "embedded"
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (runtime / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            config = write_engine_config(options.config, users, runtime)
            return _serve(options, data, config, users, stop)
    except BlockingIOError:
        log.error("another process has this data directory; stop it first", extra={"data": data})
        return EXIT_IN_USE
    except (ConfigError, OSError) as error:
        log.error("cannot use this configuration", extra={"error": str(error)})
        return EXIT_CONFIG


def _serve(
    options: argparse.Namespace, data: Path, config: Path, users: Users, stop: threading.Event
) -> int:
    # The engine takes a second to import: a wrong command should not wait for that.
    from embedded.engine import Engine
    from embedded.errors import ClickHouseError
    from embedded.server import Application, Server
    from embedded.spool import Spool

    try:
        engine = Engine(data, config)
    except ClickHouseError as error:
        log.error("the engine cannot start", extra={"data": data, "error": str(error)})
        return EXIT_CONFIG
    spool = Spool(data)
    application = Application(engine, users, spool)
    server = Server(options.host, options.http_port, application, options.threads)
    try:
        server.prepare()
    except OSError as error:
        where = f"{options.host}:{options.http_port}"
        log.error(
            f"cannot listen on {where}; choose another --http-port", extra={"error": str(error)}
        )
        engine.close()
        spool.close()
        return EXIT_PORT
    serving = threading.Thread(target=server.serve, name="http")
    serving.start()
    ready = {"host": options.host, "port": server.bind_addr[1], "version": engine.version}
    log.info("ready", extra=ready)
    stop.wait()
    log.info("stopping")
    application.close()
    server.stop()
    serving.join()
    engine.close()
    spool.close()
    log.info("stopped")
    return 0


if __name__ == "__main__":
    code = 1
    try:
        code = main(sys.argv[1:])
    except Exception:
        log.exception("stopped by an error of its own")
    except SystemExit as bad_usage:  # argparse's
        code = int(bad_usage.code or 0)
    sys.stdout.flush()
    # The engine's static destructors abort now and then; everything is closed by now.
    os._exit(code)
