-- Every current order with its customer and product, as one flat table for analysts.
-- LEFT joins: an order whose customer or product has not arrived yet is shown, not hidden.
CREATE OR REPLACE VIEW inventory.unified_analytics AS
SELECT
    orders.id AS order_id,
    orders.order_number AS order_number,
    orders.order_date AS order_date,
    orders.order_time AS order_time,
    orders.status AS status,
    orders.quantity AS quantity,
    orders.unit_price AS unit_price,
    orders.total_amount AS total_amount,
    orders.created_at AS created_at,
    orders.updated_at AS updated_at,
    orders.purchaser AS customer_id,
    concat(customers.first_name, ' ', customers.last_name) AS customer_name,
    customers.email AS customer_email,
    customers.loyalty_tier AS loyalty_tier,
    customers.registration_date AS registration_date,
    JSONExtractString(customers.address, 'city') AS city,
    orders.product_id AS product_id,
    products.name AS product_name,
    products.category AS category,
    products.price AS current_price
FROM inventory.orders AS orders
LEFT JOIN inventory.customers AS customers ON customers.id = orders.purchaser
LEFT JOIN inventory.products AS products ON products.id = orders.product_id
