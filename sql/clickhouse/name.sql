-- The values under their columns' names, the generated columns, and the judgement.
-- Why a message is refused is worked out in X_dead_mv, for the few that are.
SELECT
$columns
    operation,
    source_ts_ms,
    processing_ts_ms,
    _lsn,
    _txid,
    -- Transactions in the order of their commits, changes in the order of the log: the log alone may
    -- have an insert before the delete that made room for it (docs/semantics.md, "Order"). A
    -- snapshot row ranks at the slot's start, below every streamed change; one that an older slot's
    -- snapshot left in the topic keeps its own, lower place.
    bitShiftLeft(toUInt128(if(operation = 'r', least(_lsn, toUInt64($slot_lsn)), _preceding_lsn)), 64)
        + if(operation = 'r', 0, _lsn) AS _version,
    operation = 'd' AS _deleted,
    _whole AND operation IN ('c', 'u', 'd', 'r') AND _complete AND NOT _unreadable$also_computed AS _applied,
    -- A field the table doesn't know yet: the row is applied as far as it is known and also
    -- kept, to be completed by a replay.
    if(operation = 't', NOT _whole, NOT (_applied AND _familiar)) AS _suspect,
    _replayed,$sign
    _topic,
    _partition,
    _offset,
    _message
FROM $source
