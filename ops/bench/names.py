"""Under which names the bench makes what it needs."""

from __future__ import annotations

#: The schema in the source and the database in ClickHouse.
SPACE = "cdc_bench"
#: How slots, publications, connectors and topics begin. Two underscores, for a stack called
#: "bench" has the slot cdc_bench.
PREFIX = "cdc_bench__"
#: On the schema: a schema of that name without it is somebody else's.
MARK = "made by ./cdc bench, which drops it"
