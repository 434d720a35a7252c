-- Every change. A redelivery has the same key, version and month, and replaces itself.
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(source_ts_ms)
ORDER BY ($order)
