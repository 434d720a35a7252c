-- The current rows. What is older than the last TRUNCATE, or than the slot (after a resync: rows
-- that the new snapshot did not see again), does not exist any more.
SELECT
$columns
FROM $final FINAL
WHERE _deleted = 0
    AND _version >= greatest(
        toUInt64($slot_lsn),
        (SELECT max(lsn) FROM cdc.truncates WHERE source = $source_name))
