CREATE TABLE order_events_by_row (
    partner_id TEXT NOT NULL,
    realm TEXT NOT NULL,
    order_id TEXT NOT NULL,
    state TEXT NOT NULL,
    at TIMESTAMP NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (partner_id, realm, order_id, state),
    FOREIGN KEY (partner_id, realm, order_id) REFERENCES orders (partner_id, realm, id)
);
INSERT INTO order_events_by_row SELECT * FROM order_events;
DROP TABLE order_events;
ALTER TABLE order_events_by_row RENAME TO order_events;
DROP INDEX orders_to_simulate;
CREATE INDEX orders_to_simulate ON orders (simulate_at);
CREATE INDEX ledger_entries_by_time ON ledger_entries (partner_id, realm, created_at, id);
