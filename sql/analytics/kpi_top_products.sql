-- The 20 products with most revenue, last 30 days
SELECT
    product_id,
    any(product_name) AS product,
    any(category) AS product_category,
    sum(quantity) AS units,
    sum(total_amount) AS revenue
FROM inventory.unified_analytics
WHERE status != 'CANCELLED' AND order_date > today() - 30
GROUP BY product_id
ORDER BY revenue DESC, product_id
LIMIT 20
