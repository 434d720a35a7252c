"""The arithmetic and the printing of `./cdc bench`; the measuring is proven in tests/local."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.model import CaptureOptions, Column, SourceTable, capture
from catalog.objects import KafkaSettings, table_objects
from ops.bench import untuned
from ops.bench.figures import Commit, Seen, arrival, latencies, quantile, shown, used
from ops.bench.model import Bench, BenchError, Machine, Section, columns
from ops.bench.rig import queue_settings
from ops.bench.sizes import FULL, QUICK
from ops.bench.tables import markdown, put

ROOT = Path(__file__).parents[2]
TABLE = SourceTable(
    schema_="cdc_bench",
    name="x",
    columns=(
        Column(name="id", pg_type="bigint", nullable=False),
        Column(name="note", pg_type="text", nullable=True),
    ),
    key=("id",),
)


@st.composite
def _runs(draw: st.DrawFn) -> tuple[list[Commit], list[Seen]]:
    """Transactions in order, and answers each of which shows at least one id more."""
    commits, at, last = [], 0.0, 0
    for gap, inserted, updated in draw(
        st.lists(
            st.tuples(st.floats(0, 5), st.integers(1, 9), st.integers(0, 9)),
            min_size=1,
            max_size=30,
        )
    ):
        at += gap
        commits.append(Commit(at, inserted + updated, last + 1, last + inserted))
        last += inserted
    highs = sorted({*draw(st.lists(st.integers(1, last), max_size=20)), last})
    seen, asked = [], 0.0
    for high in highs:
        # An answer can't show what was not committed when it was given.
        known = max(commit.at for commit in commits if commit.first <= high)
        answered = max(asked, known) + draw(st.floats(0, 3))
        seen.append(Seen(after=asked, at=answered, high=high))
        asked = answered
    return commits, seen


@given(_runs())
def test_a_latency_runs_to_the_first_answer_that_shows_the_whole_transaction(
    made: tuple[list[Commit], list[Seen]],
) -> None:
    commits, seen = made
    for commit, found in zip(commits, latencies(commits, seen), strict=True):
        first = next(each for each in seen if each.high >= commit.last)
        assert found.rows == commit.rows
        assert found.most == first.at - commit.at
        assert found.least == max(0.0, first.after - commit.at)
        assert 0 <= found.least <= found.most


def test_a_commit_that_was_never_seen_is_no_latency() -> None:
    commits = [Commit(0.0, 1, 1, 1), Commit(1.0, 1, 2, 2)]
    with pytest.raises(ValueError, match="id 2 was committed and never seen"):
        latencies(commits, [Seen(0.5, 1.0, 1)])


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5)), min_size=1),
    st.floats(0.01, 1.0),
)
def test_a_quantile_is_that_of_the_rows_one_by_one(
    weighted: list[tuple[float, int]], share: float
) -> None:
    each = sorted(value for value, weight in weighted for _ in range(weight))
    found = quantile(weighted, share)
    assert found in each
    assert sum(value <= found for value in each) >= share * len(each)
    assert sum(value < found for value in each) < share * len(each)


def test_a_quantile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_the_steady_rate_counts_changes_between_the_first_and_the_last_answer() -> None:
    # 10 changes, 5 of them inserts: each id seen stands for two changes.
    commits = [Commit(100.0, 10, 11, 15)]
    seen = [Seen(0, 99.0, 10), Seen(99.0, 104.0, 11), Seen(104.0, 105.0, 13), Seen(105, 106.0, 15)]
    found = arrival(commits, seen, began=100.0)
    assert (found.first, found.last) == (4.0, 6.0)
    assert found.steady == pytest.approx((15 - 11) * 2 / 2.0)


def test_one_answer_that_shows_all_has_no_steady_rate() -> None:
    assert arrival([Commit(0.0, 5, 11, 15)], [Seen(0, 1.0, 15)], 0.0).steady is None


def test_what_came_before_or_after_the_commits_is_not_their_arrival() -> None:
    with pytest.raises(ValueError, match="nothing of it was seen"):
        arrival([Commit(0.0, 5, 11, 15)], [Seen(0, 1, 10), Seen(1, 2, 99)], 0.0)


def test_a_process_that_came_meanwhile_counts_from_its_start() -> None:
    assert used({"a": 1.0, "gone": 9.0}, {"a": 3.5, "new": 2.0}) == {"a": 2.5, "new": 2.0}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (1234.5, "1,234"),
        (12.345, "12.3"),
        (0.1234, "0.12"),
        (0.0, "0"),
        (None, "–"),
        ("text", "text"),
    ],
)
def test_cells_show_the_digits_that_mean_something(
    value: str | float | int | None, text: str
) -> None:
    assert shown(value) == text


def test_markdown_has_every_figure_under_its_unit_with_its_method() -> None:
    bench = Bench(
        command="./cdc bench",
        at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        seconds=600,
        machine=Machine(
            processor="a | b", cores=2, memory_gib=24, kernel="6", system="d", python="3", load=0.1
        ),
        stack={"poll.interval.ms": "20"},
        sections=[
            Section(
                name="x",
                title="Latency",
                method="How it was taken.",
                columns=columns("asked", "p50, ms", "rows"),
                rows=[["100 rows/s", 123.4, 1000], ["none", None, 0]],
            )
        ],
    )
    text = markdown(Bench.model_validate_json(bench.model_dump_json()))
    assert (
        "### Latency\nHow it was taken.\n\n| asked | p50, ms | rows |\n| --- | ---: | ---: |"
        in text
    )
    assert "| 100 rows/s | 123 | 1,000 |\n| none | – | 0 |" in text
    assert "| processor, cores | a &#124; b, 2 |" in text
    assert "| `poll.interval.ms` | 20 |" in text


def test_a_page_takes_new_figures_between_its_marks_and_keeps_the_rest() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    once = put(page, "| 1 |\n")
    assert "<!-- bench -->\n| 1 |\n<!-- /bench -->" in once
    assert put(put(once, "| 2 |\n"), "| 1 |\n") == once
    assert once.split("<!-- bench -->")[0] == page.split("<!-- bench -->")[0]
    assert once.split("<!-- /bench -->")[1] == page.split("<!-- /bench -->")[1]
    for wrong in ("no marks", page + "<!-- bench -->", page.replace("<!-- /bench -->", "")):
        with pytest.raises(BenchError, match="one line"):
            put(wrong, "")


def test_a_scaled_run_keeps_its_rates_and_enough_of_everything() -> None:
    tiny = FULL.scaled(0.000001)
    assert tiny.rates == FULL.rates
    assert tiny.tables == FULL.tables
    assert tiny.latency_seconds > 0
    assert tiny.throughput_rows > 1000
    assert QUICK.throughput_rows == FULL.throughput_rows // 10


def test_the_settings_of_a_queue_are_read_from_its_own_statement() -> None:
    [queue] = [
        each.create
        for each in table_objects(
            capture(TABLE, CaptureOptions(table=TABLE.qualified), "p"),
            CaptureOptions(table=TABLE.qualified),
            KafkaSettings("broker:1", flush_ms=70, poll_timeout_ms=30, max_block_size=5),
            0,
        )
        if each.kind == "queue"
    ]
    found = queue_settings(queue)
    assert found["kafka_broker_list"] == "broker:1"
    assert found["kafka_flush_interval_ms"] == "70"
    assert found["kafka_poll_timeout_ms"] == "30"
    assert found["kafka_max_block_size"] == "5"


def test_the_untuned_chain_is_read_through_the_deployed_view() -> None:
    options = CaptureOptions(table=TABLE.qualified)
    captured = capture(TABLE, options, "p")
    made = {
        each.name: each.create for each in untuned.objects(captured, options, KafkaSettings("b"), 0)
    }
    deployed = {
        each.name: each.create for each in table_objects(captured, options, KafkaSettings("b"), 0)
    }
    for name in ("cdc_bench.x", "cdc_bench.x_final", "cdc_bench.x_history"):
        assert made[name] == deployed[name]
    assert "flush" not in made["cdc_bench.x_queue"]
    for name in ("cdc_bench.x_final_mv", "cdc_bench.x_history_mv"):
        assert "JSONExtractInt(message, 'payload', 'after', 'id') AS `id`" in made[name]
        assert "'note'" in made[name]
