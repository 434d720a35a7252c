"""What a verification says about a table: plain models that become JSON as they are."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

Key = dict[str, str | None]


class ColumnDifference(BaseModel):
    """One column of one row: what each side shows, None where it holds NULL."""

    column: str
    source: str | None
    target: str | None


class RowDifference(BaseModel):
    """A row both sides have, with the columns that differ."""

    key: Key
    columns: list[ColumnDifference]


class SchemaDifference(BaseModel):
    """A column of the source that the target has not, or not in the type it needs."""

    column: str
    source: str = Field(description="type in Postgres")
    target: str | None = Field(description="type in ClickHouse, None where the column is missing")
    expected: str | None = Field(description="the ClickHouse type that holds it, None if none does")


class TableReport(BaseModel):
    """Source against target for one table, as of one position in the source's log."""

    table: str
    equal: bool
    problem: str | None = Field(default=None, description="why the comparison says nothing good")
    source_rows: int = 0
    target_rows: int = 0
    checksum_source: str = ""
    checksum_target: str = ""
    missing_rows: int = Field(default=0, description="in the source only; all of them are counted")
    extra_rows: int = Field(default=0, description="in the target only; all of them are counted")
    different_rows: int = Field(default=0, description="on both sides, but not equal; all counted")
    missing: list[Key] = Field(default_factory=list, description="the first of them")
    extra: list[Key] = Field(default_factory=list, description="the first of them")
    different: list[RowDifference] = Field(default_factory=list, description="the first of them")
    schema_differences: list[SchemaDifference] = Field(default_factory=list)
    dead_letters: int = Field(default=0, description="messages of the table that could not be read")
    lag_seconds: float = Field(
        description="from the source's snapshot until the target had all of it (of several, the "
        "longest); with a problem, how long was waited in vain"
    )
    position: str = Field(description="LSN of the source that the first rows were compared at")
    last_position: str = Field(
        description="LSN of the last ones: a comparison that takes long goes on at a later position"
    )
    checked_at: datetime = Field(description="the source's time at `position`")
    age_seconds: float = Field(
        default=0.0, description="how old `position` was when the table was done"
    )
    seconds: float = Field(default=0.0, description="what comparing this table took")
