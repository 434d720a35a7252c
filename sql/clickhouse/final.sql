-- The current state: the highest version of a key wins; of equal ones the last inserted.
-- Rows of one key must share a partition, for merges do not cross partitions. Deleted rows stay as
-- tombstones, which keep a late redelivery from bringing the row back.
ENGINE = ReplacingMergeTree(_version, _deleted)
$partition
ORDER BY ($order)
