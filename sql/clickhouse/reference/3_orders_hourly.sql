-- `orders_hourly_agg` with its states as numbers, one row an hour.
CREATE OR REPLACE VIEW inventory.orders_hourly AS
SELECT
    hour,
    events,
    created,
    updated,
    deleted,
    created_quantity,
    created_amount,
    finalizeAggregation(purchasers) AS distinct_purchasers,
    finalizeAggregation(products) AS distinct_products,
    round(finalizeAggregation(latency_ms), 1) AS avg_latency_ms,
    max_latency_ms,
    refreshed_at
FROM inventory.orders_hourly_agg FINAL
