-- Hours from order to shipment and delivery, per carrier, last 30 days
SELECT
    carrier,
    count() AS shipments,
    countIf(delivered_at IS NOT NULL) AS delivered,
    round(avg(dateDiff('minute', orders.created_at, shipped_at)) / 60, 1) AS avg_hours_to_ship,
    round(avg(dateDiff('minute', shipped_at, delivered_at)) / 60, 1) AS avg_hours_underway,
    round(quantile(0.95)(dateDiff('minute', shipped_at, delivered_at)) / 60, 1) AS p95_hours_underway
FROM inventory.shipments AS shipments
INNER JOIN inventory.orders AS orders ON orders.id = shipments.order_id
WHERE shipped_at > now() - INTERVAL 30 DAY
GROUP BY carrier
ORDER BY shipments DESC
