SELECT
$columns
    operation,
    transform(operation, ['c', 'u', 'd', 'r'], ['CREATE', 'UPDATE', 'DELETE', 'READ'], '') AS operation_name,
    source_ts_ms,
    processing_ts_ms,
    _lsn,
    _txid,
    _version,
    _deleted,
    _partition,
    _offset$sign
FROM $parsed
WHERE _applied
