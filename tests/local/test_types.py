"""Every type and its edge values through the whole chain: loaded, inserted, updated; in order.

The source's database has settings that write values in other ways than usual (`HOSTILE`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from decimal import Decimal
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from psycopg.conninfo import conninfo_to_dict

from catalog.introspect import describe
from catalog.model import CatalogError, Column, parse_options
from catalog.names import ch_string, pg_ident
from catalog.objects import check
from catalog.types import COPY_SETTINGS
from catalog.types.registry import mappings
from ops.stack import Deployed
from tests.checkout import Checkout, checkout
from tests.local.scratch import postgres
from tests.local.type_values import GROUPS, HOSTILE, SETUP

LOADED, STREAMED, UPDATED = 0, 1_000, 2_000
Rows = dict[int, list[Any]]


class Group:
    """A table with a column for each entry: `n…` nullable, and a row for each value."""

    def __init__(self, name: str) -> None:
        self.table = f"typed.{name}"
        self.entries = GROUPS[name]
        self.values: list[tuple[int, str, bool]] = [
            (column, literal, held)
            for column, entry in enumerate(self.entries)
            for held, literals in ((True, entry.held), (False, entry.refused))
            for literal in filter(None, map(str.strip, literals.splitlines()))
        ]
        self.loaded = len(self.values)
        self.values += [
            (column, literal.strip(), True)
            for column, entry in enumerate(self.entries)
            for literal in entry.streamed.strip().splitlines()
        ]
        self.kinds = [
            "text" if entry.as_text else _BEHIND.get(entry.pg_type, entry.pg_type)
            for entry in self.entries
        ]
        self.refused = [n for n, (_, _, held) in enumerate(self.values) if not held]

    @property
    def configured(self) -> dict[str, Any]:
        texts = [f"c{n}" for n, entry in enumerate(self.entries) if entry.as_text]
        return {"table": self.table, "as_text": texts}

    def create(self) -> str:
        columns = ", ".join(f"c{n} {entry.pg_type}" for n, entry in enumerate(self.entries))
        return f"CREATE TABLE {self.table} (id int PRIMARY KEY, {columns})"

    def inserts(self, first: int) -> list[str]:
        """A row for each value, with NULL in all other columns, and one of nothing but NULLs."""
        values = self.values[: self.loaded] if first == LOADED else self.values
        return [
            *(
                f"INSERT INTO {self.table} (id, c{column}) VALUES ({first + n}, {literal})"
                for n, (column, literal, _) in enumerate(values)
            ),
            f"INSERT INTO {self.table} (id) VALUES ({first + len(values)})",
        ]

    def updates(self) -> list[str]:
        """The same values put into rows that are there."""
        count = len(self.values)
        return [
            f"INSERT INTO {self.table} (id) SELECT {UPDATED} + generate_series(0, {count - 1})",
            *(
                f"UPDATE {self.table} SET c{column} = {literal} WHERE id = {UPDATED + n}"
                for n, (column, literal, _) in enumerate(self.values)
            ),
            f"INSERT INTO {self.table} (id) VALUES (-1)",
            f"DELETE FROM {self.table} WHERE id = -1",
        ]


class Types:
    """The stack, and both sides of it."""

    def __init__(self, project: Checkout) -> None:
        self.project = project
        self.deployed: Deployed = project.deployed()

    def execute(self, *statements: str) -> None:
        with self.deployed.postgres.connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def ask(self, sql: str) -> list[list[Any]]:
        with self.deployed.clickhouse.client() as client:
            return [list(row) for row in client.query(sql).result_rows]

    def verify(self, table: str) -> dict[str, Any]:
        done = self.project.cdc("verify", table, "--json", "--wait", "180", timeout=400)
        assert done.returncode in (0, 1) and done.stdout, done.stderr
        [report] = json.loads(done.stdout)
        assert report["problem"] is None, report
        return dict(report)

    def source(self, group: Group, low: int) -> Rows:
        """All rows from id `low` on whose value can be held."""
        columns = ", ".join(_source(f"c{n}", kind) for n, kind in enumerate(group.kinds))
        refused = [low + n for n in group.refused]
        with self.deployed.postgres.connect() as connection:
            connection.execute(
                "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET extra_float_digits = 1;"
                "SET intervalstyle = 'postgres'; SET bytea_output = 'hex'"
            )
            rows = connection.execute(
                f"SELECT id, {columns} FROM {group.table} "
                f"WHERE id BETWEEN {low} AND {low + 999} AND id <> ALL (%s)".encode(),
                [refused],
            ).fetchall()
        return {row[0]: _read(group, row[1:]) for row in rows}

    def target(self, group: Group, low: int) -> Rows:
        columns = ", ".join(_target(f"c{n}", kind) for n, kind in enumerate(group.kinds))
        rows = self.ask(
            f"SELECT id, {columns} FROM {group.table} WHERE id BETWEEN {low} AND {low + 999}"
        )
        return {row[0]: _read(group, row[1:]) for row in rows}

    def letters(self, group: Group) -> list[str]:
        return [
            reason
            for (reason,) in self.ask(
                f"SELECT reason FROM cdc.dead_letters FINAL WHERE source = '{group.table}'"
            )
        ]


# An independent reading of both sides, which uses none of the rules under test.

_BEHIND = {
    "typed.high_price": "numeric",
    "typed.price[]": "numeric[]",
    "typed.ints": "int[]",
}
_FLOATS = {"real": "f", "real[]": "f", "double precision": "d", "float8[]": "d"}


def _source(column: str, kind: str) -> str:
    if kind.endswith("[]"):
        return f"to_jsonb({column}::text[])::text"
    if kind.startswith("interval"):
        return (
            f"(extract(year FROM {column}) * 12 + extract(month FROM {column}))::text || ',' || "
            f"extract(day FROM {column})::text || ',' || ((extract(hour FROM {column}) * 3600 + "
            f"extract(minute FROM {column}) * 60 + extract(second FROM {column})) * 1000000)::text"
        )
    return {
        "money": f"{column}::numeric::text",
        "extensions.hstore": f"{column}::json::text",
        "xml": f"replace({column}::text, '<?xml version=\"1.0\"?>', '')",
    }.get(kind, f"{column}::text")


def _target(column: str, kind: str) -> str:
    if kind.endswith("[]"):
        # As texts, for JSON has no word for NaN and the infinities: they would become null.
        texts = f"CAST({column}, 'Array(Nullable(String))')"
        if kind == "bytea[]":
            texts = rf"arrayMap(x -> concat('\\x', lower(hex(x))), {texts})"
        return f"if(isNull({column}), NULL, toJSONString({texts}))"
    if kind == "extensions.hstore":
        return f"if(isNull({column}), NULL, toJSONString({column}))"
    if kind.startswith("interval"):
        parts = ("months", "days", "microseconds")
        fields = [f"toString({column}.{part})" for part in parts]
        return f"concat({fields[0]}, ',', {fields[1]}, ',', {fields[2]})"
    if kind == "point":
        return f"concat('(', toString({column}.x), ',', toString({column}.y), ')')"
    return rf"concat('\\x', lower(hex({column})))" if kind == "bytea" else f"toString({column})"


def _read(group: Group, row: Any) -> list[Any]:
    return [
        None if text is None else _value(kind, text)
        for kind, text in zip(group.kinds, row, strict=True)
    ]


def _value(kind: str, text: str) -> Any:
    if kind.endswith("[]"):
        items = json.loads(text)
        return [None if item is None else _scalar(kind, item) for item in items]
    if kind == "extensions.hstore":
        return json.loads(text)
    if kind.startswith("interval"):
        return [int(Decimal(part)) for part in text.split(",")]
    if kind == "point":
        return [struct.pack(">d", float(part)) for part in text.strip("()").split(",")]
    return _scalar(kind, text)


def _scalar(kind: str, text: str) -> Any:
    if kind in _FLOATS:
        # -0 is equal to 0.
        return struct.pack(f">{_FLOATS[kind]}", float(text) + 0.0)
    kind = kind.removesuffix("[]")
    if kind.startswith(("numeric", "money")):
        return Decimal(text)
    if kind.startswith(("date", "time")) and kind != "timetz":
        text = text.removesuffix("+00")
        return text.rstrip("0").removesuffix(".") if "." in text else text
    if kind == "inet":
        return ip_interface(text)
    if kind in ("bool", "boolean"):
        return text.lower() == "true"
    return text.rstrip(" ") if kind in ("char(3)", "bpchar") else text


@pytest.fixture(scope="module")
def groups() -> list[Group]:
    return [Group(name) for name in GROUPS]


@pytest.fixture(scope="module")
def source(groups: list[Group]) -> Iterator[str]:
    """A server with all values in its tables; its DSN."""
    with postgres("inventory") as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for each in HOSTILE:
                connection.execute(f"ALTER DATABASE inventory SET {each}".encode())
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(SETUP.encode())
            for group in groups:
                for statement in (group.create(), *group.inserts(LOADED)):
                    connection.execute(statement.encode())
        yield dsn


def test_a_copied_value_is_exact_or_null(
    source: str, groups: list[Group], clickhouse: Client, tmp_path: Path
) -> None:
    """COPY into ClickHouse by the rules of each type, without a pipeline between."""
    with psycopg.connect(source, autocommit=True) as connection:
        for name, value in COPY_SETTINGS:
            connection.execute(f"SET {name} = '{value}'".encode())
        for group in groups:
            texts = group.configured["as_text"]
            columns = describe(connection, group.table, as_text=texts).columns[1:]
            ours, theirs = _both_texts(connection, clickhouse, group, columns, tmp_path)
            for n, (column, literal, held) in enumerate(group.values[: group.loaded]):
                at = (group.table, columns[column].pg_type, literal)
                assert ours[n][column] is not None, at
                assert theirs[n][column] == (ours[n][column] if held else None), at
                assert {text for c, text in enumerate(theirs[n]) if c != column} == {None}, at
            assert set(theirs[group.loaded]) == {None}


def _both_texts(
    connection: psycopg.Connection[Any],
    clickhouse: Client,
    group: Group,
    columns: Sequence[Column],
    folder: Path,
) -> tuple[list[Any], list[Any]]:
    """The canonical texts of all values, in Postgres and after a copy into ClickHouse."""
    types = mappings(group.table, columns)
    made = [(c.name, types[c.name]) for c in columns]
    texts = ", ".join(m.pg_text(pg_ident(name)) for name, m in made)
    source = f"SELECT {texts} FROM {group.table} ORDER BY id"
    copied = ", ".join(m.load.pg(pg_ident(name)) for name, m in made)
    file = folder / f"{group.table}.tsv"
    with (
        file.open("wb") as sink,
        connection.cursor() as cursor,
        cursor.copy(
            f"COPY (SELECT {copied} FROM {group.table} ORDER BY id) TO STDOUT".encode()
        ) as rows,
    ):
        for block in rows:
            sink.write(block)
    inputs = ", ".join(f"{name} Nullable({m.load.input})" for name, m in made)
    loaded = ", ".join(f"{m.load.ch(name)} AS {name}_loaded" for name, m in made)
    stored = ", ".join(
        f"CAST({m.store(f'{name}_loaded', True)}, {ch_string(m.stored(True))}) AS {name}_stored"
        for name, m in made
    )
    shown = ", ".join(m.ch_text(f"{name}_stored") for name, m in made)
    target = (
        f"SELECT {shown} FROM (SELECT {stored} FROM (SELECT {loaded} FROM "
        f"file({ch_string(str(file))}, 'TabSeparated', {ch_string(inputs)})))"
    )
    return (
        connection.execute(source.encode()).fetchall(),
        [list(row) for row in clickhouse.query(target).result_rows],
    )


@pytest.fixture(scope="module")
def types(
    source: str, groups: list[Group], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Types]:
    """A stack that captures the tables."""
    at = conninfo_to_dict(source)
    with checkout(tmp_path_factory.mktemp("clone")) as project:
        project.write(sample=False, tables=[group.configured for group in groups])
        assert project.pulumi("stack", "init", "local").returncode == 0
        project.configure(
            secret=True,
            source=f"postgresql://postgres:any@127.0.0.1:{at['port']}/inventory?sslmode=disable",
        )
        done = project.cdc("up", timeout=600)
        # Some of the values can't be held, which `up` tells as `verify` does.
        assert done.returncode == 1, done.stdout + done.stderr
        assert "dead letter" in done.stdout, done.stdout + done.stderr
        yield Types(project)


def _assert_exact(types: Types, groups: list[Group], low: int) -> None:
    for group in groups:
        report = types.verify(group.table)
        assert report["different"] == [], (group.table, report["different"])
        assert report["extra_rows"] == 0, report
        assert report["schema_differences"] == []
        source, target = types.source(group, low), types.target(group, low)
        assert len(source) >= group.loaded - len(group.refused)
        for key in sorted(source.keys() | target.keys()):
            ours, theirs = source.get(key), target.get(key)
            value = group.values[key - low] if key - low < len(group.values) else None
            assert ours == theirs, (group.table, key, value)


def test_loaded_values_are_exact(types: Types, groups: list[Group]) -> None:
    _assert_exact(types, groups, LOADED)


def test_inserted_values_are_exact(types: Types, groups: list[Group]) -> None:
    for group in groups:
        types.execute(*group.inserts(STREAMED))
    _assert_exact(types, groups, STREAMED)


def test_updated_values_are_exact(types: Types, groups: list[Group]) -> None:
    for group in groups:
        types.execute(*group.updates())
    for group in groups:
        report = types.verify(group.table)
        stale = [UPDATED + n for n in group.refused]
        source, target = types.source(group, UPDATED), types.target(group, UPDATED)
        assert {key: row for key, row in target.items() if key not in stale} == source
        # A row keeps its old value where the new one can't be held, and verify says so.
        assert report["different_rows"] == len(stale)
        assert types.ask(f"SELECT count() FROM {group.table} WHERE id = -1") == [[0]]


def test_what_cannot_be_held_is_a_dead_letter_and_named_by_verify(
    types: Types, groups: list[Group]
) -> None:
    for group in groups:
        report = types.verify(group.table)
        letters = types.letters(group)
        assert len(letters) == 3 * len(group.refused) == report["dead_letters"], letters
        for n in group.refused:
            column, literal, _ = group.values[n]
            said = [letter for letter in letters if letter.startswith(f"unreadable: c{column}=")]
            assert said, (group.table, column, literal)
        assert report["missing_rows"] == 2 * len(group.refused)
        missing = {int(row["id"]) for row in report["missing"]}
        assert missing <= {low + n for n in group.refused for low in (LOADED, STREAMED)}
        assert bool(missing) == bool(group.refused)


def test_a_new_label_of_an_enum_arrives_without_a_deployment(types: Types) -> None:
    place = [entry.pg_type for entry in GROUPS["texts"]].index("typed.mood")
    types.execute("ALTER TYPE typed.mood ADD VALUE 'brand new'")
    types.execute(f"INSERT INTO typed.texts (id, c{place}) VALUES (9000, 'brand new')")
    assert types.verify("typed.texts")["different"] == []
    assert types.ask(f"SELECT c{place} FROM typed.texts WHERE id = 9000") == [["brand new"]]


@pytest.mark.parametrize(
    ("pg_type", "as_text", "said"),
    [
        ("numeric(100,2)", False, "as_text: [v]"),
        ("regclass", False, "v (regclass): leave them out"),
        ("oidvector", False, "v (oidvector): leave them out"),
        ("int2vector", True, "v (int2vector): leave them out"),
        ("money[]", False, "as_text: [v]"),
        ("typed.ints[]", False, "as_text: [v]"),
        ("bigint", True, "`as_text` names v (bigint), of which every value is kept anyway"),
        ("typed.feeling", True, "`as_text` names v (typed.feeling)"),
    ],
)
def test_what_cannot_be_captured_is_refused_with_what_would_do(
    types: Types, pg_type: str, as_text: bool, said: str
) -> None:
    options = parse_options({"table": "typed.refused", "as_text": ["v"] if as_text else []})
    with types.deployed.postgres.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS typed.refused")
        connection.execute(f"CREATE TABLE typed.refused (id int PRIMARY KEY, v {pg_type})".encode())
        described = describe(connection, "typed.refused", as_text=options.as_text)
        with pytest.raises(CatalogError) as error:
            check(described, options)
    assert said in str(error.value)
