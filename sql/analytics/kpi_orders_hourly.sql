-- Changes of orders per hour, last 24 hours
SELECT
    hour,
    created,
    updated,
    deleted,
    created_amount,
    distinct_purchasers,
    avg_latency_ms,
    max_latency_ms
FROM inventory.orders_hourly
WHERE hour > now() - INTERVAL 1 DAY
ORDER BY hour DESC
