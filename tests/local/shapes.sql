-- Tables of every shape, as test_shapes.py captures them.
CREATE SCHEMA shop;

-- Names: only case apart, quotes, spaces, dots, backslashes, reserved words, 63 bytes.
CREATE TABLE shop."Orders" (id int PRIMARY KEY, note text);
CREATE TABLE shop.orders (id int PRIMARY KEY, note text);
CREATE TABLE shop."ORDERS" (id int PRIMARY KEY, note text);
CREATE TABLE shop."order" (id int PRIMARY KEY, "select" text, "from" int, "Group" boolean);
CREATE SCHEMA "My ""Shop"" \ [1]";
CREATE TABLE "My ""Shop"" \ [1]"."Größe, x;y:z 😀 $1 {a} [red]" (
    "Id" int PRIMARY KEY, "a.b" text, "a.c" int, "a_b" text, "it's" text, "back\slash" text,
    "tick`" text, "new
line" text, "$dollar" text, "%s" int, "[bold]" text, "😀" text);
CREATE TABLE shop.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (
    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb int PRIMARY KEY, c text);

-- Columns called as the platform's are.
CREATE TABLE shop.ours (
    _version bigint, operation text, operation_ text, operation_name text, source_ts_ms bigint,
    processing_ts_ms timestamptz, _lsn int, _txid int, _deleted int, _partition int, _offset int,
    _synced_at text, _values text, _values_0 int, _keys text, _message text, _sign int, _count int,
    _row_exists int, _topic text, "_key" text, before text, after text, op text, source text,
    PRIMARY KEY (_version, operation));

-- Keys of any type.
CREATE TABLE shop.composite (
    at timestamptz, code text, n int, amount numeric(12, 3), PRIMARY KEY (code, amount, at));
CREATE TABLE shop.by_uuid (id uuid PRIMARY KEY, n int);
CREATE TABLE shop.by_bytes (id bytea PRIMARY KEY, n int);
CREATE TABLE shop.by_day (day date, yes boolean, n int, PRIMARY KEY (yes, day));
CREATE TABLE shop.by_time (t time, at timestamp, f float8, n int, PRIMARY KEY (f, t, at));
CREATE TABLE shop.by_unique (
    a int NOT NULL, "b, c" text NOT NULL, n int, d text, UNIQUE ("b, c", a));
CREATE UNIQUE INDEX a_first ON shop.by_unique (a, (d || "b, c")); -- Debezium goes on to the next

-- No key.
CREATE TABLE shop.bag (a int, b text, f float8, j jsonb, at timestamptz);

-- Partitions; the second without a key.
CREATE TABLE shop.parts (id int, region text, n int, big text, PRIMARY KEY (id, region))
    PARTITION BY LIST (region);
CREATE TABLE shop.parts_eu PARTITION OF shop.parts FOR VALUES IN ('eu');
CREATE TABLE shop.parts_us PARTITION OF shop.parts FOR VALUES IN ('us') PARTITION BY HASH (id);
CREATE TABLE shop.parts_us0 PARTITION OF shop.parts_us FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE shop.parts_us1 PARTITION OF shop.parts_us FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE shop.events (at date, what text) PARTITION BY RANGE (at);
CREATE TABLE shop.events_1 PARTITION OF shop.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');

-- Inheritance: two tables, captured each as itself.
CREATE TABLE shop.parent (id int PRIMARY KEY, n int);
CREATE TABLE shop.child (more text, PRIMARY KEY (id)) INHERITS (shop.parent);

-- Large values.
CREATE TABLE shop.toasted (id int PRIMARY KEY, n int, t text, j jsonb, b bytea, p jsonpath);
ALTER TABLE shop.toasted ALTER t SET STORAGE EXTERNAL;
CREATE TABLE shop.huge (id int PRIMARY KEY, n int, t text);

-- As pgbench -i makes them, but for its tablespace and fill factors.
CREATE TABLE pgbench_branches (bid int NOT NULL PRIMARY KEY, bbalance int, filler char(88));
CREATE TABLE pgbench_tellers (
    tid int NOT NULL PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_accounts (
    aid int NOT NULL PRIMARY KEY, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_history (
    tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));

-- Rows that are there before the tables are captured.
INSERT INTO shop."Orders" VALUES (-1, 'before');
INSERT INTO shop.orders VALUES (-1, NULL);
INSERT INTO shop."ORDERS" VALUES (-1, 'before');
INSERT INTO shop."order" VALUES (-1, 'before', -1, false);
INSERT INTO "My ""Shop"" \ [1]"."Größe, x;y:z 😀 $1 {a} [red]"
    SELECT -n, 'a.b', n, 'a_b', E'tab\tit''s\n', 'back\', '`', NULL, '$', 1, '[/]', '😀'
    FROM generate_series(1, 2) n;
INSERT INTO shop.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa VALUES (-1, 'x');
INSERT INTO shop.ours (_version, operation, operation_, _deleted, _lsn, _message, _sign)
    SELECT -n, 'before', 'other', 1, 0, 'm', -1 FROM generate_series(1, 3) n;
INSERT INTO shop.composite VALUES ('1999-12-31 23:59:59.999999+00', '', 0, -1.125);
INSERT INTO shop.by_uuid VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff', -1);
INSERT INTO shop.by_bytes VALUES ('\xdeadbeef', -1), ('\x5c4e', -2);
INSERT INTO shop.by_day VALUES ('1900-01-01', true, -1), ('2299-12-31', false, -2);
INSERT INTO shop.by_time VALUES ('00:00', '1900-01-01', -1.5e-300, -1), ('24:00', '2299-12-31', 0, 0);
INSERT INTO shop.by_unique VALUES (-1, '', -1, NULL), (-1, 'x', -1, NULL);
INSERT INTO shop.bag SELECT 1, 'same', 0.5, '{"a": [1]}', '2024-01-01 00:00:00.000001+00'
    FROM generate_series(1, 3);
INSERT INTO shop.bag VALUES (NULL, NULL, 'NaN', NULL, NULL), (NULL, NULL, 'NaN', NULL, NULL);
INSERT INTO shop.parts SELECT -n, CASE n % 2 WHEN 0 THEN 'eu' ELSE 'us' END, n
    FROM generate_series(1, 20) n;
INSERT INTO shop.events SELECT '2024-12-31', 'before' FROM generate_series(1, 4);
INSERT INTO shop.parent VALUES (-1, -1);
INSERT INTO shop.child VALUES (-1, -1, 'before');
INSERT INTO shop.toasted
    SELECT -i, 0, string_agg(md5(n::text), ''), jsonb_agg(n), decode(string_agg(md5(n::text), ''), 'hex'),
        ('$."' || string_agg(md5(n::text), '') || '"')::jsonpath
    FROM generate_series(1, 2) i, generate_series(1, 1000) n GROUP BY i;
INSERT INTO shop.huge SELECT -n, 0, string_agg(md5(i::text || n), '')
    FROM generate_series(1, 3) n, generate_series(1, 163840) i GROUP BY n;
INSERT INTO pgbench_branches VALUES (-1, 0);
INSERT INTO pgbench_accounts VALUES (-1, -1, 0, 'x');
INSERT INTO pgbench_history SELECT -1, -1, -1, n % 2, '2024-01-01' FROM generate_series(1, 10) n;
