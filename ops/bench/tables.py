"""The figures as tables: on the terminal, and as Markdown, so that nobody types one.

`python -m ops.bench.tables FILE` prints what `./cdc bench --json FILE` wrote;
`python -m ops.bench.tables FILE PAGE` puts it between the marks in a page.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ops.bench.figures import shown
from ops.bench.model import Bench, BenchError, Column, Section

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


def render(section: Section, console: Console) -> None:
    """One section for people."""
    table = Table(title=f"{section.title} ({section.seconds:.0f} s)", title_justify="left")
    for column, right in zip(section.columns, _right(section), strict=True):
        table.add_column(column.heading, justify="right" if right else "left")
    for row in section.rows:
        table.add_row(*map(shown, row))
    console.print(table)
    console.print(section.method, highlight=False, markup=False)


def markdown(bench: Bench) -> str:
    """All of a run, for a page of documentation."""
    machine = bench.machine
    facts = {
        "command": f"`{bench.command}`",
        "at": f"{bench.at:%Y-%m-%d %H:%M} UTC, {bench.seconds / 60:.0f} min",
        "processor, cores": f"{machine.processor}, {machine.cores}",
        "memory": f"{machine.memory_gib:.0f} GiB",
        "system": f"{machine.system}, Linux {machine.kernel}, Python {machine.python}",
        "load of the machine before": f"{machine.load:.2f}",
        **{f"`{name}`": value for name, value in bench.stack.items()},
    }
    blank = [Column(name=""), Column(name="")]
    parts = [_table(blank, [[name, value] for name, value in facts.items()], [False, False])]
    for section in bench.sections:
        rows = [[shown(cell) for cell in row] for row in section.rows]
        table = _table(section.columns, rows, _right(section))
        parts.append(f"### {section.title}\n{section.method}\n\n{table}")
    return "\n\n".join(parts) + "\n"


def _table(columns: list[Column], rows: list[list[str]], right: list[bool]) -> str:
    rules = ["---:" if each else "---" for each in right]
    lines = [[column.heading for column in columns], rules, *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines
    )


def _right(section: Section) -> list[bool]:
    """Which columns hold numbers."""
    return [
        any(isinstance(row[i], int | float) for row in section.rows)
        for i in range(len(section.columns))
    ]


def put(page: str, text: str) -> str:
    """`page` with `text` between its marks instead of what is there.

    Raises BenchError where it has not exactly one of each.
    """
    before, began, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not began or not ended or BEGIN in rest or END in after:
        raise BenchError(f"the page needs one line {BEGIN} and, below it, one line {END}")
    return f"{before}{BEGIN}\n{text}{END}{after}"


def main(arguments: list[str]) -> str:
    """Returns what is to be printed. Raises BenchError where the page has no place for it."""
    if len(arguments) not in (1, 2):
        raise BenchError("usage: python -m ops.bench.tables FILE [PAGE]")
    text = markdown(Bench.model_validate_json(Path(arguments[0]).read_text("utf-8")))
    if len(arguments) == 1:
        return text
    page = Path(arguments[1])
    page.write_text(put(page.read_text("utf-8"), text), "utf-8")
    return f"{page} has the figures of {arguments[0]}\n"


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]), end="")
    except (BenchError, OSError) as error:
        sys.exit(f"error: {error}")
