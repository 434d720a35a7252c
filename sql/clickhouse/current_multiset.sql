-- The current rows of a table without a key: each as often as it was put in more than taken out.
-- The floor is that of every table. Copied rows count once their load is finished; until then those
-- that they stand for are still there.
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
            AND (operation != 'r'
                OR _version = bitShiftLeft(toUInt128((
                    SELECT max(lsn) FROM cdc.loads WHERE source = $source_name)), 64))
        GROUP BY
$stored
        HAVING _count > 0
        -- Nullable arrays and maps: each is a Variant of one type, so that equal ones are equal.
        SETTINGS allow_suspicious_types_in_group_by = 1
    )
    ARRAY JOIN range(toUInt64(_count)) AS _copy
) AS _rows
