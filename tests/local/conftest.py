"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """ClickHouse in this process. Leave it without databases of your own."""
    # One for all tests: a process can open one ClickHouse folder, and opens it once.
    path = tmp_path_factory.mktemp("clickhouse")
    (path / "metadata").mkdir()
    with closing(clickhouse_connect.get_client(interface="chdb", path=str(path))) as made:
        yield made
