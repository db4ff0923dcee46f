DROP INDEX orders_to_simulate;
CREATE INDEX orders_to_simulate ON orders (simulate_at);
CREATE INDEX ledger_entries_by_time ON ledger_entries (partner_id, realm, created_at, id);
