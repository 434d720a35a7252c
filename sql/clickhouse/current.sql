-- The current rows. What is older than the last finished load, or than the last TRUNCATE, does not
-- exist any more.
SELECT
$columns
FROM $final FINAL
WHERE _deleted = 0
    AND _version >= greatest(
        (SELECT max(lsn) FROM cdc.loads WHERE source = $source_name),
        (SELECT max(lsn) FROM cdc.truncates WHERE source = $source_name))
