"""What a captured Postgres table becomes in ClickHouse: pure functions, no connection is kept."""
