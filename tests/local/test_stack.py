"""The embedded stack as its user has it: `./cdc` from a clone, end to end; in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.bench.model import Bench
from ops.bench.run import MEASUREMENTS
from ops.stack import Deployed
from platforms.supervisor import Supervisor
from providers.base import until
from tests.checkout import Checkout, checkout, equal, kill_group
from tests.left_behind import everything

SAMPLE = {"inventory.customers": 1_000, "inventory.products": 200, "inventory.orders": 20_000}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with checkout(tmp_path_factory.mktemp("clone")) as copy:
        yield copy


@pytest.fixture
def deployed(project: Checkout) -> Deployed:
    return project.deployed()


def test_wrong_use_says_what_to_do_and_exits_2(project: Checkout) -> None:
    for arguments, told in (
        (("up", "--stack", "nowhere"), "no Pulumi.nowhere.yaml"),
        (("load", "--mix", "upsert"), "insert, update, delete"),
        (("load", "--rate", "0"), "--rate"),
        (("bench", "--only", "speed"), "latency, throughput"),
        (("bench", "--tables", "0"), "--tables"),
        (("fly",), "fly"),
        (("test", "everything"), "there are static"),
    ):
        done = project.cdc(*arguments)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert told in done.stderr, arguments
        assert "Traceback" not in done.stderr


def test_before_up_every_command_says_that_the_stack_is_not_up(project: Checkout) -> None:
    for command in ("status", "verify", "report", "load"):
        done = project.cdc(command)
        assert done.returncode == 1
        assert "run `./cdc up" in done.stderr, command


def test_up_ends_with_a_filled_and_proven_stack(project: Checkout) -> None:
    done = project.cdc("up")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "./cdc load" in done.stdout
    reports = project.verified()
    assert equal(reports)
    rows = {report["table"]: report["source_rows"] for report in reports}
    assert all(rows[table] >= count for table, count in SAMPLE.items()), rows


def test_status_names_every_service_with_its_memory_and_every_table(project: Checkout) -> None:
    done = project.cdc("status", "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    services = {each["name"]: each for each in status["services"]}
    assert set(services) == {"postgres", "kafka", "connect", "clickhouse"}
    assert all(each["healthy"] and each["memory_mb"] > 10 for each in services.values())
    assert len(status["tables"]) == 5
    assert all(each["dead_letters"] == 0 for each in status["tables"])


def test_a_changed_a_missing_and_an_added_row_are_named(
    project: Checkout, deployed: Deployed
) -> None:
    with deployed.clickhouse.client() as client:
        for statement in (
            "ALTER TABLE inventory.customers_final UPDATE last_name = 'Wrong' WHERE id = 11",
            "ALTER TABLE inventory.customers_final DELETE WHERE id = 12",
            "INSERT INTO inventory.customers_final SELECT * REPLACE(999999 AS id, "
            "'nobody@example.com' AS email) "
            "FROM (SELECT * FROM inventory.customers_final WHERE id = 13)",
        ):
            client.command(statement, settings={"mutations_sync": 2})
    done = project.cdc("verify", "inventory.customers", "--json")
    assert done.returncode == 1
    (report,) = json.loads(done.stdout)
    assert not report["equal"]
    assert [row["key"] for row in report["different"]] == [{"id": "11"}]
    (column,) = report["different"][0]["columns"]
    assert (column["column"], column["target"]) == ("last_name", "Wrong")
    assert report["missing"] == [{"id": "12"}]
    assert report["extra"] == [{"id": "999999"}]

    # Put right by changing the rows in the source, as any change would.
    with deployed.postgres.connect() as connection:
        connection.execute("UPDATE inventory.customers SET last_name = last_name WHERE id < 14")
    with deployed.clickhouse.client() as client:
        client.command(
            "ALTER TABLE inventory.customers_final DELETE WHERE id = 999999",
            settings={"mutations_sync": 2},
        )
    assert equal(project.verified())


def test_truncate_empties_the_target_and_later_rows_arrive(
    project: Checkout, deployed: Deployed
) -> None:
    with deployed.postgres.connect() as connection:
        connection.execute("TRUNCATE inventory.shipments")
        assert equal(project.verified())
        connection.execute("UPDATE inventory.orders SET status = 'CONFIRMED' WHERE id = 1")
    assert project.cdc("load", "--rows", "3000", "--json").returncode == 0
    reports = {report["table"]: report for report in project.verified()}
    assert equal(list(reports.values()))
    assert 0 < reports["inventory.shipments"]["source_rows"] < 3000


def test_verify_is_right_while_writers_run(project: Checkout) -> None:
    load = project.start(*project.command("load", "--seconds", "40", "--rate", "500"))
    try:
        for _ in range(3):
            assert equal(project.verified())
    finally:
        load.terminate()
        load.wait()


def test_reports_answer_as_the_read_only_analyst(project: Checkout) -> None:
    done = project.cdc("report", "--json")
    assert done.returncode == 0, done.stderr
    reports = {each["name"]: each for each in json.loads(done.stdout)}
    assert reports["daily_health"]["rows"]
    assert reports["kpi_order_status"]["rows"]


def test_bench_measures_and_leaves_nothing_behind(
    project: Checkout, deployed: Deployed, tmp_path: Path
) -> None:
    before = everything(deployed)
    # One that is killed in the middle leaves what it made; nobody else may measure meanwhile.
    killed = project.start(*project.command("bench", "--scale", "0.002", "--only", "latency"))
    try:
        until(lambda: everything(deployed)["connectors"] > before["connectors"], 60, "a lane")
        second = project.cdc("bench", "--only", "idle")
        assert second.returncode == 1
        assert "another `./cdc bench`" in second.stderr
    finally:
        kill_group(killed)
    file = tmp_path / "bench.json"
    options = ("--scale", "0.002", "--tables", "1,2", "--json", str(file))
    done = project.cdc("bench", *options, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr
    sections = {each.name: each for each in Bench.model_validate_json(file.read_text()).sections}
    assert sections.keys() >= MEASUREMENTS.keys()
    for section in sections.values():
        assert section.rows, section.name
        for row in section.rows:
            assert len(row) == len(section.columns), section.name
            assert any(isinstance(cell, int | float) and cell > 0 for cell in row), section.name
    names = [column.name for column in sections["latency"].columns]
    for row in sections["latency"].rows:
        p50, p95, p99, most = (row[names.index(name)] for name in ("p50", "p95", "p99", "max"))
        assert 0 < p50 <= p95 <= p99 <= most  # type: ignore[operator]  # numbers, as found above
    assert [row[0] for row in sections["growth"].rows] == [1, 2]
    assert everything(deployed) == before
    assert equal(project.verified())


def test_logs_show_a_services_last_lines(project: Checkout) -> None:
    done = project.cdc("logs", "postgres", "--lines", "5")
    assert done.returncode == 0
    assert 1 <= len(done.stdout.splitlines()) <= 5
    missing = project.cdc("logs", "zookeeper")
    assert missing.returncode == 2
    assert "there are clickhouse" in missing.stderr


def test_after_a_reboot_up_brings_everything_back(project: Checkout, deployed: Deployed) -> None:
    supervisor = Supervisor(deployed.home)
    supervisor.stop()
    assert project.cdc("status").returncode == 1
    assert project.cdc("up").returncode == 0
    assert equal(project.verified())


def test_down_keeps_the_data_and_up_goes_on_with_it(project: Checkout) -> None:
    before = {report["table"]: report["source_rows"] for report in project.verified()}
    down = project.cdc("down")
    assert down.returncode == 0, down.stderr
    assert "its data stays" in down.stdout
    assert project.cdc("up").returncode == 0
    reports = project.verified()
    assert equal(reports)
    assert {report["table"]: report["source_rows"] for report in reports} == before


def test_purge_leaves_nothing(project: Checkout, deployed: Deployed) -> None:
    assert project.cdc("down", "--purge").returncode == 0
    assert not deployed.home.exists()
    assert project.cdc("down").returncode == 0, "down of what is down is no failure"
