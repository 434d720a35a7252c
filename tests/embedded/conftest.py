"""One daemon for all tests that leave it running; those that stop or kill it start their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.daemon import Daemon


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A running daemon, with table `t` (a Int32, b String) of three rows."""
    daemon = Daemon(tmp_path_factory.mktemp("embedded"))
    daemon.start()
    daemon.ask("CREATE TABLE t (a Int32, b String) ENGINE = MergeTree ORDER BY a")
    daemon.ask("INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'it''s')")
    yield daemon
    daemon.stop_if_running()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that is not running yet, for this test alone."""
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.stop_if_running()
