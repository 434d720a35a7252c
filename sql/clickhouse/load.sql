-- Rows that the initial load copied, as text, into the table that every streamed row passes too.
-- Nothing here may throw. A row that can't be taken whole becomes a dead letter; what it holds is
-- put together for such rows only, hence the `if` (with short_circuit_function_evaluation).
INSERT INTO $parsed ($outputs)
SELECT
$names    'r' AS operation,
    fromUnixTimestamp64Milli(toInt64($at_ms), 'UTC') AS source_ts_ms,
    source_ts_ms AS processing_ts_ms,
    toUInt64($lsn) AS _lsn,
    toUInt64(0) AS _txid,
    bitShiftLeft(toUInt128(_lsn), 64) AS _version,
    toUInt8(0) AS _deleted,
    NOT ($unreadable) AS _applied,
    NOT _applied AS _suspect,
    if(_applied, '', concat(
        '{"reason":', toJSONString(concat('unreadable: ', arrayStringConcat(arrayFilter(_said -> _said != '', [
            $reasons]), ', '))),
        ',"row":', toJSONString(map($row)), '}')) AS _message,
    $topic AS _topic,
    toUInt64($place) AS _partition,
    $number AS _offset,
    toUInt8(0) AS _replayed$sign
FROM
(
    SELECT
        *,
$values
    FROM input($structure)
)
FORMAT TabSeparated
