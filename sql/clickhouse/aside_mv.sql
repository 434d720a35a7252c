-- What needs a second look: few, or none. A block of none is not handed on, so that the views
-- below, dear to plan, are planned only when there is something for them.
SELECT
    operation,
    source_ts_ms,
    _lsn,
    _txid,
    _version,
    _applied,
    _suspect,$sign
    _replayed,
    _topic,
    _partition,
    _offset,
    _message
FROM $parsed
WHERE _suspect OR _replayed OR operation = 't'
