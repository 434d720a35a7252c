"""The reports of sql/analytics: run against ClickHouse, shown as tables or given as data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops import places

FOLDER = places.project() / "sql" / "analytics"


class Report(BaseModel):
    """One report's answer. `name` is its file's, `rows` hold ClickHouse's values by column."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[Any]]


class _Result(Protocol):
    @property
    def column_names(self) -> Sequence[str]: ...

    @property
    def result_rows(self) -> Sequence[Sequence[Any]]: ...


class Client(Protocol):
    """What is used of a clickhouse_connect client."""

    def query(self, query: str) -> _Result:
        """Run one SELECT."""


def available() -> dict[str, str]:
    """Title by name of the reports there are; the title is the first comment of the file."""
    return {
        path.stem: path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("-- ")
        for path in sorted(FOLDER.glob("*.sql"))
    }


def run_reports(client: Client, names: Collection[str] | None = None) -> list[Report]:
    """Run the named reports, or all, in the order of their names.

    Raises ValueError for a name there is no report of, and the client's errors.
    """
    titles = available()
    unknown = sorted(set(names or ()) - titles.keys())
    if unknown:
        raise ValueError(f"no report {', '.join(unknown)}: there are {', '.join(titles)}")
    reports = []
    for name, title in titles.items():
        if names is None or name in names:
            result = client.query((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
            reports.append(
                Report(
                    name=name,
                    title=title,
                    columns=list(result.column_names),
                    rows=[list(row) for row in result.result_rows],
                )
            )
    return reports


def render(report: Report, console: Console) -> None:
    """Print a report as a table; a report without rows says so."""
    if not report.rows:
        console.print(Text(f"{report.title}: no rows"))
        return
    table = Table(title=Text(report.title), title_justify="left")
    for place, name in enumerate(report.columns):
        text = any(isinstance(row[place], str) for row in report.rows)
        table.add_column(
            name.replace("_", " "), justify="left" if text else "right", overflow="fold"
        )
    for row in report.rows:
        # Text, because data that holds [brackets] must not be read as markup.
        table.add_row(*(Text("" if value is None else _shown(value)) for value in row))
    console.print(table)


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
