-- One Debezium message in, one checked row out. Used by X_mv and, unchanged, by a replay.
-- Nothing here may throw, whatever the message holds: an exception would stop the table for ever.
--
-- The message is parsed twice, head and image, because two small typed extractions cost less than
-- one that reads both images, of which only one is used. The image is a map of texts, so that a
-- value is judged by its own column's rule, never by what a JSON library makes of it.
-- Why a message is refused is worked out in X_dead_mv, for the few that are: here it would cost
-- every row.
SELECT $outputs
FROM
(
    SELECT
$columns
        _head.op AS operation,
        _head.source.ts_ms AS _source_ms,
        fromUnixTimestamp64Milli(ifNull(_source_ms, 0), 'UTC') AS source_ts_ms,
        fromUnixTimestamp64Milli(ifNull(_head.ts_ms, 0), 'UTC') AS processing_ts_ms,
        ifNull(_head.source.lsn, 0) AS _lsn,
        ifNull(_head.source.txId, 0) AS _txid,
        -- A snapshot row ranks at the slot's start, below every streamed change; one that an older
        -- slot's snapshot left in the topic keeps its own, lower place.
        if(operation = 'r', least(_lsn, toUInt64($slot_lsn)), _lsn) AS _version,
        operation = 'd' AS _deleted,
        -- The window keeps a block from touching more than 100 monthly partitions, which
        -- ClickHouse refuses; it would read the same block again for ever.
        ifNull(isNotNull(_head.source.lsn)
            AND _source_ms BETWEEN toUnixTimestamp64Milli(now64(3)) - 8 * 365 * 86400000
                               AND toUnixTimestamp64Milli(now64(3)) + 86400000
            AND _head.ts_ms BETWEEN 0 AND 4102444800000, 0) AS _dated,
        startsWith(_message, '{') AND _dated AND operation IN ('c', 'u', 'd', 'r')
            AND (_expected OR hasAll(_keys, $required))
            AND NOT ($unreadable) AS _applied,
        -- A field the table doesn't know yet: the row is applied as far as it is known and also
        -- kept, to be completed by a replay.
        multiIf(operation = 't', NOT (startsWith(_message, '{') AND _dated),
            _expected, NOT _applied,
            NOT (_applied AND hasAll($known, _keys))) AS _suspect,
        _replayed,
        _topic,
        _partition,
        _offset,
        _message
    FROM
    (
$image
    )
    -- pg_logical_emit_message() is no change of a row.
    WHERE NOT (operation = 'm' AND startsWith(_message, '{'))
)
