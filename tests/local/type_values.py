"""Edge values of every type, as SQL literals: what must arrive, and what must not."""

from __future__ import annotations

from dataclasses import dataclass

SETUP = r"""
CREATE SCHEMA extensions;
CREATE EXTENSION hstore SCHEMA extensions;
CREATE EXTENSION citext SCHEMA extensions;
CREATE EXTENSION ltree SCHEMA extensions;
CREATE EXTENSION cube SCHEMA extensions;
CREATE EXTENSION seg SCHEMA extensions;
CREATE SCHEMA typed;
CREATE TYPE typed.mood AS ENUM ('sad', 'ok', 'it''s "x", {y}');
CREATE TYPE typed.pair AS (a int, b text, c timestamptz, d float8, e bytea, f interval);
CREATE TYPE typed.floats AS RANGE (subtype = float8, multirange_type_name = typed.manyfloats);
CREATE DOMAIN typed.price AS numeric(12,2) CHECK (VALUE >= 0);
CREATE DOMAIN typed.high_price AS typed.price CHECK (VALUE >= 100);
CREATE DOMAIN typed.feeling AS typed.mood;
CREATE DOMAIN typed.ints AS int[];
CREATE DOMAIN typed.bits AS bit varying(8);
"""

# A database may have settings under which values are written in other ways, or rounded.
HOSTILE = (
    "extra_float_digits = 0",
    "bytea_output = 'escape'",
    "intervalstyle = 'iso_8601'",
    "datestyle = 'SQL, DMY'",
    "timezone = 'America/New_York'",
)


@dataclass(frozen=True)
class Values:
    """Of a column of type `pg_type`: SQL literals, one a line, that must arrive, and that can't."""

    pg_type: str
    held: str
    refused: str = ""
    as_text: bool = False
    streamed: str = ""
    """Must arrive too, but not out of Debezium's own snapshot, whose dates begin on 1582-10-25."""


GROUPS: dict[str, list[Values]] = {
    "numbers": [
        Values(
            "smallint",
            r"""
            -32768
            0
            32767
            """,
        ),
        Values(
            "integer",
            r"""
            -2147483648
            2147483647
            """,
        ),
        Values(
            "bigint",
            r"""
            -9223372036854775808
            9007199254740993
            9223372036854775807
            """,
        ),
        Values(
            "oid",
            r"""
            0
            4294967295
            """,
        ),
        Values("xid", "'4294967295'"),
        Values("xid8", "'18446744073709551615'"),
        Values(
            "numeric",
            r"""
            0
            0.000
            1.50
            -100
            1e-38
            1e37
            -99999999999999999999999999999999999999.99999999999999999999999999999999999999
            """,
            r"""
            'NaN'
            'Infinity'
            '-Infinity'
            1e38
            1e-39
            1e400::numeric
            """,
        ),
        Values(
            "numeric(10,2)",
            r"""
            -99999999.99
            0.1
            """,
            "'NaN'",
        ),
        Values(
            "numeric(76,38)",
            r"""
            99999999999999999999999999999999999999.99999999999999999999999999999999999999
            """,
        ),
        Values(
            "numeric(5,-2)",
            r"""
            1234567
            0
            -49
            50
            """,
        ),
        Values(
            "numeric(3,5)",
            r"""
            0.00999
            -0.00001
            """,
        ),
        Values(
            "numeric",
            r"""
            'NaN'
            '-Infinity'
            1e400::numeric
            1e-400::numeric
            1.50
            'Infinity'
            """,
            as_text=True,
        ),
        Values(
            "numeric(100,3)",
            r"""
            1e96
            -0.125
            'NaN'
            """,
            as_text=True,
        ),
        Values(
            "money",
            r"""
            12.34
            0
            -0.01
            '-92233720368547758.08'
            '92233720368547758.07'
            """,
        ),
        Values(
            "boolean",
            r"""
            true
            false
            """,
        ),
        Values(
            "real",
            r"""
            0.1
            'NaN'
            'Infinity'
            '-Infinity'
            '-0'
            3.4028235e38
            1e-45
            16777217
            """,
        ),
        Values(
            "double precision",
            r"""
            0.1::float8 + 0.2
            'NaN'
            'Infinity'
            '-Infinity'
            '-0'
            5e-324
            1e15
            1.7976931348623157e308
            9007199254740993
            1e22
            100
            -1e-7
            """,
        ),
        Values(
            "typed.high_price",
            r"""
            100
            9999999999.99
            """,
        ),
    ],
    "times": [
        Values(
            "date",
            r"""
            '1900-01-01'
            '1969-12-31'
            '2000-02-29'
            '2299-12-31'
            """,
            r"""
            '1899-12-31'
            '2300-01-01'
            'infinity'
            '-infinity'
            '0044-03-15 BC'
            '5874897-12-31'
            '1582-10-10'
            '1950-01-01 BC'
            """,
        ),
        Values(
            "date",
            r"""
            'infinity'
            '5874897-12-31'
            '10000-01-01'
            '2020-02-03'
            '1582-10-25'
            """,
            streamed=r"""
            '-infinity'
            '1582-10-15'
            '1582-10-10'
            '0044-03-15 BC'
            '4713-01-01 BC'
            '0001-01-01'
            '1950-01-01 BC'
            """,
            as_text=True,
        ),
        Values(
            "timestamp",
            r"""
            '1900-01-01'
            '1969-12-31 23:59:59.999999'
            '2299-12-31 23:59:59.999999'
            """,
            r"""
            '1899-12-31 23:59:59.999999'
            '2300-01-01'
            'infinity'
            '-infinity'
            '294276-12-31 23:59:59.999999'
            '1950-01-01 BC'
            '1582-10-10 01:02:03.456789'
            """,
        ),
        Values(
            "timestamp",
            r"""
            'infinity'
            '-infinity'
            '294276-12-31 23:59:59.999999'
            '1969-12-31 23:59:59.9'
            '294247-01-10 04:00:54.775807'
            '0044-03-15 12:13:14.123456 BC'
            '1582-10-10'
            '4713-11-24 BC'
            '2020-01-01 10:20:30.10'
            '9999-12-31 23:59:59.999999'
            """,
            as_text=True,
        ),
        Values("timestamp(0)", "'2020-01-01 00:00:00.6'"),
        Values(
            "timestamptz",
            r"""
            '1900-01-01Z'
            '2020-01-01 00:00:00.10001+05:30'
            '2299-12-31 23:59:59.999999Z'
            """,
            r"""
            '1899-12-31 23:59:59.999999Z'
            '2300-01-01Z'
            'infinity'
            '-infinity'
            '294276-12-31Z'
            '1950-01-01Z BC'
            """,
        ),
        Values(
            "timestamptz",
            r"""
            'infinity'
            '-infinity'
            '294276-12-31 23:59:59.999999Z'
            '2020-01-01+05:30'
            '0044-03-15 12:13:14.5Z BC'
            '0001-01-01Z BC'
            '10000-01-01Z'
            """,
            as_text=True,
        ),
        Values(
            "time",
            r"""
            '00:00'
            '24:00:00'
            '23:59:59.999999'
            """,
        ),
        Values("time(3)", "'01:02:03.4567'"),
        Values(
            "timetz",
            r"""
            '24:00:00+00'
            '23:59:59.999999-05'
            '00:00+15:59:59'
            '24:00:00-15:59'
            """,
        ),
        Values(
            "interval",
            r"""
            '1 year 2 mons 3 days 04:05:06.789012'
            '-1 year -2 mons +3 days -04:05:06.789'
            '0'
            '30 days'
            '1 mon'
            '24 hours'
            '-0.000001 s'
            '-1.605895 s'
            '1 day -1 us'
            '2147483647 mons'
            '-2147483648 days'
            '2147483647:59:59.999999'
            """,
        ),
        Values("interval day to second(3)", "'1 day 02:03:04.5678'"),
    ],
    "texts": [
        Values(
            "text",
            r"""
            ''
            'NULL'
            E'l\n\t\\ \x7f'
            'é😀'
            '\\N'
            repeat('x', 9000)
            """,
        ),
        Values(
            "varchar(5)",
            r"""
            'a '
            ''
            """,
        ),
        Values(
            "char(3)",
            r"""
            'a'
            ''
            'abc'
            """,
        ),
        Values("name", "'abc'"),
        Values(
            '"char"',
            r"""
            'a'
            ''
            '\200'
            E'\n'
            """,
        ),
        Values("bpchar", "'a  '"),
        Values("extensions.citext", "'AbC'"),
        Values(
            "extensions.ltree",
            r"""
            'a.b.c'
            ''
            """,
        ),
        Values("extensions.lquery", "'*.a'"),
        Values("uuid", "'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        Values(
            "json",
            r"""
            '{"a":1.0,  "b":[1]}'
            'null'
            ' "x"'
            """,
        ),
        Values(
            "jsonb",
            r"""
            '{"b":1.0,"a":1e100}'
            'null'
            '"\u00e9\n"'
            """,
        ),
        Values(
            "xml",
            r"""
            '<a>b</a>'
            '<?xml version="1.0"?><a/>'
            """,
        ),
        Values(
            "bytea",
            r"""
            ''
            '\x00ff5c'
            decode('5c783030', 'hex')
            """,
        ),
        Values(
            "tsvector",
            r"""
            'a:1 b:2A ''it''''s'''
            ''
            """,
        ),
        Values("tsquery", "'a & !b | (c <-> d)'"),
        Values("jsonpath", "'$.a[*] ? (@ > 1)'"),
        Values(
            "typed.mood",
            r"""
            'sad'
            'it''s "x", {y}'
            """,
        ),
        Values("typed.feeling", "'ok'"),
        Values(
            "extensions.hstore",
            r"""
            ''
            'a=>1, b=>NULL, cc=>"x\"y\\\\", d=>""'
            'é=>NULL'
            """,
        ),
    ],
    "others": [
        Values(
            "bit(1)",
            r"""
            B'0'
            B'1'
            """,
        ),
        Values("bit(12)", "B'000000000001'"),
        Values(
            "bit varying",
            r"""
            B''
            B'0'
            B'00'
            B'0000000000000001'
            """,
        ),
        Values("typed.bits", "B'001'"),
        Values(
            "inet",
            r"""
            '10.0.0.1'
            '10.0.0.1/24'
            '::1'
            '2001:db8::/32'
            """,
        ),
        Values(
            "cidr",
            r"""
            '10.0.0.0/8'
            '10.0.0.1/32'
            """,
        ),
        Values("macaddr", "'08:00:2b:01:02:03'"),
        Values("macaddr8", "'08:00:2b:01:02:03:04:05'"),
        Values(
            "int4range",
            r"""
            '(1,5]'
            'empty'
            '(,)'
            """,
        ),
        Values("int8range", "'[1,9223372036854775807)'"),
        Values(
            "numrange",
            r"""
            '[1.50,2.5]'
            '(,NaN)'
            """,
        ),
        Values(
            "tsrange",
            r"""
            '[2020-01-01,2020-02-01 00:00:00.5)'
            '[-infinity,infinity]'
            """,
        ),
        Values(
            "tstzrange",
            r"""
            '[2020-01-01 00:00+05,infinity)'
            '[2020-07-01Z,)'
            """,
        ),
        Values("daterange", "'[0044-03-15 BC,2020-02-01]'"),
        Values("typed.floats", "'[0.30000000000000004,2]'"),
        Values(
            "int4multirange",
            r"""
            '{[1,2),[5,9)}'
            '{}'
            """,
        ),
        Values("tstzmultirange", "'{[2020-01-01Z,2020-07-02Z)}'"),
        Values("typed.manyfloats", "'{[0.30000000000000004,2]}'"),
        Values(
            "typed.pair",
            r"""
            ROW(1, 'a,"b\', '2020-07-01Z', 0.1::float8 + 0.2, '\x00ff', '1 day 2:03')
            ROW(NULL, '', NULL, NULL, NULL, NULL)
            """,
        ),
        Values(
            "point",
            r"""
            '(1.5,-2)'
            '(NaN,Infinity)'
            point(0.1::float8 + 0.2, 1e300)
            """,
        ),
        Values("line", "'{1,2,3}'"),
        Values("lseg", "'[(1,2),(3,0.30000000000000004)]'"),
        Values("box", "'((1,2),(3,4e-10))'"),
        Values(
            "path",
            r"""
            '[(1,2),(3,4)]'
            '((1e15,123456789012345),(-0,5e-324))'
            '[(-60949391764722544,-2.5),(1.7976931348623157e308,-0.0001)]'
            """,
        ),
        Values("polygon", "'((1,2),(3,4),(NaN,Infinity))'"),
        Values("circle", "'<(1,2),1e-5>'"),
        Values("pg_lsn", "'16/B374D848'"),
        Values("txid_snapshot", "'10:20:10,14,15'"),
        Values("pg_snapshot", "'10:20:10,14,15'"),
        Values("tid", "'(1,2)'"),
        Values("extensions.cube", "'(1,2),(3,4)'"),
        Values("extensions.seg", "'1.0 .. 2'"),
    ],
    "arrays": [
        Values(
            "int[]",
            r"""
            '{1,NULL,-3}'
            '{}'
            '{NULL,NULL}'
            """,
            r"""
            '{{1,2},{3,NULL}}'
            '[0:1]={1,2}'
            '[2:3][0:1]={{1,2},{3,4}}'
            """,
        ),
        Values(
            "int[]",
            r"""
            '{{1,2},{3,NULL}}'
            '[0:1]={1,2}'
            '{}'
            '{1}'
            """,
            as_text=True,
        ),
        Values(
            "text[]",
            r"""
            '{}'
            ARRAY['', 'NULL', NULL, 'a,b', 'x\"\\y', '{c}', ' s ', E'l\n1\t', 'é😀']
            """,
            r"""
            '{{a,b},{c,NULL}}'
            '[0:0]={a}'
            """,
        ),
        Values("bigint[]", "'{9223372036854775807,NULL}'"),
        Values(
            "numeric[]",
            "'{1.50,NULL}'",
            r"""
            '{NaN}'
            '{{1.5},{2}}'
            '{1,Infinity}'
            """,
        ),
        Values("numeric(10,2)[]", "'{1.5,NULL}'", "'{1.5,NaN}'"),
        Values("real[]", "'{0.1,NaN,-Infinity,NULL}'"),
        Values("float8[]", "ARRAY[0.1::float8 + 0.2, 'NaN', 1e300, NULL]"),
        Values("bool[]", "'{t,f,NULL}'"),
        Values("uuid[]", "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}'"),
        Values(
            "date[]",
            "'{2020-01-01,NULL}'",
            r"""
            '{infinity}'
            '{1582-10-10}'
            """,
        ),
        Values("time[]", "'{24:00:00,23:59:59.999999,NULL}'"),
        Values("timestamp[]", "'{2020-01-01 00:00:00.123456,NULL}'", "'{infinity}'"),
        Values("timestamptz[]", "'{2020-07-01 00:00:00.5Z,NULL}'", "'{2300-01-01Z}'"),
        Values("bytea[]", r"ARRAY['\x00ff'::bytea, NULL, '']"),
        Values("char(3)[]", "'{a,NULL}'"),
        Values("name[]", "'{a,NULL}'"),
        Values("timetz[]", "'{12:00+02,NULL}'"),
        Values("interval[]", "'{1 year 2 mons -3 days 04:05:06.789012,NULL}'"),
        Values("bit(3)[]", "'{101,NULL}'"),
        Values("inet[]", "'{10.0.0.1,::1/64,NULL}'"),
        Values("xml[]", "ARRAY['<a/>'::xml, NULL]"),
        Values(
            "jsonb[]",
            r"""
            ARRAY['{"a": "x"}'::jsonb, NULL]
            """,
        ),
        Values("tstzrange[]", "ARRAY['[2020-07-01Z,)'::tstzrange, NULL]"),
        Values("int4multirange[]", "ARRAY['{[1,2)}'::int4multirange]"),
        Values("pg_lsn[]", "'{0/1,NULL}'"),
        Values(
            "typed.mood[]",
            r"""
            '{sad,NULL}'
            ARRAY['it''s "x", {y}']::typed.mood[]
            """,
        ),
        Values("typed.price[]", "'{1.5,NULL}'"),
        Values(
            "typed.ints",
            r"""
            '{1,NULL}'
            '{}'
            """,
            "'{{1}}'",
        ),
        Values(
            "typed.pair[]",
            r"""
            ARRAY[ROW(1, 'a"b', NULL, NULL, NULL, NULL)::typed.pair, NULL]
            """,
        ),
        Values("box[]", "ARRAY['((1,2),(3,0.30000000000000004))'::box, NULL, '((0,0),(1,1))']"),
        Values("point[]", "ARRAY['(1,0.30000000000000004)'::point, NULL]"),
        Values("extensions.hstore[]", "ARRAY['a=>1'::extensions.hstore, NULL]"),
    ],
}
