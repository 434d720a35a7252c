-- Revenue per day, last 30 days, cancelled orders left out
SELECT
    order_date,
    count() AS orders,
    uniqExact(purchaser) AS customers,
    sum(total_amount) AS revenue,
    round(avg(total_amount), 2) AS average_order
FROM inventory.orders
WHERE status != 'CANCELLED' AND order_date > today() - 30
GROUP BY order_date
ORDER BY order_date DESC
