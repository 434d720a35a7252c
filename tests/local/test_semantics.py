"""What SQL does to rows, through the real pipeline: all rows and values compared each time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.pipeline import Pipeline, capturing

SCHEMA = Path(__file__).with_name("semantics.sql")
TABLES = (
    "s.plain",
    "s.parent",
    "s.child",
    "s.other",
    "s.composite",
    "s.big",
    "s.deferred",
    "s.raced",
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    schema = SCHEMA.read_text(encoding="utf-8")
    with capturing(tmp_path_factory.mktemp("clone"), schema, TABLES) as made:
        yield made


@pytest.fixture
def pipeline(stack: Pipeline) -> Pipeline:
    """The stack, its tables filled with rows that every test may change."""
    stack.run(
        f"TRUNCATE {', '.join(TABLES)}",
        "INSERT INTO s.plain SELECT n, n, 'row ' || n FROM generate_series(1, 20) n",
        "INSERT INTO s.parent (id, note) OVERRIDING SYSTEM VALUE "
        "SELECT n, 'parent ' || n FROM generate_series(1, 5) n",
        "INSERT INTO s.child SELECT n, n % 5 + 1, 'child ' || n FROM generate_series(1, 20) n",
        "INSERT INTO s.other SELECT n, 'other ' || n FROM generate_series(1, 5) n",
        "INSERT INTO s.composite SELECT n, 'b' || n % 3, n / 4.0 FROM generate_series(1, 20) n",
        "INSERT INTO s.deferred SELECT n, 'deferred ' || n FROM generate_series(1, 9) n",
        "INSERT INTO s.raced SELECT n, n, 'raced ' || n FROM generate_series(1, 9) n",
    )
    return stack


def test_inserts_updates_and_deletes_arrive(pipeline: Pipeline) -> None:
    pipeline.run(
        "INSERT INTO s.plain VALUES (21, NULL, ''), (22, -1, NULL)",
        "UPDATE s.plain SET n = -n, note = NULL WHERE id BETWEEN 3 AND 9",
        "DELETE FROM s.plain WHERE id BETWEEN 7 AND 12",
        "UPDATE s.composite SET n = 0.01 WHERE b = 'b1'",
        "DELETE FROM s.composite WHERE b = 'b2'",
    )
    pipeline.assert_equal()


def test_a_changed_key_moves_the_row(pipeline: Pipeline) -> None:
    pipeline.run(
        "UPDATE s.plain SET id = id + 100 WHERE id <= 5",
        "UPDATE s.plain SET id = 1, note = 'moved twice' WHERE id = 102",
        "UPDATE s.composite SET b = 'b9' WHERE a = 4",
        "UPDATE s.composite SET a = 4, b = 'b1' WHERE a = 5",
    )
    pipeline.assert_equal()


def test_rows_swap_their_keys_by_way_of_a_third(pipeline: Pipeline) -> None:
    pipeline.transaction(
        "UPDATE s.plain SET id = -1 WHERE id = 1",
        "UPDATE s.plain SET id = 1 WHERE id = 2",
        "UPDATE s.plain SET id = 2 WHERE id = -1",
    )
    pipeline.assert_equal()


def test_rows_swap_their_keys_under_a_deferred_constraint(pipeline: Pipeline) -> None:
    pipeline.transaction(
        "UPDATE s.deferred SET id = 2 WHERE note = 'deferred 1'",
        "UPDATE s.deferred SET id = 1 WHERE note = 'deferred 2'",
    )
    pipeline.run("UPDATE s.deferred SET id = id + 1")
    pipeline.assert_equal()


def test_a_key_given_away_and_taken_by_two_transactions_under_a_deferred_constraint(
    pipeline: Pipeline,
) -> None:
    # The row that is inserted first is committed last: only its commit checks the key.
    with pipeline.session(autocommit=False) as late:
        late.execute("INSERT INTO s.deferred VALUES (5, 'inserted early, committed late')")
        pipeline.run("DELETE FROM s.deferred WHERE id = 5")
    pipeline.assert_equal()


def test_a_row_inserted_before_and_committed_after_its_keys_deletion_stays(
    pipeline: Pipeline,
) -> None:
    # An INSERT writes its rows to the log first and looks into the unique indexes then. Here it
    # waits between the two, and meanwhile another transaction deletes a row whose key it takes:
    # the log has the insert before the delete, and the delete's commit before the insert's.
    with pipeline.session(autocommit=False) as holder, pipeline.session() as watcher:
        holder.execute("INSERT INTO s.raced VALUES (100, 100, 'holds a slot')")
        insert = threading.Thread(
            target=pipeline.run,
            args=("INSERT INTO s.raced VALUES (5, 100, 'inserted early, committed late')",),
        )
        insert.start()
        _wait_for_lock(watcher, "inserted early")
        watcher.execute("DELETE FROM s.raced WHERE id = 5")
        holder.rollback()
        insert.join()
    with pipeline.session() as connection:
        assert connection.execute("SELECT note FROM s.raced WHERE id = 5").fetchall() == [
            ("inserted early, committed late",)
        ]
    pipeline.assert_equal()


def test_rows_copied_before_and_committed_after_their_keys_deletion_stay(
    pipeline: Pipeline,
) -> None:
    # As above with a thousand rows of one log record: COPY writes them all before their keys.
    with pipeline.session(autocommit=False) as holder, pipeline.session() as watcher:
        holder.execute("INSERT INTO s.raced VALUES (1000, 1000, 'holds a slot')")
        copy = threading.Thread(target=_copy_raced, args=(pipeline,))
        copy.start()
        _wait_for_lock(watcher, "COPY s.raced")
        watcher.execute("DELETE FROM s.raced")
        holder.rollback()
        copy.join()
        assert watcher.execute("SELECT count(*) FROM s.raced").fetchall() == [(100,)]
    pipeline.assert_equal()


def _copy_raced(pipeline: Pipeline) -> None:
    with (
        pipeline.session() as connection,
        connection.cursor().copy("COPY s.raced FROM STDIN") as copy,
    ):
        copy.write_row((2000, 1000, "waits for the slot"))
        for number in range(1, 100):
            copy.write_row((number, number + 2000, f"copied {number}"))


def _wait_for_lock(watcher: psycopg.Connection, statement: str) -> None:
    deadline = time.monotonic() + 60
    while not watcher.execute(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s",
        [f"%{statement}%"],
    ).fetchall():
        assert time.monotonic() < deadline, f"nothing waits in {statement}"
        time.sleep(0.05)


def test_truncate_removes_what_was_before_and_nothing_else(pipeline: Pipeline) -> None:
    pipeline.run("TRUNCATE s.plain", "INSERT INTO s.plain VALUES (3, 3, 'after')")
    pipeline.assert_equal("s.plain", "s.other")


def test_truncate_of_several_tables_and_of_those_that_refer_to_them(pipeline: Pipeline) -> None:
    pipeline.run("TRUNCATE s.plain, s.other")
    pipeline.assert_equal()
    pipeline.run(
        "TRUNCATE s.parent RESTART IDENTITY CASCADE",
        "INSERT INTO s.parent (note) VALUES ('the first again'), ('the second')",
        "INSERT INTO s.child VALUES (1, 1, 'child of the first')",
    )
    pipeline.assert_equal()
    with pipeline.session() as connection:
        assert connection.execute("SELECT min(id) FROM s.parent").fetchall() == [(1,)]


def test_truncate_stands_among_the_changes_of_its_transaction(pipeline: Pipeline) -> None:
    pipeline.transaction(
        "INSERT INTO s.plain VALUES (21, 21, 'before the truncate')",
        "UPDATE s.plain SET note = 'before the truncate' WHERE id < 5",
        "TRUNCATE s.plain",
        "INSERT INTO s.plain SELECT n, n, 'between' FROM generate_series(1, 9) n",
        "TRUNCATE s.plain",
        "INSERT INTO s.plain VALUES (1, 1, 'after'), (22, 22, 'after')",
        "UPDATE s.plain SET n = 0 WHERE id = 22",
    )
    pipeline.assert_equal()


def test_truncate_with_a_copy_in_one_transaction_keeps_the_copied_rows(pipeline: Pipeline) -> None:
    # The table is new in this transaction, and the rows of one COPY share one log position.
    with pipeline.session(autocommit=False) as connection:
        connection.execute("TRUNCATE s.plain")
        with connection.cursor().copy("COPY s.plain FROM STDIN (FREEZE)") as copy:
            for number in range(1, 3000):
                copy.write_row((number, None, f"copied {number}"))
    pipeline.assert_equal()


def test_a_truncate_rolled_back_never_was(pipeline: Pipeline) -> None:
    with pipeline.session(autocommit=False) as connection:
        connection.execute("TRUNCATE s.plain")
        connection.execute("INSERT INTO s.plain VALUES (1, 1, 'never')")
        connection.rollback()
    pipeline.transaction(
        "SAVEPOINT one",
        "TRUNCATE s.plain",
        "INSERT INTO s.plain VALUES (1, 1, 'never')",
        "ROLLBACK TO one",
        "UPDATE s.plain SET note = 'kept' WHERE id = 1",
    )
    pipeline.assert_equal()


def test_what_is_rolled_back_never_was(pipeline: Pipeline) -> None:
    with pipeline.session(autocommit=False) as connection:
        connection.execute("DELETE FROM s.plain")
        connection.execute("INSERT INTO s.plain VALUES (1, 1, 'never')")
        connection.rollback()
    pipeline.transaction(
        "INSERT INTO s.plain VALUES (30, 30, 'kept')",
        "SAVEPOINT one",
        "UPDATE s.plain SET n = 99 WHERE id = 30",
        "SAVEPOINT two",
        "DELETE FROM s.plain WHERE id < 10",
        "RELEASE two",
        "ROLLBACK TO one",
        "UPDATE s.plain SET note = 'kept too' WHERE id = 2",
        "SAVEPOINT three",
        "INSERT INTO s.plain VALUES (31, 31, 'kept')",
        "RELEASE three",
    )
    # An exception's block is a savepoint too.
    pipeline.run(
        "DO $$ BEGIN FOR i IN 1..40 LOOP BEGIN INSERT INTO s.plain VALUES (i, -i, 'loop');"
        " EXCEPTION WHEN unique_violation THEN UPDATE s.plain SET n = -n WHERE id = i; END;"
        " END LOOP; END $$"
    )
    pipeline.assert_equal()


def test_several_changes_of_a_row_in_one_transaction(pipeline: Pipeline) -> None:
    pipeline.transaction(
        "UPDATE s.plain SET n = 1 WHERE id = 1",
        "UPDATE s.plain SET n = 2 WHERE id = 1",
        "DELETE FROM s.plain WHERE id = 1",
        "INSERT INTO s.plain VALUES (1, 3, 'again')",
        "UPDATE s.plain SET note = 'at last' WHERE id = 1",
        "INSERT INTO s.plain VALUES (40, 1, 'made and gone')",
        "UPDATE s.plain SET id = 41 WHERE id = 40",
        "DELETE FROM s.plain WHERE id = 41",
        "DELETE FROM s.plain WHERE id = 2",
        "INSERT INTO s.plain VALUES (2, NULL, NULL)",
    )
    pipeline.assert_equal()
    with pipeline.session() as connection:
        [(lsn,)] = connection.execute(
            "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"
        ).fetchall()
    # Each of them is in the history: nothing is folded together on its way.
    changes = pipeline.ask(
        "SELECT operation FROM s.plain_history FINAL WHERE id = 1 AND _txid ="
        " (SELECT argMax(_txid, _lsn) FROM s.plain_history WHERE id = 41)"
        f" AND _lsn < {lsn} ORDER BY _version"
    )
    assert "".join(operation for (operation,) in changes) == "uudcu"


def test_statements_that_insert_or_update(pipeline: Pipeline) -> None:
    pipeline.run(
        "INSERT INTO s.plain SELECT n, n, 'new' FROM generate_series(15, 25) n"
        " ON CONFLICT (id) DO UPDATE SET n = s.plain.n + 1000, note = excluded.note",
        "INSERT INTO s.plain SELECT n, n, 'ignored' FROM generate_series(1, 30) n"
        " ON CONFLICT DO NOTHING",
        "MERGE INTO s.plain t USING (SELECT n FROM generate_series(20, 50, 3) n) f ON t.id = f.n"
        " WHEN MATCHED AND t.id % 2 = 0 THEN DELETE"
        " WHEN MATCHED THEN UPDATE SET note = 'merged'"
        " WHEN NOT MATCHED THEN INSERT VALUES (f.n, NULL, 'merged in')",
        "WITH gone AS (DELETE FROM s.plain WHERE id < 4 RETURNING *)"
        " INSERT INTO s.composite SELECT id + 1000, note, n FROM gone",
        "UPDATE s.plain SET n = p.n + 1 FROM s.plain p WHERE p.id = s.plain.id - 1",
    )
    pipeline.assert_equal()


def test_copy(pipeline: Pipeline) -> None:
    with (
        pipeline.session() as connection,
        connection.cursor().copy("COPY s.plain FROM STDIN") as copy,
    ):
        for number in range(1000, 6000):
            copy.write_row((number, number, f"tab\t newline\n backslash\\ {number}"))
    pipeline.assert_equal()


def test_prepared_statements(pipeline: Pipeline) -> None:
    with pipeline.session() as connection:
        for number in range(100, 200):
            connection.execute(
                "INSERT INTO s.plain VALUES (%s, %s, %s)", [number, None, "x"], prepare=True
            )
            connection.execute(
                "UPDATE s.plain SET n = %s WHERE id = %s", [number, number - 1], prepare=True
            )
    pipeline.assert_equal()


def test_an_update_that_changes_nothing_and_statements_that_write_no_row(
    pipeline: Pipeline,
) -> None:
    pipeline.run(
        "UPDATE s.plain SET n = n",
        "UPDATE s.plain SET id = id WHERE id = 4",
        "SELECT * FROM s.plain FOR UPDATE",
        "SELECT pg_logical_emit_message(true, 'somebody', 'else''s')",
        "VACUUM FULL s.plain",
        "CLUSTER s.plain USING plain_pkey",
        "REINDEX TABLE s.plain",
        "ANALYZE s.plain",
        "UPDATE s.plain SET note = 'after all that' WHERE id = 4",
    )
    pipeline.assert_equal()


def test_foreign_keys_actions_are_changes_like_any_other(pipeline: Pipeline) -> None:
    pipeline.run(
        "ALTER TABLE s.child DROP CONSTRAINT child_parent_fkey",
        "ALTER TABLE s.child ADD CONSTRAINT child_parent_fkey FOREIGN KEY (parent)"
        " REFERENCES s.parent ON DELETE SET NULL ON UPDATE CASCADE",
        "DELETE FROM s.parent WHERE id = 2",
        "UPDATE s.parent SET note = 'changed' WHERE id = 3",
    )
    pipeline.assert_equal()


def test_writers_that_wait_for_each_others_rows(pipeline: Pipeline) -> None:
    with pipeline.session(autocommit=False) as one, pipeline.session() as watcher:
        one.execute("UPDATE s.plain SET n = n + 100, note = 'one' WHERE id IN (1, 2)")
        other = threading.Thread(
            target=pipeline.transaction,
            args=(
                "UPDATE s.plain SET note = 'other' WHERE id = 3",
                "UPDATE s.plain SET n = n * 2 WHERE id = 1",
            ),
        )
        other.start()
        _wait_for_lock(watcher, "n = n * 2")
        one.execute("UPDATE s.plain SET note = 'one again' WHERE id = 4")
        one.commit()
        other.join()
    with pipeline.session() as connection:
        assert connection.execute("SELECT n FROM s.plain WHERE id = 1").fetchall() == [(202,)]
    pipeline.assert_equal()


def test_a_long_transaction_around_the_commits_of_others(pipeline: Pipeline) -> None:
    with pipeline.session(autocommit=False) as long, pipeline.session() as short:
        for step in range(10):
            long.execute(f"INSERT INTO s.plain VALUES ({100 + step}, {step}, 'long')".encode())
            long.execute(f"UPDATE s.plain SET n = -{step} WHERE id <= 5".encode())
            short.execute(f"UPDATE s.plain SET n = {step} WHERE id > 5 AND id < 100".encode())
            short.execute(f"INSERT INTO s.plain VALUES ({200 + step}, {step}, 'short')".encode())
            long.execute(f"DELETE FROM s.plain WHERE id = {200 + step}".encode())
    pipeline.assert_equal()


def test_two_sessions_count_one_row_up(pipeline: Pipeline) -> None:
    def count() -> None:
        with pipeline.session() as connection:
            for _ in range(300):
                connection.execute("UPDATE s.plain SET n = n + 1 WHERE id = 1")

    sessions = [threading.Thread(target=count) for _ in range(2)]
    for each in sessions:
        each.start()
    for each in sessions:
        each.join()
    pipeline.assert_equal()
    assert pipeline.ask("SELECT n FROM s.plain WHERE id = 1") == [(601,)]
    assert pipeline.ask(
        "SELECT count(), uniqExact(n) FROM s.plain_history FINAL WHERE id = 1 AND n > 1"
        " AND _version >= (SELECT max(_version) FROM s.plain_history"
        " WHERE id = 1 AND operation = 'c')"
    ) == [(600, 600)]


def test_a_prepared_transaction_counts_from_its_second_commit_on(pipeline: Pipeline) -> None:
    with pipeline.session() as connection:
        for statement in (
            "BEGIN",
            "INSERT INTO s.plain VALUES (300, 300, 'prepared')",
            "UPDATE s.plain SET n = 0 WHERE id = 1",
            "PREPARE TRANSACTION 'kept'",
            "BEGIN",
            "DELETE FROM s.plain WHERE id > 10",
            "PREPARE TRANSACTION 'dropped'",
            "UPDATE s.plain SET note = 'between' WHERE id = 2",
        ):
            connection.execute(statement.encode())
        pipeline.assert_equal()
        for statement in (
            "COMMIT PREPARED 'kept'",
            "ROLLBACK PREPARED 'dropped'",
            "UPDATE s.plain SET n = n + 1 WHERE id IN (1, 11)",
        ):
            connection.execute(statement.encode())
    pipeline.assert_equal()


def test_a_transaction_of_a_million_rows(pipeline: Pipeline) -> None:
    pipeline.transaction(
        "INSERT INTO s.big SELECT n, n % 1000 FROM generate_series(1, 500000) n",
        "UPDATE s.big SET n = -n WHERE id <= 400000",
        "DELETE FROM s.big WHERE id % 5 = 0",
    )
    pipeline.assert_equal("s.big")
    assert pipeline.ask("SELECT count(), sum(n < 0) FROM s.big") == [(400_000, 320_000)]
