-- Revenue by product category, last 30 days
SELECT
    category,
    count() AS orders,
    sum(quantity) AS units,
    sum(total_amount) AS revenue,
    uniqExact(customer_id) AS customers
FROM inventory.unified_analytics
WHERE status != 'CANCELLED' AND order_date > today() - 30
GROUP BY category
ORDER BY revenue DESC
