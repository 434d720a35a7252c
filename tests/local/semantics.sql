-- The tables that test_semantics.py changes in every way Postgres has.
CREATE SCHEMA s;
CREATE TABLE s.plain (id int PRIMARY KEY, n int, note text);
CREATE TABLE s.parent (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
CREATE TABLE s.child (id int PRIMARY KEY, parent int REFERENCES s.parent, note text);
CREATE TABLE s.other (id int PRIMARY KEY, note text);
CREATE TABLE s.composite (a int, b text, n numeric(10, 2), PRIMARY KEY (a, b));
CREATE TABLE s.big (id int PRIMARY KEY, n int);

-- Two rows may have one key until the transaction ends.
CREATE TABLE s.deferred (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, note text);

-- The unique index is checked before the primary key, as the older one is.
CREATE TABLE s.raced (id int NOT NULL, slot int NOT NULL, note text);
CREATE UNIQUE INDEX raced_slot ON s.raced (slot);
ALTER TABLE s.raced ADD PRIMARY KEY (id);
