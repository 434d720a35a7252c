-- A replayed message that is in order now takes its letter back (_deleted = 1).
SELECT
    $source_name AS source,
    _error AS reason,
    _applied AS applied,
    _topic AS topic,
    _partition AS partition,
    _offset AS offset,
    _message AS message,
    _error = '' AS _deleted
FROM $parsed
WHERE _error != '' OR _replayed
