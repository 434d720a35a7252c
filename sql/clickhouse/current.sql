-- The current rows. What is older than the last finished load, or than the last TRUNCATE, does not
-- exist any more. In two steps, for a column of the source may be called as one of ours is.
SELECT
$columns
FROM
(
    SELECT
$stored
    FROM $final FINAL
    WHERE _deleted = 0 AND _version >= $floor
) AS _rows
