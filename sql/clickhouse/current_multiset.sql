-- The current rows of a table without a key: each as often as it was put in more than taken out.
-- The floor is that of every table.
SELECT
$columns
FROM
(
    SELECT
$stored
    FROM
    (
        SELECT
$stored,
            sum(_sign) AS _count
        FROM $final FINAL
        WHERE _version >= $floor
        GROUP BY
$stored
        HAVING _count > 0
    )
    ARRAY JOIN range(toUInt64(_count)) AS _copy
) AS _rows
