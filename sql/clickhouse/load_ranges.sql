-- What a load that is under way has copied and has still to copy, so that a killed one goes on.
ENGINE = ReplacingMergeTree(done)
ORDER BY (source, lsn, relation, first)
