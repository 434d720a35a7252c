"""Which changes a Postgres snapshot sees, as a condition for ClickHouse.

Rule: PostgreSQL manual, 9.27.8 (pg_snapshot): a transaction is visible if its id is below `xmax`
and not in `xip_list`. Both name top-level transactions only, as `source.txId` does: a savepoint's
changes carry the id of the transaction around it. Snapshots hold 64-bit ids; the logical decoding
stream, and so Debezium's `source.txId`, holds their lower 32 bits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_LOWER = 0xFFFF_FFFF
_HALF = 1 << 31
# An id of 32 bits comes round again after four billion transactions. What was committed this long
# before the snapshot was seen by it whatever its id looks like; the hour is far more than a commit
# takes from its timestamp to being visible, and far less than two billion transactions take.
CERTAINLY_SEEN = timedelta(hours=1)


@dataclass(frozen=True)
class Snapshot:
    """What the source showed at `taken_at` (its own clock); no commit it saw lies above `lsn`."""

    xmax: int
    running: frozenset[int]
    lsn: int
    taken_at: datetime

    @classmethod
    def parse(cls, text: str, lsn: int, taken_at: datetime) -> Snapshot:
        """Read pg_current_snapshot(), `xmin:xmax:xip,xip,…`; ValueError for anything else."""
        match = re.fullmatch(r"\d+:(\d+):((?:\d+(?:,\d+)*)?)", text)
        if match is None:
            raise ValueError(f"{text!r} is not a Postgres snapshot (xmin:xmax:xip_list)")
        running = frozenset(int(xid) for xid in match[2].split(",") if xid)
        return cls(int(match[1]), running, lsn, taken_at)

    @property
    def position(self) -> str:
        """`lsn` as Postgres writes it, e.g. 0/16B3748."""
        return written(self.lsn)

    def unseen_sql(self, floor: int) -> str:
        """ClickHouse condition on a row of X_history or X_final: its change came later.

        `floor` is the version of the last load that was finished before the snapshot. A row of an
        initial load (operation `r`) belongs to no change: it is seen if its load was finished.
        """
        since = int((self.taken_at - CERTAINLY_SEEN).timestamp() * 1000)
        recent = f"source_ts_ms > fromUnixTimestamp64Milli(toInt64({since}), 'UTC')"
        ahead = f"bitAnd(toInt64(_txid) - {self.xmax & _LOWER}, {_LOWER}) < {_HALF}"
        running = ", ".join(str(xid & _LOWER) for xid in sorted(self.running))
        among = f" OR bitAnd(_txid, {_LOWER}) IN ({running})" if running else ""
        return f"if(operation = 'r', _version > {version(floor)}, {recent} AND ({ahead}{among}))"


def version(number: int) -> str:
    """A `_version` in ClickHouse: as a plain number, more than 64 bits would be a fraction."""
    return f"toUInt128('{number}')"


def written(lsn: int) -> str:
    """A log position as Postgres writes it, e.g. 0/16B3748."""
    return f"{lsn >> 32:X}/{lsn & _LOWER:X}"


def lsn(position: str) -> int:
    """The log position that `written` wrote."""
    high, low = position.split("/")
    return (int(high, 16) << 32) + int(low, 16)
