"""The fetched parts run on this machine. Uses the cache as it is and fetches nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ops import engine, parts, places


@pytest.fixture(scope="module")
def found() -> parts.Parts:
    try:
        return parts.locate()
    except parts.MissingPart as missing:
        pytest.skip(str(missing))


def output(*command: str | Path) -> str:
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return run.stdout + run.stderr


def test_postgres_is_the_pinned_one(found: parts.Parts) -> None:
    assert output(found.postgres / "bin" / "postgres", "--version").split()[2] == "16.15"


def test_postgres_brings_the_plugin_that_debezium_reads(found: parts.Parts) -> None:
    assert (found.postgres / "lib" / "postgresql" / "pgoutput.so").is_file()


def test_kafka_starts_on_the_pinned_java(found: parts.Parts) -> None:
    tool = "org.apache.kafka.tools.TopicCommand"
    assert output(found.java, "-cp", f"{found.kafka_libs}/*", tool, "--version").startswith("4.2.1")


def test_connect_finds_the_connector_in_its_plugin_folder(found: parts.Parts) -> None:
    tool = "org.apache.kafka.tools.ConnectPluginPath"
    classes = f"{found.kafka_libs}/*"
    listed = output(
        found.java, "-cp", classes, tool, "list", "--plugin-path", str(found.connect_plugins)
    )
    assert "io.debezium.connector.postgresql.PostgresConnector" in listed
    assert "3.7.0.Final" in listed


@pytest.mark.skipif(not places.is_root(), reason="only root changes users")
def test_nobody_makes_a_cluster_with_the_fetched_postgres(found: parts.Parts) -> None:
    nobody = 65534
    home = places.ensure(places.ROOT_DATA / f"test-{os.getpid()}")
    try:
        data = home / "data"
        data.mkdir(mode=0o700)
        os.chown(data, nobody, nobody)
        password = home / "password"
        password.write_text("secret")
        os.chown(password, nobody, nobody)
        initdb = str(found.postgres / "bin" / "initdb")
        user = ("setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups")
        output(
            *user,
            *(initdb, "-D", data, "-U", "postgres", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--data-checksums", "--auth=scram-sha-256", f"--pwfile={password}"),
        )
        assert (data / "PG_VERSION").read_text().strip() == "16"
    finally:
        shutil.rmtree(home)


def test_the_engine_says_its_version() -> None:
    try:
        folder = engine.locate_engine()
    except parts.MissingPart as missing:
        pytest.skip(str(missing))
    assert engine.fits(engine.version_of(folder / "pulumi"))
