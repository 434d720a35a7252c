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
CREATE TABLE shop.toasted (id int PRIMARY KEY, n int, t text, j jsonb, b bytea);
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
