-- The 20 customers who bought most, in all
SELECT
    customer_id,
    any(customer_name) AS customer,
    any(loyalty_tier) AS tier,
    count() AS orders,
    sum(total_amount) AS revenue,
    max(order_date) AS last_order
FROM inventory.unified_analytics
WHERE status != 'CANCELLED'
GROUP BY customer_id
ORDER BY revenue DESC, customer_id
LIMIT 20
