-- 订单与客户
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    city TEXT DEFAULT '杭州'
);

CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    placed_at TIMESTAMP NOT NULL,
    amount NUMERIC(12, 2) CHECK (amount >= 0)
);

-- What each customer spent, by month.
CREATE VIEW monthly AS
SELECT c.name, date_trunc('month', o.placed_at) AS month, sum(o.amount) AS spent
FROM orders o
JOIN customers c ON c.id = o.customer_id
GROUP BY c.name, month;

-- 三年前的订单归档
INSERT INTO archive SELECT * FROM orders WHERE placed_at < now() - interval '3 years';
DELETE FROM orders WHERE placed_at < now() - interval '3 years';
