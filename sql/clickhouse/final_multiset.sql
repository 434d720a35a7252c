-- The changes of a table without a key: rows put in (_sign 1) and taken out (-1). A redelivery has the
-- same position and replaces itself; rows of one COPY share their version, not their offset.
ENGINE = ReplacingMergeTree
ORDER BY (_version, _partition, _offset, _sign)
