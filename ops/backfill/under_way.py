"""How far the loads are that have begun and not finished, whoever runs them, if anybody does."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client
from pydantic import BaseModel

_LOADS = """
SELECT source, sum(rows), sumIf(end - first, done) / greatest(sum(end - first), 1),
    dateDiff('second', min(began_at), max(_synced_at))
FROM (SELECT * FROM cdc.load_ranges FINAL)
WHERE (source, lsn) IN (SELECT source, max(lsn) FROM cdc.load_ranges GROUP BY source)
GROUP BY source
"""


class UnderWay(BaseModel):
    """A load. share: of the table's pages, 0 to 1. seconds_left: None before the first range."""

    rows: int
    share: float
    rows_per_second: float
    seconds_left: float | None

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", {self.seconds_left:,.0f} s left"
        return f"loading {self.share:.0%}{left}"


def under_way(client: Client) -> dict[str, UnderWay]:
    """By source table (`schema.table`); speed and time left as of the last range that was done."""
    found = {}
    for source, rows, share, seconds in client.query(_LOADS).result_rows:
        elapsed = max(float(seconds), 1.0)
        found[source] = UnderWay(
            rows=rows,
            share=share,
            rows_per_second=rows / elapsed,
            seconds_left=elapsed * (1 - share) / share if share else None,
        )
    return found
