"""`./cdc`: the operator's commands. Each says what it does, shows progress, fails in one line."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import psycopg
import requests
import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException
from pydantic import BaseModel
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from catalog.objects import replay_statement
from ops import dead_letters as dead
from ops import doctor as machine
from ops import engine, parity, sample, suites, workload
from ops import report as reports
from ops import status as state
from ops.backfill import resync as again
from ops.backfill.errors import BackfillError
from ops.bench import run as bench
from ops.bench import tables as figures
from ops.bench.model import Bench, BenchError, Section
from ops.bench.sizes import FULL, QUICK
from ops.deploy import deploy, destroy
from ops.parts import MissingPart
from ops.parts_maven import FetchError
from ops.parts_report import terminal
from ops.progress import Progress
from ops.stack import Deployed, StackError, WrongUse, declared_runtime, must_be_known
from ops.verify import VerificationError
from providers.base import ProviderError

app = typer.Typer(
    help="Change data capture from Postgres to ClickHouse, and the proof that it is right.",
    epilog="Start with `./cdc up`. Then: ./cdc load --seconds 60, ./cdc verify, ./cdc report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# Where there is no terminal there is no width either: tables stay whole in logs and pipes.
console = Console(width=None if sys.stdout.isatty() else 160)
errors = Console(stderr=True)

Stack = Annotated[
    str,
    typer.Option(
        "--stack", "-s", envvar="CDC_STACK", help="Which stack, by its file Pulumi.STACK.yaml."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]
Tables = Annotated[
    list[str] | None, typer.Argument(metavar="[TABLE]…", help="schema.table; all without any.")
]

EXPECTED = (
    StackError,
    BenchError,
    ProviderError,
    MissingPart,
    FetchError,
    VerificationError,
    BackfillError,
    psycopg.Error,
    ClickHouseError,
    KafkaException,
    requests.RequestException,
    OSError,
)


@app.command(
    epilog="Examples:  ./cdc up        ./cdc up --stack local --no-seed",
)
def up(
    stack: Stack = "local",
    seed: Annotated[bool, typer.Option(help="Fill the sample schema where it is empty.")] = True,
) -> None:
    """Brings the stack up, waits until data flows, and proves that it arrived.

    Fetches what the machine lacks, runs `pulumi up`, fills the sample schema (only where the stack
    declares it and it is empty), compares source and target row by row. May be repeated at any
    time: it heals a reboot and goes on where an interrupted run stopped.
    """
    began = time.monotonic()
    must_be_known(stack)
    with terminal() as report:
        engine.fetch_all(report)
    console.print(f"Stack {stack}: {deploy(stack, console)}", highlight=False)
    deployed = Deployed.read(stack)
    if deployed.sample and seed:
        _fill(deployed)
    with _bar(False) as progress:
        found = parity.prove(deployed, [], progress=progress, wait_seconds=120)
    parity.render(found, console)
    state.render(state.status(deployed), console)
    option = "" if stack == "local" else f" --stack {stack}"
    if deployed.grafana:
        console.print(
            f"Grafana's password for {deployed.grafana.user}: "
            f"pulumi stack output grafana --show-secrets{option}",
            highlight=False,
        )
    console.print(f"Up in {time.monotonic() - began:.0f} s. Worth trying next:", highlight=False)
    next_load = (
        f"./cdc load{option} --seconds 60 --rate 1000",
        "a minute of orders, changes, deletes",
    )
    next_report = (f"./cdc report{option}", "what an analyst would ask")
    next_status = (f"./cdc status{option}", "how far is each table?")
    for command, what in (
        *([next_load] if deployed.sample else []),
        (f"./cdc verify{option}", "is ClickHouse still equal to the source?"),
        next_report if deployed.sample else next_status,
    ):
        console.print(f"  {command:<48} {what}", highlight=False)
    if not all(each.equal for each in found):
        raise typer.Exit(1)


@app.command(epilog="Examples:  ./cdc down        ./cdc down --purge")
def down(
    stack: Stack = "local",
    purge: Annotated[
        bool, typer.Option("--purge", help="Also delete the stack's data and its state.")
    ] = False,
) -> None:
    """Takes the stack down (`pulumi destroy`). Data folders stay unless --purge is given."""
    console.print(destroy(stack, purge, console), highlight=False)


@app.command(epilog="Examples:  ./cdc status        ./cdc status --json | jq .tables")
def status(stack: Stack = "local", as_json: AsJson = False) -> None:
    """Shows each service's health and each table's lag. Exits 1 when something is wrong."""
    found = state.status(Deployed.read(stack))
    if as_json:
        _print_json(found)
    else:
        state.render(found, console)
    if not found.healthy:
        raise typer.Exit(1)


@app.command(
    epilog="Examples:  ./cdc verify        ./cdc verify inventory.orders --json",
)
def verify(
    tables: Tables = None,
    stack: Stack = "local",
    as_json: AsJson = False,
    max_keys: Annotated[
        int, typer.Option(min=1, help="Differing keys to list, of each kind and table.")
    ] = 20,
    wait: Annotated[
        float, typer.Option(min=1, help="Seconds that ClickHouse may take to catch up.")
    ] = 60.0,
    max_load: Annotated[
        int,
        typer.Option(min=1, max=100, help="Percent of the time to keep the databases busy."),
    ] = 100,
    threads: Annotated[
        int, typer.Option(min=1, help="Of ClickHouse; Postgres works with one process.")
    ] = 1,
) -> None:
    """Compares source and target: row count, checksum, schema, every value.

    Right while writers run: both sides are compared at one position of the source's log, or, in a
    comparison of more than a minute, each part of a table at one. Names the keys that differ.
    Exits 1 on any difference.
    """
    with _bar(as_json) as progress:
        found = parity.prove(
            Deployed.read(stack),
            tables or [],
            progress=progress,
            max_keys=max_keys,
            wait_seconds=wait,
            max_load=max_load,
            threads=threads,
        )
    if as_json:
        _print_json(found)
    else:
        parity.render(found, console)
    if not all(each.equal for each in found):
        raise typer.Exit(1)


letters = typer.Typer(
    help="The messages that could not become rows: lists, shows and replays them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(letters, name="dead-letters")
Limit = Annotated[int, typer.Option("--limit", min=1, help="Lines to show.")]


@letters.command(
    "list",
    epilog="Examples:  ./cdc dead-letters list        "
    "./cdc dead-letters list --table inventory.orders --each",
)
def list_letters(
    stack: Stack = "local",
    tables: Annotated[
        list[str] | None, typer.Option("--table", help="schema.table; may be repeated.")
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="One by one, the newest first.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Counts the letters by table and reason, or lists them one by one with their position."""
    with Deployed.read(stack).clickhouse.client() as client:
        if each:
            found = dead.letters(client, tables or [], limit)
            _print_json(found) if as_json else dead.render_letters(found, console)
        else:
            counted = dead.groups(client, tables or [])
            _print_json(counted) if as_json else dead.render_groups(counted, limit, console)


@letters.command(
    epilog="Example:  ./cdc dead-letters show postgres-server.inventory.orders/0/17 | jq .after"
)
def show(
    position: Annotated[str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET")],
    stack: Stack = "local",
    as_json: AsJson = False,
) -> None:
    """Prints one letter as it came, its reason on standard error."""
    with Deployed.read(stack).clickhouse.client() as client:
        found = dead.at(client, dead.Position.parse(position))
    if as_json:
        _print_json(found)
        return
    for each in found:
        errors.print(f"{each.table}: {each.reason}", markup=False, highlight=False)
        sys.stdout.buffer.write((each.message or b"") + b"\n")


@letters.command(
    epilog="Examples:  ./cdc dead-letters replay        ./cdc dead-letters replay inventory.orders",
)
def replay(
    tables: Tables = None, stack: Stack = "local", limit: Limit = 50, as_json: AsJson = False
) -> None:
    """Sends letters through the checks again: what is in order now becomes a row.

    The rows keep the versions they came with, so nothing newer is overwritten; it may be repeated
    at any time. What is still refused stays, with its present reason. Exits 1 if any remain.
    """
    deployed = Deployed.read(stack)
    options = {each.table: each for each in deployed.options}
    found = []
    with deployed.clickhouse.client() as client, _bar(as_json) as progress:
        chosen = deployed.chosen(tables or [])
        for done, table in enumerate(chosen):
            name = table.source.qualified
            progress("replaying", done, len(chosen))
            statement = replay_statement(table, options[name], deployed.slot_lsn)
            found.append(dead.replay(client, name, statement))
    if as_json:
        _print_json(found)
    else:
        dead.render_replayed(found, limit, console)
    if any(each.remaining for each in found):
        raise typer.Exit(1)


@app.command(
    epilog="Examples:  ./cdc load --seconds 60 --rate 1000        "
    "./cdc load --rows 100000 --mix insert,update",
)
def load(
    stack: Stack = "local",
    rate: Annotated[
        int | None, typer.Option(min=1, help="Rows a second; as many as it can without.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="How long.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="How many rows.")] = None,
    mix: Annotated[
        str, typer.Option(help="Kinds of change, comma-separated: insert,update,delete.")
    ] = "insert,update,delete",
    seed: Annotated[int, typer.Option(help="Another seed, other rows.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Writes a realistic workload into the sample schema: 30 seconds unless told otherwise."""
    kinds = set(mix.split(","))
    if unknown := kinds - set(workload.CHANGES):
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: the mix is made of {', '.join(workload.CHANGES)}",
            param_hint="--mix",
        )
    deployed = Deployed.read(stack)
    if not deployed.sample:
        raise StackError(f"stack {stack} has no sample schema to write into (cdc:sample)")
    stop = threading.Event()
    with _bar(as_json) as progress:
        result = workload.run(
            deployed.postgres.dsn,
            rate=rate,
            seconds=30.0 if seconds is None and rows is None else seconds,
            rows=rows,
            mix=kinds,  # type: ignore[arg-type]  # checked above
            seed=seed,
            progress=progress,
            stop=stop,
        )
    if as_json:
        _print_json(result)
    else:
        console.print(
            f"{result.rows:,} rows in {result.transactions:,} transactions and "
            f"{result.seconds:.1f} s ({result.rows_per_second:,.0f} rows/s): "
            f"{result.inserted:,} inserted, {result.updated:,} updated, "
            f"{result.deleted:,} deleted, {result.key_changes:,} key changes, "
            f"{result.rolled_back:,} rolled back",
            highlight=False,
        )


@app.command(epilog="Example:  ./cdc resync inventory.orders")
def resync(tables: Tables = None, stack: Stack = "local") -> None:
    """Loads tables again from the source, while everything runs.

    Readers see the rows that were there until the new ones are whole; then the table is exactly the
    source's, whatever had happened to it. One that was interrupted goes on where it stopped. Where
    the slot was lost, makes a new one first, which loads all tables.
    """
    deployed = Deployed.read(stack)
    chosen = deployed.chosen(tables or [])
    if broken := parity.slot_fault(deployed):
        console.print(broken, highlight=False)
        console.print(f"Stack {stack}: {deploy(stack, console)}", highlight=False)
        return
    with _bar(False) as progress:
        for table, done in again.resync(deployed, chosen, progress):
            console.print(
                f"{table.source.qualified}: {done.rows:,} rows loaded in {done.seconds:.1f} s "
                f"({done.copied / max(done.seconds, 0.001):,.0f} rows/s)",
                highlight=False,
            )


@app.command(epilog="Examples:  ./cdc report        ./cdc report daily_health --json")
def report(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Which; all without any.")
    ] = None,
    stack: Stack = "local",
    as_json: AsJson = False,
) -> None:
    """Runs the KPI and health queries of sql/analytics, as the read-only analyst."""
    with Deployed.read(stack).analyst.client() as client:
        found = reports.run_reports(client, names or None)
    if as_json:
        _print_json(found)
    else:
        for each in found:
            reports.render(each, console)


@app.command(
    name="bench",
    epilog="Examples:  ./cdc bench --quick        ./cdc bench --only latency --json bench.json",
)
def measure(
    stack: Stack = "local",
    quick: Annotated[
        bool, typer.Option("--quick", help="As --scale 0.1 --tables 1,10: minutes, to see it work.")
    ] = False,
    scale: Annotated[
        float, typer.Option(min=0.001, max=100, help="Rows and seconds times this.")
    ] = 1.0,
    only: Annotated[
        str, typer.Option(help=f"Which, comma-separated: {', '.join(bench.MEASUREMENTS)}.")
    ] = ",".join(bench.MEASUREMENTS),
    tables: Annotated[
        str, typer.Option(help="How many tables, one after the other, to see what grows.")
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option("--json", help="Also write the figures to this file, as they are made."),
    ] = None,
) -> None:
    """Measures the running stack: latency, throughput, initial load, and what they cost.

    On tables of its own (schema cdc_bench in the source), through a slot, a connector, topics and
    ClickHouse tables of its own beside the stack's; all of it is removed at the end, or, after a
    kill, by the next run. About 15 minutes; nothing else should work on the machine meanwhile.
    """
    names = only.split(",")
    if unknown := set(names) - set(bench.MEASUREMENTS):
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: there are {', '.join(bench.MEASUREMENTS)}",
            param_hint="--only",
        )
    sizes = QUICK if quick else FULL.scaled(scale)
    if tables:
        if not all(each.isdigit() and int(each) for each in tables.split(",")):
            raise typer.BadParameter(
                f"{tables}: write numbers like 1,10,100", param_hint="--tables"
            )
        sizes = replace(sizes, tables=tuple(map(int, tables.split(","))))

    def done(so_far: Bench, sections: list[Section]) -> None:
        for section in sections:
            figures.render(section, console)
        if file:
            file.write_text(so_far.model_dump_json(indent=2) + "\n", "utf-8")

    told = [
        *(["--quick"] if quick else []),
        *([f"--scale {scale:g}"] if scale != 1 else []),
        *([f"--only {only}"] if set(names) != set(bench.MEASUREMENTS) else []),
        *([f"--tables {tables}"] if tables else []),
    ]
    command = " ".join(["./cdc bench", *told])
    with _bar(False) as progress:
        bench.run(Deployed.read(stack), names, sizes, command, progress, done)


@app.command(epilog="Examples:  ./cdc logs connect        ./cdc logs kafka --follow")
def logs(
    service: Annotated[
        str,
        typer.Argument(
            help="postgres, kafka, connect, clickhouse; of several, kafka-1 or connect-2."
        ),
    ],
    stack: Stack = "local",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
) -> None:
    """Shows the last lines of a service's log."""
    must_be_known(stack)
    running = declared_runtime(stack)
    if service not in (known := running.logs()):
        raise WrongUse(f"no log of {service}: there are {', '.join(known) or 'none yet'}")
    running.show_log(service, lines, follow)


@app.command(epilog="Examples:  ./cdc doctor        ./cdc doctor --fix --stack dev")
def doctor(
    stack: Stack = "local",
    fix: Annotated[bool, typer.Option("--fix", help="Fetch the parts that are missing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Says what this machine has and lacks. Exits 1 when the stack needs what is missing."""
    must_be_known(stack)
    if fix:
        with terminal() as report:
            engine.fetch_all(report)
    found = machine.checks(stack)
    if as_json:
        console.print_json(json.dumps([vars(each) for each in found]))
    else:
        machine.render(found, console)
    if not all(each.ok for each in found if each.required):
        raise typer.Exit(1)


@app.command(epilog='Example:  eval "$(./cdc env)" && pulumi preview -s local')
def env() -> None:
    """Prints the shell lines after which plain `pulumi` works here."""
    for name, value in engine.environment().items():
        if os.environ.get(name) != value:
            print(f"export {name}={shlex.quote(value)}")


@app.command(epilog="Examples:  ./cdc test        ./cdc test static unit")
def test(
    tiers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TIER]…", help=f"{', '.join(suites.TIERS)}; all without any."),
    ] = None,
) -> None:
    """Runs the checks and tests that this machine can run, and names what it skipped and why."""
    unknown = set(tiers or []) - set(suites.TIERS)
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: there are {', '.join(suites.TIERS)}")
    with terminal() as report:
        engine.fetch_all(report)
    raise typer.Exit(suites.run(tiers or list(suites.TIERS), console))


def _fill(deployed: Deployed) -> None:
    with _bar(False) as progress, deployed.postgres.connect(autocommit=False) as connection:
        made = sample.seed(connection, progress=progress)
    if made:
        told = ", ".join(f"{count:,} {name}" for name, count in made.items())
        console.print(f"Sample data: {told}", highlight=False)


@contextmanager
def _bar(quiet: bool) -> Iterator[Progress]:
    """A progress bar; on stderr, so that standard output stays the answer."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=errors, transient=True, disable=quiet) as bars:
        tasks: dict[str, Any] = {}

        def progress(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield progress


def _print_json(found: BaseModel | Sequence[BaseModel]) -> None:
    if isinstance(found, BaseModel):
        print(found.model_dump_json(indent=2))
    else:
        print(json.dumps([each.model_dump(mode="json") for each in found], indent=2))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Exit status: 0 done, 1 failed or different, 2 wrong use."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if debug:
        given.remove("--debug")
    try:
        app(given, prog_name="./cdc")
    except EXPECTED as error:
        if debug:
            raise
        for line in str(error).strip().splitlines():
            # What is indented goes on from the line above: statements to be copied as they are.
            told = line if line.startswith(" ") else f"error: {line}"
            errors.print(told, markup=False, highlight=False, style="red", soft_wrap=True)
        return 2 if isinstance(error, WrongUse) else 1
    return 0
