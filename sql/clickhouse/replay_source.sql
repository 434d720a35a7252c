        SELECT
            message AS _message,
            topic AS _topic,
            partition AS _partition,
            offset AS _offset,
            toUInt8(1) AS _replayed
        FROM cdc.dead_letters FINAL
        WHERE source = $source_name
