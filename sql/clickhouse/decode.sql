-- The texts of an image in, values and what to think of them out. All columns of a type are decoded
-- by one lambda: ClickHouse plans this text for every block, and a rule a column would take it
-- longer than the rows do. For the same reason nothing here is used twice.
SELECT
$groups
    operation,
    fromUnixTimestamp64Milli(ifNull(_committed_ms, 0), 'UTC') AS source_ts_ms,
    fromUnixTimestamp64Milli(ifNull(_sent_ms, 0), 'UTC') AS processing_ts_ms,
    ifNull(_position, 0) AS _lsn,
    ifNull(_preceding, 0) AS _preceding_lsn,
    ifNull(_transaction, 0) AS _txid,
    startsWith(_message, '{') AND $dated AS _whole,
    _expected OR hasAll(_keys, $required) AS _complete,
    $unreadable AS _unreadable,
    -- Of a message whose fields are all known there is nothing more to keep.
    _expected OR hasAll($known, _keys) AS _familiar,
    _replayed,$sign
    _topic,
    _partition,
    _offset,
    _message
FROM $source
