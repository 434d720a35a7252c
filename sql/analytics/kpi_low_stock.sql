-- Stock at or below its reorder level, with what open orders still need of the product
SELECT
    stock.product_id AS product_id,
    products.name AS product,
    stock.warehouse AS warehouse,
    stock.on_hand AS on_hand,
    stock.reorder_level AS reorder_level,
    open_orders.units AS units_in_open_orders
FROM inventory.inventory AS stock
INNER JOIN inventory.products AS products ON products.id = stock.product_id
LEFT JOIN
(
    SELECT product_id, sum(quantity) AS units
    FROM inventory.orders
    WHERE status IN ('PENDING', 'CONFIRMED')
    GROUP BY product_id
) AS open_orders ON open_orders.product_id = stock.product_id
WHERE stock.on_hand <= stock.reorder_level
ORDER BY units_in_open_orders DESC, product_id, warehouse
LIMIT 50
