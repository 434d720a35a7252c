greatest(
    (SELECT max(lsn) FROM cdc.loads WHERE source = $source_name),
    (SELECT max(lsn) FROM cdc.truncates WHERE source = $source_name))
