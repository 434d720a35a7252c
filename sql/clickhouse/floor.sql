greatest(
    bitShiftLeft(toUInt128((SELECT max(lsn) FROM cdc.loads WHERE source = $source_name)), 64),
    (SELECT max(version) FROM cdc.truncates WHERE source = $source_name))
