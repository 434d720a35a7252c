"""ClickHouse in one process: the chDB engine behind ClickHouse's own HTTP protocol.

It is to a ClickHouse server what SQLite is to a database server: the same engine, tables and
SQL, one process, one data directory. `docs/embedded-clickhouse.md` says what differs.
"""
