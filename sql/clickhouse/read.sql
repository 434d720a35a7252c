-- One Debezium message in, its head and the texts of one image out. Used by X_mv and by a replay.
-- Nothing here or in the next steps may throw, whatever the message holds: an exception would stop
-- the table for ever.
--
-- The message is parsed twice, head and image, because two small typed extractions cost less than
-- one that reads both images, of which only one is used. The image is a map of texts, so that a
-- value is judged by its own column's rule, never by what a JSON library makes of it.
WITH
    JSONExtract(_message, 'Tuple(op String, ts_ms Nullable(Int64), source Tuple(ts_ms Nullable(Int64), lsn Nullable(UInt64), sequence String, txId Nullable(UInt64)))') AS _head,
    JSONExtract(_message, $field, 'Map(String, Nullable(String))') AS _image
SELECT
$inputs
    tupleElement(_head, 'op') AS operation,
    tupleElement(tupleElement(_head, 'source'), 'ts_ms') AS _committed_ms,
    tupleElement(_head, 'ts_ms') AS _sent_ms,
    tupleElement(tupleElement(_head, 'source'), 'lsn') AS _position,
    -- ["end of the commit before","lsn"]. Before a slot's first commit that is [null,"lsn"], and
    -- the change's own position stands for it.
    toUInt64OrNull(splitByChar('"', tupleElement(tupleElement(_head, 'source'), 'sequence'))[2]) AS _preceding,
    tupleElement(tupleElement(_head, 'source'), 'txId') AS _transaction,
    mapKeys(_image) AS _keys,
    -- Positions are cheaper than names; Debezium keeps the table's order, so the search by name is
    -- for the rest. Either way there is one value for each column that the stream carries.
    _keys = $required AS _expected,
    if(_expected, mapValues(_image),
        arrayMap(name -> mapValues(_image)[indexOf(_keys, name)], $required)) AS _values
FROM $source
-- pg_logical_emit_message() is no change of a row.
WHERE NOT (tupleElement(_head, 'op') = 'm' AND startsWith(_message, '{'))
