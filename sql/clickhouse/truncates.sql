-- Every TRUNCATE seen; rows of lower versions are gone.
ENGINE = ReplacingMergeTree
ORDER BY (source, lsn)
