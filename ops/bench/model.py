"""The figures of one run, as they are written to a file."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

Cell = str | int | float | None


class BenchError(Exception):
    """A measurement could not be made; one sentence: what is wrong, and what to do."""


class Column(BaseModel):
    """A column of figures and the unit they are in."""

    model_config = ConfigDict(frozen=True)

    name: str
    unit: str = ""

    @property
    def heading(self) -> str:
        return f"{self.name}, {self.unit}" if self.unit else self.name


class Section(BaseModel):
    """One measurement. method: how the figures came about, and what they leave out."""

    name: str
    title: str
    method: str
    columns: list[Column]
    rows: list[list[Cell]]
    seconds: float = 0.0


class Machine(BaseModel):
    """Where it was measured. load: of the last minute, before the run."""

    processor: str
    cores: int
    memory_gib: float
    kernel: str
    system: str
    python: str
    load: float


class Bench(BaseModel):
    """A run. stack: what was set, by the settings' own names. command: how it was called."""

    command: str
    at: datetime
    seconds: float
    machine: Machine
    stack: dict[str, str]
    sections: list[Section]


def columns(*names: str) -> list[Column]:
    """From `name` and `name, unit`."""
    return [
        Column(name=name.split(", ")[0], unit=", ".join(name.split(", ")[1:])) for name in names
    ]
