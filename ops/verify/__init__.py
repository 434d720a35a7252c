"""Is the target equal to the source? Exact, to the row and column, while writers go on.

1. A REPEATABLE READ transaction fixes what the source is compared at: its snapshot, position P.
   It is ended and begun anew every minute, between two chunks, for it holds back VACUUM and whoever
   wants to ALTER or TRUNCATE (moment.py). Each chunk is compared as of one position.
2. Wait until ClickHouse has everything up to P (ops/position.py).
3. A table is compared in chunks, ranges of its key (chunks.py). Each database reads a chunk once,
   hashes its rows (sql.py) and sums the hashes. Equal counts and sums: done.
4. A chunk that differs is narrowed down to buckets by a hash of the key, and the rows of differing
   buckets are fetched as key and hash, and compared one by one (narrow.py). ClickHouse can't freeze
   its state, so what differs is read again: what only passed by is gone then, what is wrong
   remains.

What writers changed after the snapshot is taken back on ClickHouse's side, out of the change
history (sql.py). Memory and the length of statements are bounded whatever the tables' sizes and
differences are; so is the load: one connection and process of Postgres, `threads` threads of
ClickHouse, and pauses between chunks by `max_load`.
"""

from __future__ import annotations

from ops.verify.moment import VerificationError
from ops.verify.run import verify

__all__ = ["VerificationError", "verify"]
