-- What happened to orders per hour of the source's commit time: change events, not current orders.
-- An order created and cancelled in one hour counts as one creation and one update there.
-- The last refresh of an hour wins, so read it through `inventory.orders_hourly` (or with FINAL).
-- Distinct counts and averages are states: merged over hours they give the right day or week,
-- where adding hourly numbers would count a customer who came back twice.
CREATE TABLE IF NOT EXISTS inventory.orders_hourly_agg
(
    hour DateTime('UTC'),
    events UInt64,
    created UInt64,
    updated UInt64,
    deleted UInt64,
    created_quantity Int64,
    created_amount Decimal(38, 2),
    purchasers AggregateFunction(uniqExact, Int64) COMMENT 'of created orders',
    products AggregateFunction(uniqExact, Int64) COMMENT 'of created orders',
    latency_ms AggregateFunction(avg, Int64) COMMENT 'source commit to stored here',
    max_latency_ms Int64,
    refreshed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(refreshed_at)
ORDER BY hour
