"""Loading tables of a running stack again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from catalog.model import CapturedTable
from ops.backfill.run import Backfill, Done
from ops.backfill.target import Target
from ops.parity import position
from ops.progress import Progress
from ops.stack import Deployed
from providers.connector import standstill


def resync(
    deployed: Deployed, tables: Sequence[CapturedTable], progress: Progress
) -> Iterator[tuple[CapturedTable, Done]]:
    """Loads tables again, one after the other; each is swapped as soon as it is whole.

    Until then readers see the rows that were there. Raises BackfillError where a load can't be
    finished; the next one goes on from there.
    """
    options = {each.table: each for each in deployed.options}
    for table in tables:
        backfill = Backfill(
            table,
            options[table.source.qualified],
            deployed.postgres.connect,
            Target(deployed.clickhouse.model_dump(), table, str(deployed.slot_lsn)),
            position(deployed, [table]),
            standstill=lambda: standstill(deployed.connect.connector_url),
            workers=deployed.load_workers,
            progress=progress,
        )
        yield table, backfill.run()
