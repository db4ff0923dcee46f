-- The partner API: what is for sale, what was ordered, what is owed, and what was answered.

-- Money is in minor units of its currency.
CREATE TABLE packages (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    price_amount BIGINT NOT NULL CHECK (price_amount >= 0),
    price_currency TEXT NOT NULL CHECK (LENGTH(price_currency) = 3),
    validity_days INTEGER NOT NULL CHECK (validity_days > 0),
    region TEXT NOT NULL,
    -- A JSON array of texts.
    features TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('draft', 'published', 'withdrawn')),
    -- Counts changes: an order says which version it bought.
    version BIGINT NOT NULL CHECK (version > 0),
    -- Whether only the partners in package_partners see it.
    restricted BOOLEAN NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX packages_by_state ON packages (state, id);

CREATE TABLE package_partners (
    partner_id TEXT COLLATE "C" NOT NULL REFERENCES partners (id),
    realm TEXT COLLATE "C" NOT NULL CHECK (realm IN ('sandbox', 'live')),
    package_id TEXT COLLATE "C" NOT NULL REFERENCES packages (id),
    PRIMARY KEY (partner_id, realm, package_id)
);
CREATE INDEX package_partners_of_package ON package_partners (package_id);

CREATE TABLE orders (
    partner_id TEXT COLLATE "C" NOT NULL REFERENCES partners (id),
    realm TEXT COLLATE "C" NOT NULL CHECK (realm IN ('sandbox', 'live')),
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id),
    credential_id TEXT COLLATE "C" NOT NULL,
    package_id TEXT COLLATE "C" NOT NULL REFERENCES packages (id),
    package_version BIGINT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    unit_amount BIGINT NOT NULL CHECK (unit_amount >= 0),
    total_amount BIGINT NOT NULL CHECK (total_amount >= 0),
    currency TEXT NOT NULL,
    partner_order_ref TEXT COLLATE "C" NOT NULL,
    -- A JSON object of texts.
    metadata TEXT,
    state TEXT NOT NULL CHECK (state IN ('accepted', 'preparing', 'fulfilled', 'cancelled', 'failed')),
    reason TEXT,
    -- In the sandbox: when the simulator moves it on. NULL: it does not.
    simulate_at TIMESTAMP,
    -- When a stored answer was first shown again for it.
    retried_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (partner_id, realm, id),
    -- For ever: a reference names one order.
    UNIQUE (partner_id, realm, partner_order_ref)
);
CREATE INDEX orders_to_simulate ON orders (simulate_at) WHERE simulate_at IS NOT NULL;
-- So that a filtered list pages as fast as a whole one.
CREATE INDEX orders_by_state ON orders (partner_id, realm, state, id);
CREATE INDEX orders_by_package ON orders (partner_id, realm, package_id, id);

-- What became of an order, step by step.
CREATE TABLE order_events (
    partner_id TEXT COLLATE "C" NOT NULL,
    realm TEXT COLLATE "C" NOT NULL,
    order_id TEXT COLLATE "C" NOT NULL,
    -- An order reaches a state once.
    state TEXT NOT NULL,
    at TIMESTAMP NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    reason TEXT,
    -- Led by what begins with a moment: what is written at one time, whoever's it is, lies together, and a commit
    -- of many orders writes few pages of it.
    PRIMARY KEY (order_id, partner_id, realm, state),
    FOREIGN KEY (partner_id, realm, order_id) REFERENCES orders (partner_id, realm, id)
);

CREATE TABLE usage_records (
    partner_id TEXT COLLATE "C" NOT NULL,
    realm TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    order_id TEXT COLLATE "C" NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    unit TEXT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (partner_id, realm, id),
    FOREIGN KEY (partner_id, realm, order_id) REFERENCES orders (partner_id, realm, id)
);
CREATE INDEX usage_records_of_order ON usage_records (partner_id, realm, order_id, id);

-- Double entry: one row is one movement, from the account that is credited to the one that is
-- debited, so that no half of it can be missing. Accounts but the partner's own are the house's.
CREATE TABLE ledger_entries (
    partner_id TEXT COLLATE "C" NOT NULL REFERENCES partners (id),
    realm TEXT COLLATE "C" NOT NULL CHECK (realm IN ('sandbox', 'live')),
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('order', 'refund', 'adjustment', 'payment', 'write_off')),
    debit_account TEXT NOT NULL CHECK (debit_account IN ('partner', 'sales', 'adjustments', 'bank', 'bad_debt')),
    credit_account TEXT NOT NULL CHECK (credit_account IN ('partner', 'sales', 'adjustments', 'bank', 'bad_debt')),
    amount BIGINT NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    order_id TEXT COLLATE "C",
    invoice_id TEXT COLLATE "C",
    -- The entry that it corrects.
    corrects TEXT COLLATE "C" REFERENCES ledger_entries (id),
    -- What it is about, once: `order:ord_…`, or what an operator calls a refund.
    reference TEXT COLLATE "C" NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (partner_id, realm, id),
    -- Led as `order_events` is, and so is the index below.
    UNIQUE (reference, partner_id, realm),
    CHECK (debit_account <> credit_account),
    CHECK (debit_account = 'partner' OR credit_account = 'partner')
);
CREATE INDEX ledger_entries_of_order ON ledger_entries (order_id, partner_id, realm);

CREATE TABLE invoices (
    partner_id TEXT COLLATE "C" NOT NULL REFERENCES partners (id),
    realm TEXT COLLATE "C" NOT NULL CHECK (realm IN ('sandbox', 'live')),
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    -- Without gaps; given when it is opened.
    number BIGINT,
    -- `2026-11`: the month that it bills.
    period TEXT NOT NULL,
    currency TEXT NOT NULL,
    total_amount BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('draft', 'open', 'paid', 'void', 'uncollectible')),
    reason TEXT,
    created_at TIMESTAMP NOT NULL,
    opened_at TIMESTAMP,
    due_at TIMESTAMP,
    ended_at TIMESTAMP,
    ended_by TEXT COLLATE "C",
    PRIMARY KEY (partner_id, realm, id),
    UNIQUE (partner_id, realm, number),
    CHECK ((state = 'draft') = (number IS NULL))
);
CREATE INDEX invoices_of_period ON invoices (partner_id, realm, period);

-- Which entries an invoice bills: each is billed once, and again only where the invoice was voided.
CREATE TABLE invoice_lines (
    partner_id TEXT COLLATE "C" NOT NULL,
    realm TEXT COLLATE "C" NOT NULL,
    invoice_id TEXT COLLATE "C" NOT NULL,
    entry_id TEXT COLLATE "C" NOT NULL,
    voided BOOLEAN NOT NULL,
    PRIMARY KEY (partner_id, realm, invoice_id, entry_id),
    FOREIGN KEY (partner_id, realm, entry_id) REFERENCES ledger_entries (partner_id, realm, id),
    FOREIGN KEY (partner_id, realm, invoice_id) REFERENCES invoices (partner_id, realm, id)
);
CREATE UNIQUE INDEX invoice_lines_once ON invoice_lines (partner_id, realm, entry_id) WHERE NOT voided;

CREATE TABLE invoice_counters (
    partner_id TEXT COLLATE "C" NOT NULL REFERENCES partners (id),
    realm TEXT COLLATE "C" NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (partner_id, realm)
);

-- What was executed and answered under a key; a request that is still running has no row.
CREATE TABLE idempotency_keys (
    partner_id TEXT COLLATE "C" NOT NULL REFERENCES partners (id),
    realm TEXT COLLATE "C" NOT NULL,
    operation TEXT COLLATE "C" NOT NULL,
    key_hash TEXT COLLATE "C" NOT NULL,
    -- SHA-256 over method, route and canonical body.
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    -- JSON: the headers that belong to the answer, and its body.
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    -- The id of what was made.
    resource TEXT COLLATE "C",
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (partner_id, realm, operation, key_hash)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- The ledger only grows.
CREATE FUNCTION ledger_only_grows() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'ledger entries are never changed or deleted'; END $$;
CREATE TRIGGER ledger_entries_only_grow BEFORE UPDATE OR DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION ledger_only_grows();
