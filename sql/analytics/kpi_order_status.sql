-- Orders by status, with the share of all orders
SELECT
    status,
    count() AS orders,
    sum(total_amount) AS amount,
    round(100 * orders / sum(orders) OVER (), 2) AS percent_of_orders
FROM inventory.orders
GROUP BY status
ORDER BY orders DESC
