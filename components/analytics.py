"""What analysts find ready beside the captured tables, made from sql/clickhouse/reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pulumi

from catalog.reference import reference_objects
from components.clickhouse import ClickHouse

REFERENCE = Path(__file__).parent.parent / "sql" / "clickhouse" / "reference"


class Analytics(pulumi.ComponentResource):
    """`orders_hourly_agg` and `unified_analytics`: for stacks that capture the inventory schema."""

    def __init__(
        self,
        name: str,
        clickhouse: ClickHouse,
        opts: pulumi.ResourceOptions | None = None,
        *,
        after: Sequence[pulumi.Resource],
    ) -> None:
        super().__init__("cdc:tier:Analytics", name, None, opts)
        clickhouse.declare(
            f"{name}-objects",
            objects=clickhouse.shaped(reference_objects(REFERENCE)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )
        self.register_outputs({})
