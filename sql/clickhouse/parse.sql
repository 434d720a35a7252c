-- One Debezium message in, one checked row out. Used by X_mv and, unchanged, by a replay.
-- Nothing here may throw, whatever the message holds: an exception would stop the table for ever.
--
-- The message is parsed twice, head and image, because two small typed extractions cost less than
-- one that reads both images, of which only one is used. The image is a map of texts, so that a
-- value is judged by its own column's rule, never by what a JSON library makes of it.
SELECT $outputs
FROM
(
SELECT
$columns
    _op AS operation,
    _head.source.ts_ms AS _source_ms,
    -- Used only if they passed the checks below; the constants never reach a table.
    fromUnixTimestamp64Milli(ifNull(_source_ms, 0), 'UTC') AS source_ts_ms,
    fromUnixTimestamp64Milli(ifNull(_head.ts_ms, 0), 'UTC') AS processing_ts_ms,
    ifNull(_head.source.lsn, 0) AS _lsn,
    ifNull(_head.source.txId, 0) AS _txid,
    -- A snapshot row ranks at the slot's start, below every streamed change; one that an older
    -- slot's snapshot left in the topic keeps its own, lower place.
    if(_op = 'r', least(_lsn, toUInt64($slot_lsn)), _lsn) AS _version,
    _op = 'd' AS _deleted,
    $unreadable AS _unreadable,
    isNotNull(_head.source.lsn)
        -- The window keeps a block from touching more than 100 monthly partitions, which
        -- ClickHouse refuses; it would read the same block again for ever.
        AND _source_ms BETWEEN toUnixTimestamp64Milli(now64(3)) - 8 * 365 * 86400000
                           AND toUnixTimestamp64Milli(now64(3)) + 86400000
        AND _head.ts_ms BETWEEN 0 AND 4102444800000 AS _dated,
    if(_dated AND _op IN ('c', 'u', 'd', 'r') AND _expected AND NOT _unreadable, '', multiIf(
        _op = '' AND NOT isValidJSON(_message), 'not valid JSON',
        NOT startsWith(_message, '{'), 'not a JSON object',
        _op = '', 'no op',
        _op NOT IN ('c', 'u', 'd', 'r', 't'), concat('unknown op ', substring(_op, 1, 40)),
        isNull(_head.source.lsn), 'no source.lsn',
        NOT ifNull(_dated, 0), 'no source.ts_ms or ts_ms, or not within the last eight years',
        _op = 't', '',
        empty(_keys), concat('no ', if(_op = 'd', 'before', 'after')),
        NOT hasAll(_keys, $required), concat('missing field: ', arrayStringConcat(
            arrayFilter(name -> NOT has(_keys, name), $required), ', ')),
        _unreadable, concat('unreadable: ', arrayStringConcat(arrayFilter(text -> text != '', [
$reasons
        ]), ', ')),
        '')) AS _fault,
    _op IN ('c', 'u', 'd', 'r') AND _fault = '' AS _applied,
    -- A field the table doesn't know yet: the row is applied as far as it is known and kept to be
    -- completed by a replay.
    multiIf(_fault != '' OR _expected OR _op = 't', _fault, hasAll($known, _keys), '',
        concat('unknown field: ', arrayStringConcat(
            arrayFilter(name -> NOT has($known, name), _keys), ', '))) AS _error,
    _replayed,
    _topic,
    _partition,
    _offset,
    _message
FROM
(
    SELECT
        *,
        _keys = $required AS _expected,
        -- Positions are cheaper than names; Debezium keeps the table's order, so the search by
        -- name is for the rest.
        if(_expected, mapValues(_image),
            arrayMap(name -> mapValues(_image)[indexOf(_keys, name)], $required)) AS _values
    FROM
    (
        SELECT
            *,
            JSONExtract(_message, 'Tuple(op String, ts_ms Nullable(Int64), source Tuple(ts_ms Nullable(Int64), lsn Nullable(UInt64), txId Nullable(UInt64)))') AS _head,
            _head.op AS _op,
            JSONExtract(_message, if(_op = 'd', 'before', 'after'), 'Map(String, Nullable(String))') AS _image,
            mapKeys(_image) AS _keys
        FROM
        (
$source
        )
        -- pg_logical_emit_message() is no change of a row.
        WHERE NOT (_op = 'm' AND startsWith(_message, '{'))
    )
)
)
