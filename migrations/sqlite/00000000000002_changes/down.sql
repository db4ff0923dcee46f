DROP TABLE changes;
DROP TABLE sequences;
