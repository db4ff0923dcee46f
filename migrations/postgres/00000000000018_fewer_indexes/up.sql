-- What an order writes, in fewer trees.

-- An entry's id begins with the moment of its making: the primary key finds moments, too.
DROP INDEX ledger_entries_by_time;

-- Only what the simulator still moves on is looked for.
DROP INDEX orders_to_simulate;
CREATE INDEX orders_to_simulate ON orders (simulate_at) WHERE simulate_at IS NOT NULL;
