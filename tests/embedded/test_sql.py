"""How statements are split: where data starts, what is read-only, which format is asked for."""

from __future__ import annotations

import pytest

from embedded.errors import ClickHouseError
from embedded.sql import is_read, parse


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("SELECT 1 format csv ;", "csv"),
        ("SELECT 1 FORMAT TSV SETTINGS max_threads = 1", "TSV"),
        ("SELECT 1 SETTINGS max_threads = 1 FORMAT TSV", "TSV"),
        ("SELECT format FROM t", None),
        ("SELECT 'x FORMAT JSON'", None),
        ("SELECT 1 -- FORMAT JSON", None),
        ("SELECT $$ FORMAT JSON $$", None),
        ("SELECT * FROM (SELECT 1 FORMAT)", None),
        ("SHOW TABLES FORMAT /* which */ JSON", "JSON"),
    ],
)
def test_the_output_format_is_the_one_the_statement_ends_with(
    sql: str, expected: str | None
) -> None:
    assert parse(sql).output_format == expected


@pytest.mark.parametrize(
    ("head", "data"),
    [
        ("INSERT INTO t FORMAT CSV\n", "1,2\n"),
        ("INSERT INTO t FORMAT CSV ;\r\n", "1,2\n"),
        ("insert into t (a, `values`) format Native ", "\x00FORMAT\xff"),
        ("INSERT INTO `format`.`values` VALUES", " (1), ('; SELECT 1')"),
        ("INSERT INTO db.values SETTINGS async_insert = 1 FORMAT TSV\n", "FORMAT\n"),
        ("INSERT INTO FUNCTION null('a Int8') VALUES", "(1)"),
        ("INSERT /* FORMAT */ INTO t (a) -- VALUES\n VALUES", "(1)"),
        ("INSERT INTO t SELECT a FROM input('a Int8, format Int8') FORMAT TSV\n", "1\t2\n"),
        ("INSERT INTO t SELECT format FROM (SELECT * FROM Input ('x')) FORMAT CSV\n", "; SELECT"),
        ("INSERT INTO t WITH 1 AS x SELECT x, a FROM input('a Int8') FORMAT TSV\n", "1\n"),
    ],
)
def test_an_inserts_data_starts_behind_its_format(head: str, data: str) -> None:
    assert parse(head + data).data_at == len(head)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t SELECT 1 FORMAT CSV",
        "INSERT INTO t (a) WITH x AS (SELECT 1) SELECT * FROM x",
        "INSERT INTO t SELECT * FROM values('a Int8', 1)",
        "INSERT INTO t SELECT input, 'input(' FROM t FORMAT CSV",
    ],
)
def test_insert_select_has_no_data(sql: str) -> None:
    statement = parse(sql)
    assert statement.writes
    assert statement.data_at is None


@pytest.mark.parametrize(
    "sql", ["SELECT 1; SELECT 2", "SELECT 1;;DROP TABLE t", "INSERT INTO t SELECT 1; SELECT 2"]
)
def test_a_second_statement_is_refused(sql: str) -> None:
    with pytest.raises(ClickHouseError, match="Multi-statements"):
        parse(sql)


@pytest.mark.parametrize("sql", ["SELECT 1;", "SELECT ';'", "SELECT 1 -- ; SELECT 2", "(SELECT 1)"])
def test_one_statement_is_a_read_however_it_ends(sql: str) -> None:
    assert is_read(parse(sql))


@pytest.mark.parametrize(
    "sql", ["INSERT INTO t VALUES (1)", "WITH 1 AS x INSERT INTO t SELECT x", "DROP TABLE t"]
)
def test_a_write_is_no_read(sql: str) -> None:
    assert not is_read(parse(sql))
