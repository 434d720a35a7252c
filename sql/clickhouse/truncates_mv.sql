SELECT
    $source_name AS source,
    _lsn AS lsn,
    _version AS version,
    _txid AS txid,
    source_ts_ms
FROM $aside
WHERE operation = 't' AND NOT _suspect
