"""Tables of every kind and name as the source has them, on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from catalog.introspect import capturable, describe, replica_identities
from catalog.model import CaptureOptions, CatalogError
from providers.base import ProviderError
from providers.postgres import connected
from providers.publication import PublicationProvider
from providers.source_table import SourceTableProvider
from tests.providers.conftest import Services

SCHEMA = """
CREATE SCHEMA "Odd ones";
CREATE TABLE "Odd ones"."Größe ""x"" \\" (id int PRIMARY KEY, "a.b" text);
CREATE TABLE "Odd ones".plain (id int PRIMARY KEY);
CREATE TABLE "Odd ones".composite (b text, a uuid, c numeric(5,2), PRIMARY KEY (c, a));
CREATE TABLE "Odd ones".keyless (
    a int NOT NULL, b text NOT NULL, c int, d int NOT NULL, e int NOT NULL, f int NOT NULL);
CREATE UNIQUE INDEX ON "Odd ones".keyless (b, a) INCLUDE (c);
CREATE UNIQUE INDEX ON "Odd ones".keyless (c);
CREATE UNIQUE INDEX ON "Odd ones".keyless (d) WHERE d > 0;
CREATE UNIQUE INDEX ON "Odd ones".keyless (abs(e));
ALTER TABLE "Odd ones".keyless ADD UNIQUE (f) DEFERRABLE;
CREATE TABLE "Odd ones".quoted (a int, "q"" x" int NOT NULL);
CREATE UNIQUE INDEX b_quote ON "Odd ones".quoted ("q"" x");
CREATE TABLE "Odd ones".quoted_later (LIKE "Odd ones".quoted);
CREATE UNIQUE INDEX c_before ON "Odd ones".quoted_later (a, "q"" x") INCLUDE ("q"" x") WHERE a > 0;
CREATE TABLE "Odd ones".quoted_primary (LIKE "Odd ones".quoted, PRIMARY KEY (a) DEFERRABLE);
CREATE UNIQUE INDEX a_quote ON "Odd ones".quoted_primary ("q"" x");
CREATE TABLE "Odd ones".computed (a int, b int, c text);
CREATE UNIQUE INDEX d1 ON "Odd ones".computed (lower(c));
CREATE UNIQUE INDEX d2 ON "Odd ones".computed ((c || 'x'));
CREATE UNIQUE INDEX d3 ON "Odd ones".computed (a, b, (b + 1));
CREATE TABLE "Odd ones".computed_first (LIKE "Odd ones".computed);
CREATE UNIQUE INDEX e1 ON "Odd ones".computed_first (a);
CREATE UNIQUE INDEX e2 ON "Odd ones".computed_first ((b::text));
CREATE TABLE "Odd ones".computed_clustered (LIKE "Odd ones".computed);
CREATE UNIQUE INDEX f1 ON "Odd ones".computed_clustered (a);
CREATE UNIQUE INDEX f2 ON "Odd ones".computed_clustered ((b::text));
CLUSTER "Odd ones".computed_clustered USING f2;
CREATE TABLE "Odd ones".cased (a int);
CREATE UNIQUE INDEX g1 ON "Odd ones".cased ((CASE WHEN a > 0 THEN a END));
CREATE SCHEMA "odd-ones";
CREATE DOMAIN "odd-ones".int AS int;
CREATE TABLE "Odd ones".hyphen (a int);
CREATE UNIQUE INDEX h1 ON "Odd ones".hyphen ((a::"odd-ones".int));
CREATE TABLE "Odd ones".minus (a int);
CREATE UNIQUE INDEX i1 ON "Odd ones".minus ((-a));
CREATE TABLE "Odd ones".parent (id int PRIMARY KEY);
CREATE TABLE "Odd ones".child (more text, PRIMARY KEY (id)) INHERITS ("Odd ones".parent);
CREATE TABLE "Odd ones".parts (id int, region text, PRIMARY KEY (id, region))
    PARTITION BY LIST (region);
CREATE TABLE "Odd ones"."parts eu" PARTITION OF "Odd ones".parts FOR VALUES IN ('eu');
CREATE TABLE "Odd ones".parts_rest PARTITION OF "Odd ones".parts DEFAULT PARTITION BY HASH (id);
CREATE TABLE "Odd ones".parts_rest0 PARTITION OF "Odd ones".parts_rest
    FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE UNLOGGED TABLE "Odd ones".unlogged (id int PRIMARY KEY);
CREATE TABLE "Odd ones".half (id int PRIMARY KEY) PARTITION BY HASH (id);
CREATE UNLOGGED TABLE "Odd ones".half0 PARTITION OF "Odd ones".half
    FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE VIEW "Odd ones".a_view AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW "Odd ones".a_matview AS SELECT 1 AS id;
CREATE SEQUENCE "Odd ones".a_sequence;
CREATE TYPE "Odd ones".a_type AS (id int);
"""
NAMED = 'Odd ones.Größe "x" \\'


@pytest.fixture
def sql(services: Services) -> Iterator[psycopg.Connection[Any]]:
    with services.sql() as conn:
        conn.execute(SCHEMA)
        try:
            yield conn
        finally:
            conn.execute('DROP SCHEMA "Odd ones", "odd-ones" CASCADE')


@pytest.mark.parametrize(
    ("table", "key", "found"),
    [
        (NAMED, None, ("id",)),
        ("Odd ones.composite", None, ("c", "a")),
        ("Odd ones.keyless", None, ()),
        ("Odd ones.keyless", ("a", "b"), ("a", "b")),
        ("Odd ones.parent", None, ("id",)),
        ("Odd ones.parts", None, ("id", "region")),
    ],
)
def test_a_tables_key_is_its_primary_key_or_the_one_asked_for(
    sql: psycopg.Connection[Any], table: str, key: tuple[str, ...] | None, found: tuple[str, ...]
) -> None:
    described = describe(sql, table, key)
    assert (described.qualified, described.key) == (table, found)
    assert described.partitioned == (table == "Odd ones.parts")


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        ("Odd ones.PLAIN", None, "there is no table Odd ones.PLAIN"),
        ("Odd ones.unlogged", None, "unlogged or temporary"),
        ("Odd ones.half", None, "partition, Odd ones.half0, that is unlogged or temporary"),
        ("Odd ones.a_view", None, "is a view: capture the tables it reads"),
        ("Odd ones.a_matview", None, "is a materialized view"),
        ("Odd ones.a_sequence", None, "is a sequence"),
        ("Odd ones.a_type", None, "is a composite type"),
        ("Odd ones.keyless_b_a_c_idx", None, "is an index"),
        ("Odd ones.keyless", ("z",), "`key` names z, which is no column"),
        ("Odd ones.keyless", ("a",), "no unique index"),
        ("Odd ones.keyless", ("a", "b", "c"), "no unique index"),
        ("Odd ones.keyless", ("c",), "only NOT NULL columns"),
        ("Odd ones.keyless", ("d",), "no unique index"),
        ("Odd ones.keyless", ("e",), "no unique index"),
        ("Odd ones.keyless", ("f",), "no unique index"),
    ],
)
def test_what_cannot_be_captured_is_refused_with_a_sentence(
    sql: psycopg.Connection[Any], table: str, key: tuple[str, ...] | None, said: str
) -> None:
    with pytest.raises(CatalogError) as error:
        describe(sql, table, key)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("table", "key", "misread"),
    [
        (
            "quoted",
            None,
            'b_quote for the key, for there is no primary key, and misreads q"" x in it',
        ),
        ("quoted", ('q" x',), "b_quote for"),
        ("quoted_later", None, "c_before for"),
        ("quoted_primary", None, None),
        ("computed", None, None),
        ("computed_first", None, None),
        ("computed_clustered", None, "misreads ((b)::text) in it"),
        ("cased", None, "misreads ( CASE WHEN (a > 0) THEN a ELSE NULL::integer END) in it"),
        ("hyphen", None, 'misreads ((a)::"odd-ones"."int") in it'),
        ("minus", None, None),
    ],
)
def test_a_unique_index_that_stops_debezium_is_refused(
    sql: psycopg.Connection[Any], table: str, key: tuple[str, ...] | None, misread: str | None
) -> None:
    """What its PostgresConnection.readTableUniqueIndices gave for these indexes, tried by hand."""
    options = CaptureOptions(table=f"Odd ones.{table}", key=key)
    # `verify` asks it of a table whose index was made later, which streams until the next start.
    seen = describe(sql, options.table, options.key)
    if misread is None:
        assert capturable(sql, options) == seen
    else:
        with pytest.raises(CatalogError) as error:
            capturable(sql, options)
        assert misread in str(error.value)
        assert "\n" not in str(error.value)


def _props(services: Services, table: str) -> dict[str, Any]:
    return {
        "connection": services.postgres,
        "table": table,
        "options": CaptureOptions(table=table).model_dump_json(),
        "identity": "FULL",
        "described": None,
        "previous": None,
    }


def test_every_partition_gets_the_full_identity_and_its_own_back(
    services: Services, sql: psycopg.Connection[Any]
) -> None:
    sql.execute(
        'ALTER TABLE "Odd ones".parts_rest0 REPLICA IDENTITY USING INDEX parts_rest0_pkey;'
        'ALTER TABLE "Odd ones"."parts eu" REPLICA IDENTITY NOTHING'
    )
    before = replica_identities(sql, "Odd ones.parts")
    assert before == {
        '"Odd ones"."parts"': "DEFAULT",
        '"Odd ones"."parts eu"': "NOTHING",
        '"Odd ones"."parts_rest"': "DEFAULT",
        '"Odd ones"."parts_rest0"': "USING INDEX parts_rest0_pkey",
    }
    provider, props = SourceTableProvider(), _props(services, "Odd ones.parts")
    outs = provider.create(props).outs
    assert outs is not None
    assert set(replica_identities(sql, "Odd ones.parts").values()) == {"FULL"}
    assert not provider.diff("parts", outs, props).changes

    # Detached since: it is no longer of the family, and gets its identity back all the same.
    sql.execute('ALTER TABLE "Odd ones".parts DETACH PARTITION "Odd ones"."parts eu"')
    provider.delete("parts", outs)
    after = replica_identities(sql, "Odd ones.parts") | replica_identities(sql, "Odd ones.parts eu")
    assert after == before


def test_a_partition_made_later_is_seen_and_healed(
    services: Services, sql: psycopg.Connection[Any]
) -> None:
    provider, props = SourceTableProvider(), _props(services, "Odd ones.parts")
    outs = provider.create(props).outs
    assert outs is not None
    sql.execute(
        'CREATE TABLE "Odd ones".parts_us PARTITION OF "Odd ones".parts FOR VALUES IN (\'us\')'
    )
    assert provider.diff("parts", outs, props).changes
    seen = provider.read("parts", outs).outs
    assert seen is not None
    assert seen["identity"] == '"Odd ones"."parts_us": DEFAULT'
    assert provider.changed(seen, props) == ["identity"]
    healed = provider.update("parts", seen, props).outs
    assert healed is not None
    assert set(replica_identities(sql, "Odd ones.parts").values()) == {"FULL"}
    assert not provider.diff("parts", healed, props).changes
    provider.delete("parts", healed)
    assert set(replica_identities(sql, "Odd ones.parts").values()) == {"DEFAULT"}


def _publication(services: Services, *tables: str) -> dict[str, Any]:
    return {
        "connection": services.postgres,
        "publication": "pub_shapes",
        "tables": sorted(tables),
        "whole": True,
        "mark": "cdc stack test",
        "prepared": False,
    }


def test_the_publication_takes_partitions_as_their_table_and_no_heirs(
    services: Services, sql: psycopg.Connection[Any]
) -> None:
    provider = PublicationProvider()
    props = _publication(services, NAMED, "Odd ones.parent", "Odd ones.parts", "Odd ones.keyless")
    created = provider.create(props).outs
    assert created is not None
    published = sql.execute(
        "SELECT tablename FROM pg_publication_tables WHERE pubname = 'pub_shapes' ORDER BY 1"
    ).fetchall()
    assert {name for (name,) in published} == {'Größe "x" \\', "parent", "parts", "keyless"}
    seen = provider.read("pub_shapes", created).outs
    assert seen is not None
    assert not provider.changed(seen, props)
    sql.execute("ALTER PUBLICATION pub_shapes SET (publish_via_partition_root = false)")
    drifted = provider.read("pub_shapes", created).outs
    assert drifted is not None
    assert provider.changed(drifted, props) == ["whole"]
    assert provider.update("pub_shapes", drifted, props).outs == created
    provider.delete("pub_shapes", props)


def test_a_table_and_its_own_partition_are_not_captured_both(
    services: Services, sql: psycopg.Connection[Any]
) -> None:
    del sql
    both = _publication(services, "Odd ones.parts", "Odd ones.parts_rest0")
    with pytest.raises(ProviderError, match=r"parts_rest0 is a partition of Odd ones\.parts"):
        PublicationProvider().create(both)
    with connected(services.postgres) as conn:
        assert conn.execute(
            "SELECT count(*) FROM pg_publication WHERE pubname = 'pub_shapes'"
        ).fetchone() == (0,)
