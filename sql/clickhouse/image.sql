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
            JSONExtract(_message, if(_head.op = 'd', 'before', 'after'), 'Map(String, Nullable(String))') AS _image,
            mapKeys(_image) AS _keys
        FROM
        (
$source
        )
    )
