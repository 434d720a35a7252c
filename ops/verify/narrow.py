"""From a chunk that differs to the keys that do: by buckets of the key's hash, then row by row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from more_itertools import constrained_batches

from ops.verify import sql
from ops.verify.sql import AsOf, Chunk, Compared

MOST_ROWS_AT_ONCE = 100_000
# In one statement; their numbers have up to five digits.
MOST_BUCKETS_AT_ONCE = 2_000
MOST_READS = 4
BETWEEN_READS_SECONDS = 0.5
# A bucket of this many rows of which the other side has not one is no passing state.
CERTAIN_ROWS = 100

#: Number of rows, and the sum of their hashes.
Bucket = tuple[int, int]
NONE: Bucket = (0, 0)
KINDS = ("missing", "extra", "different")


class Found:
    """Differences: all counted and summed, the first `room` of each kind by key text."""

    def __init__(self, room: Mapping[str, int]) -> None:
        self._room = room
        self.counts = dict.fromkeys(KINDS, 0)
        self.keys: dict[str, list[str]] = {kind: [] for kind in KINDS}
        self.hash_delta = 0
        """What the differences add to the source's sum of hashes to make the target's."""

    def add(self, key: str, ours: Bucket, theirs: Bucket) -> None:
        """A key with the rows each side has of it."""
        # A key that the target shows twice has one row too many, whatever the two hold.
        surplus = theirs[0] - ours[0]
        kind = "missing" if surplus < 0 else "extra" if surplus else "different"
        self.add_all(kind, max(1, abs(surplus)), theirs[1] - ours[1])
        self.name(kind, key)

    def add_all(self, kind: str, rows: int, hash_delta: int) -> None:
        """Rows that are not named."""
        self.counts[kind] += rows
        self.hash_delta += hash_delta

    def name(self, kind: str, key: str) -> None:
        """List a key while there is room."""
        if not self.full(kind):
            self.keys[kind].append(key)

    def full(self, kind: str) -> bool:
        """Whether no more keys of the kind are listed."""
        return len(self.keys[kind]) >= self._room[kind]


class Reader:
    """Reads one chunk's hashes from both sides; `query` asks ClickHouse."""

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        query: Callable[[str], Sequence[Sequence[Any]]],
        compared: Compared,
        as_of: AsOf,
        chunk: Chunk,
    ) -> None:
        self._conn = conn
        self._query = query
        self._compared = compared
        self._chunk = chunk
        self._target = sql.target_rows(compared, as_of, chunk)
        self._buckets = 1

    def source_total(self) -> Bucket:
        """Rows and hash sum of the chunk in the source."""
        row = self._conn.execute(sql.source_total(self._compared, self._chunk).encode()).fetchone()
        assert row is not None
        return row[0], int(row[1])

    def target_total(self) -> Bucket:
        """The same in the target."""
        [[count, hashes]] = self._query(sql.target_total(self._target))
        return int(count), int(hashes)

    def differences(
        self, rows: int, found: Found, progress: Callable[[int], None] = lambda _rows: None
    ) -> None:
        """Find all keys that differ, and go on differing when read again.

        `rows` is the larger side's count; `progress` is told of rows that are done.
        """
        self._buckets = sql.bucket_count(rows)
        source, target = self._source_buckets(), self._target_buckets()
        to_read = self._count_whole_buckets(source, target, found)
        groups = constrained_batches(
            to_read,
            MOST_ROWS_AT_ONCE,
            MOST_BUCKETS_AT_ONCE,
            get_len=lambda bucket: max(each.get(bucket, NONE)[0] for each in (source, target)),
            strict=False,  # a bucket of more rows is read alone
        )
        for group in groups:
            self._compare(group, found)
            progress(sum(source.get(bucket, NONE)[0] for bucket in group))

    def _source_buckets(self) -> dict[int, Bucket]:
        statement = sql.source_buckets(self._compared, self._chunk, self._buckets)
        rows = self._conn.execute(statement.encode())
        return {bucket: (count, int(hashes)) for bucket, count, hashes in rows}

    def _target_buckets(self) -> dict[int, Bucket]:
        rows = self._query(sql.target_buckets(self._target, self._buckets))
        return {int(bucket): (int(count), int(hashes)) for bucket, count, hashes in rows}

    def _count_whole_buckets(
        self, source: Mapping[int, Bucket], target: Mapping[int, Bucket], found: Found
    ) -> list[int]:
        """Count the rows of buckets that one side lacks altogether; return the others that differ.

        An empty or lost table is so told without fetching all of its keys.
        """
        to_read = []
        for bucket in sorted(source.keys() | target.keys()):
            ours, theirs = source.get(bucket, NONE), target.get(bucket, NONE)
            if not theirs[0] and ours[0] >= CERTAIN_ROWS:
                found.add_all("missing", ours[0], -ours[1])
                if not found.full("missing"):
                    for key, _ in self._source_hashes([bucket]):
                        found.name("missing", key)
            elif not ours[0] and theirs[0] >= CERTAIN_ROWS:
                found.add_all("extra", theirs[0], theirs[1])
                if not found.full("extra"):
                    for key in self._target_hashes([bucket]):
                        found.name("extra", key)
            elif ours != theirs:
                to_read.append(bucket)
        return to_read

    def _source_hashes(self, group: Sequence[int]) -> Iterator[tuple[str, int]]:
        statement = sql.source_in_buckets(self._compared, self._chunk, self._buckets, group)
        # A named cursor lives on the server: the rows come in portions instead of all at once.
        with self._conn.cursor(name="cdc_verify") as cursor:
            cursor.itersize = 20_000
            yield from cursor.execute(statement.encode())

    def _target_hashes(self, group: Sequence[int]) -> dict[str, Bucket]:
        """What the target shows of each key: one row, if it is right."""
        statement = sql.target_in_buckets(self._target, self._buckets, group)
        return _summed(self._query(statement))

    def _compare(self, group: Sequence[int], found: Found) -> None:
        theirs = self._target_hashes(group)
        ours = _summed(self._source_hashes(group))
        differing = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
        for _ in range(MOST_READS - 1):
            if not differing:
                return
            time.sleep(BETWEEN_READS_SECONDS)
            before, theirs = theirs, self._target_hashes(group)
            # What was equal once is equal: it has been compared as of the snapshot.
            differing = [key for key in differing if ours.get(key) != theirs.get(key)]
            if all(theirs.get(key) == before.get(key) for key in differing):
                break
        for key in sorted(differing):
            found.add(key, ours.get(key, NONE), theirs.get(key, NONE))


def _summed(rows: Iterable[Sequence[Any]]) -> dict[str, Bucket]:
    hashes: dict[str, Bucket] = {}
    for key, row_hash in rows:
        count, total = hashes.get(key, NONE)
        hashes[key] = (count + 1, total + int(row_hash))
    return hashes
