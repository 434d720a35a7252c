greatest(
    toUInt64($slot_lsn),
    (SELECT max(lsn) FROM cdc.truncates WHERE source = $source_name))
