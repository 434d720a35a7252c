-- Every finished load of a table. Rows below the newest one's lsn do not exist any more: this row is
-- what swaps a table's old state for the new one. `stream` names the unbroken stream the load belongs
-- to; empty once the table was no longer captured.
ENGINE = ReplacingMergeTree(finished_at)
ORDER BY (source, lsn)
