-- The current rows. What is older than the last TRUNCATE, or than the slot (after a resync: rows
-- that the new snapshot did not see again), does not exist any more. In two steps, for a column of
-- the source may be called as one of ours is.
SELECT
$columns
FROM
(
    SELECT
$stored
    FROM $final FINAL
    WHERE _deleted = 0 AND _version >= $floor
) AS _rows
