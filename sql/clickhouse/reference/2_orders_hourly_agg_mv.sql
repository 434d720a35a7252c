-- Counts again, once a minute, every hour that got rows since the last time, out of the
-- deduplicated history. A view fed by inserts would count a redelivered event twice, for good.
-- Late rows, a restart and a restored backup need nothing special: their hours are counted again.
-- The five minutes are for blocks stamped before the last refresh that were written after it.
CREATE MATERIALIZED VIEW IF NOT EXISTS inventory.orders_hourly_agg_mv
REFRESH EVERY 1 MINUTE APPEND TO inventory.orders_hourly_agg AS
WITH (SELECT max(refreshed_at) FROM inventory.orders_hourly_agg) AS last_refresh
SELECT
    toStartOfHour(source_ts_ms) AS hour,
    count() AS events,
    countIf(operation = 'c') AS created,
    countIf(operation = 'u') AS updated,
    countIf(operation = 'd') AS deleted,
    sumIf(toInt64(quantity), operation = 'c') AS created_quantity,
    sumIf(ifNull(total_amount, 0), operation = 'c') AS created_amount,
    uniqExactStateIf(purchaser, operation = 'c') AS purchasers,
    uniqExactStateIf(product_id, operation = 'c') AS products,
    avgState(dateDiff('millisecond', source_ts_ms, _synced_at)) AS latency_ms,
    max(dateDiff('millisecond', source_ts_ms, _synced_at)) AS max_latency_ms,
    now64(3, 'UTC') AS refreshed_at
FROM inventory.orders_history FINAL
WHERE operation != 'r'
    AND toStartOfHour(source_ts_ms) IN (
        SELECT toStartOfHour(source_ts_ms)
        FROM inventory.orders_history
        WHERE _synced_at >= last_refresh - INTERVAL 5 MINUTE)
GROUP BY hour
