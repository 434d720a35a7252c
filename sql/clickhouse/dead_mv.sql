-- The messages that are not in order, raw and with the reason. A replayed one that is in order now
-- takes its letter back (_deleted = 1).
SELECT
    $source_name AS source,
    multiIf(
        NOT _suspect, '',
        _topic = $loaded, JSONExtractString(_message, 'reason'),
        operation = '' AND NOT isValidJSON(_message), 'not valid JSON',
        NOT startsWith(_message, '{'), 'not a JSON object',
        operation = '', 'no op',
        operation NOT IN ('c', 'u', 'd', 'r', 't'), concat('unknown op: ', substringUTF8(operation, 1, 40)),
        isNull(_position), 'no source.lsn',
        isNull(_preceding), 'no source.sequence',
        NOT $dated, 'no source.ts_ms or ts_ms, or not of the last eight years',
        empty(_keys), concat('no ', $field),
        NOT hasAll(_keys, $required), concat('missing field: ', arrayStringConcat(
            arrayFilter(name -> NOT has(_keys, name), $required), ', ')),
        NOT _applied, concat('unreadable: ', if(empty(_unreadable),
            $computed, arrayStringConcat(_unreadable, ', '))),
        concat('unknown field: ', arrayStringConcat(
            arrayFilter(name -> NOT has($known, name), _keys), ', '))) AS reason,
    _applied AS applied,
    _topic AS topic,
    _partition AS partition,
    _offset AS offset,
    _message AS message,
    NOT _suspect AS _deleted,
    -- Of the two rows of one replayed message the one that is not in order decides.
    toUnixTimestamp64Micro(now64(6)) + _suspect AS _version
FROM
(
    SELECT
        *,
$groups
        arrayConcat(
$reasons
        ) AS _unreadable
    FROM
    (
$read
    )
)
