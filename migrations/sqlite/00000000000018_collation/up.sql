-- Nothing: SQLite lowers ASCII alone. The number is PostgreSQL's.
SELECT 1;
