"""The pure parts of verification; the whole is proven in tests/local/test_verify_truth.py."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.position import event_lsn
from ops.verify.snapshot import Snapshot
from ops.verify.sql import bucket_count
from ops.verify.table import checksum

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "1:2", "a:b:c", "1:2:3,", "1:2:3 4"])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a Postgres snapshot"):
        Snapshot.parse(text, 1, NOW)


def test_a_position_is_written_as_postgres_writes_it() -> None:
    assert Snapshot.parse("1:1:", (0x16 << 32) + 0xB374, NOW).position == "16/B374"


@given(st.integers(0, 10**9))
def test_buckets_are_a_mask_and_hold_about_two_thousand_rows(rows: int) -> None:
    buckets = bucket_count(rows)
    assert buckets & (buckets - 1) == 0
    assert buckets == 65_536 or rows / buckets <= 2_000
    assert buckets == 1 or rows / buckets > 999


@given(st.integers(), st.integers())
def test_a_checksum_is_sixteen_digits_whatever_the_sum(first: int, second: int) -> None:
    assert len(checksum(first)) == 16
    assert checksum(first + second) == checksum(second + first)


@pytest.mark.parametrize(
    ("event", "lsn"),
    [
        (b'{"op":"u","source":{"lsn":77}}', 77),
        (b'{"schema":{},"payload":{"op":"u","source":{"lsn":77}}}', 77),
        (b'{"op":"m","source":{"lsn":null}}', -1),
        (b'{"op":"x"}', -1),
    ],
)
def test_an_event_tells_its_position(event: bytes, lsn: int) -> None:
    assert event_lsn(event) == lsn
