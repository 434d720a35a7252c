"""What reading the current rows costs: FINAL against a plain table."""

from __future__ import annotations

import time
from statistics import median

from catalog.introspect import describe
from catalog.model import CaptureOptions, capture
from catalog.names import ch_qualified, ch_string
from catalog.objects import table_objects
from ops.bench import source
from ops.bench.lane import clear
from ops.bench.model import Cell, Section, columns
from ops.bench.names import MARK, SPACE
from ops.bench.rig import Rig

TABLE = f"{SPACE}.read"
REPEATS = 5
CHANGED = 10  # one row in so many has a newer version
BLOCK = 1_000_000  # rows of an INSERT

_ROW = """
    number AS id,
    toInt32(number % 10007) AS customer_id,
    toInt32(number % 997) AS product_id,
    reinterpretAsUUID(sipHash128(number)) AS reference,
    ['PENDING', 'PAID', 'SHIPPED', 'DELIVERED'][1 + number % 4] AS status,
    toInt32(1 + number % 9) AS quantity,
    toDecimal64(number % 100000 / 100, 2) AS unit_price,
    number % 10 = 0 AS gift,
    toDate32('2024-01-01') + number % 700 AS ordered_on,
    if(number % 3 = 0, concat('Order ', toString(number), ', please leave it at the door'), NULL)
        AS note,
    toDateTime64('2024-01-01 00:00:00', 6, 'UTC') + number % 86400 AS updated_at
"""
_QUERIES = {
    "count of all rows": "SELECT count() FROM {0}",
    "sums by group, all rows": (
        "SELECT status, count(), sum(quantity * unit_price) FROM {0} GROUP BY status"
    ),
    "rows of a range of keys (1 %)": "SELECT sum(quantity) FROM {0} WHERE id BETWEEN {1} AND {2}",
    "one row by its key": "SELECT * FROM {0} WHERE id = {1}",
    "rows of a value that is no key": "SELECT count() FROM {0} WHERE customer_id = 17",
}


def measure(rig: Rig) -> list[Section]:
    """Fills the tables of a captured table directly, without the chain, and asks."""
    rows = rig.sizes.final_rows
    plain = ch_qualified(f"{SPACE}.plain")
    try:
        source.make(rig.source, [TABLE], rig.connector["database.user"])
        options = CaptureOptions(table=TABLE)
        table = capture(describe(rig.source, TABLE), options, SPACE)
        names = (table.database, table.target, f"{table.target}_final")
        rig.clickhouse.command(f"CREATE DATABASE {SPACE} COMMENT {ch_string(MARK)}")
        for each in table_objects(table, options, rig.queue, 0):
            if each.name in names:
                rig.clickhouse.command(each.create)
        final = ch_qualified(f"{table.target}_final")
        _fill(rig, final, rows)
        parts = _parts(rig, "read_final")
        before = _times(rig, table.target, rows)
        rig.clickhouse.command(
            f"CREATE TABLE {plain} ENGINE = MergeTree ORDER BY id AS "
            f"SELECT * FROM {ch_qualified(table.target)}"
        )
        alone = _times(rig, f"{SPACE}.plain", rows)
        rig.progress("merging all parts into one", 0, None)
        began = time.perf_counter()
        rig.clickhouse.command(
            f"OPTIMIZE TABLE {final} FINAL", settings={"optimize_skip_merged_partitions": 1}
        )
        merged = time.perf_counter() - began
        after = _times(rig, table.target, rows)
    finally:
        clear(rig)
    return [_section(rows, parts, merged, before, after, alone)]


def _fill(rig: Rig, final: str, rows: int) -> None:
    insert = (
        f"INSERT INTO {final} (id, customer_id, product_id, reference, status, quantity, "
        "unit_price, gift, ordered_on, note, updated_at, operation, source_ts_ms, _version) "
    )
    for first in range(0, rows, BLOCK):
        rig.progress("filling, rows", first, rows)
        count = min(BLOCK, rows - first)
        rig.clickhouse.command(
            f"{insert} SELECT {_ROW}, 'c', now64(3), 1 + number FROM numbers({first}, {count})"
        )
    # Spread over all of the keys, as updates are: every part has some that an older one has too.
    for first in range(0, rows, BLOCK * CHANGED):
        count = min(BLOCK * CHANGED, rows - first)
        rig.clickhouse.command(
            f"{insert} SELECT {_ROW}, 'u', now64(3), {rows} + 1 + number "
            f"FROM numbers({first}, {count}) WHERE number % {CHANGED} = 3"
        )


def _parts(rig: Rig, table: str) -> int:
    return int(
        rig.one(
            "SELECT count() FROM system.parts WHERE active "
            f"AND database = '{SPACE}' AND table = '{table}'"
        )
    )


def _times(rig: Rig, target: str, rows: int) -> dict[str, float]:
    """Median milliseconds of each query; the first run, which fills the caches, is left out."""
    found = {}
    for done, (what, query) in enumerate(_QUERIES.items()):
        rig.progress(f"asking {target}", done, len(_QUERIES))
        text = query.format(ch_qualified(target), rows // 2, rows // 2 + rows // 100)
        taken = []
        for _ in range(REPEATS + 1):
            began = time.perf_counter()
            rig.clickhouse.query(text)
            taken.append((time.perf_counter() - began) * 1000)
        found[what] = median(taken[1:])
    return found


def _section(
    rows: int,
    parts: int,
    merged: float,
    before: dict[str, float],
    after: dict[str, float],
    alone: dict[str, float],
) -> Section:
    lines: list[list[Cell]] = [
        [what, before[what], after[what], alone[what], before[what] / alone[what]]
        for what in _QUERIES
    ]
    return Section(
        name="clickhouse",
        title=f"Reading {rows:,} current rows",
        method=(
            f"The view of a captured table's current rows (FINAL, deleted rows left out) over "
            f"{rows:,} rows of 11 columns, one in {CHANGED} of which has a newer version, inserted "
            f"directly in blocks of {BLOCK:,}; beside it a plain MergeTree table of the same "
            f"current rows. “As it is”: {parts} part(s), as the background merges left them; "
            f"“merged”: after OPTIMIZE … FINAL, which took {merged:.1f} s. The median of "
            f"{REPEATS} questions over HTTP after one that warms the caches."
        ),
        columns=columns(
            "query",
            "view as it is, ms",
            "view merged, ms",
            "plain table, ms",
            "as it is ÷ plain",
        ),
        rows=lines,
    )
