ifNull(isNotNull(_position) AND isNotNull(_preceding)
    -- The window keeps a block from touching more than 100 monthly partitions, which ClickHouse
    -- refuses; it would read the same block again for ever.
    AND _committed_ms BETWEEN toUnixTimestamp64Milli(now64(3)) - 8 * 365 * 86400000
                          AND toUnixTimestamp64Milli(now64(3)) + 86400000
    AND _sent_ms BETWEEN 0 AND 4102444800000, 0)
