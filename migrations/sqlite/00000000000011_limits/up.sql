-- How much a partner may ask for: plans, who is on which, and what holds for one partner alone.

CREATE TABLE plans (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- How many requests of the partner API a minute, and how many at once.
    requests_per_minute INTEGER NOT NULL CHECK (requests_per_minute > 0),
    burst INTEGER NOT NULL CHECK (burst > 0),
    -- How many token requests a minute.
    tokens_per_minute INTEGER NOT NULL CHECK (tokens_per_minute > 0),
    -- What one client may take of them, and reads and writes of the requests: per cent.
    client_share INTEGER NOT NULL CHECK (client_share BETWEEN 1 AND 100),
    reads_share INTEGER NOT NULL CHECK (reads_share BETWEEN 1 AND 100),
    writes_share INTEGER NOT NULL CHECK (writes_share BETWEEN 1 AND 100),
    -- Quotas a day and a month, in UTC. NULL: without end.
    requests_per_day BIGINT CHECK (requests_per_day >= 0),
    requests_per_month BIGINT CHECK (requests_per_month >= 0),
    tokens_per_day BIGINT CHECK (tokens_per_day >= 0),
    tokens_per_month BIGINT CHECK (tokens_per_month >= 0),
    orders_per_day BIGINT CHECK (orders_per_day >= 0),
    orders_per_month BIGINT CHECK (orders_per_month >= 0),
    -- A ceiling of spend, in minor units of its currency.
    spend_per_month BIGINT CHECK (spend_per_month >= 0),
    spend_currency TEXT,
    -- Counts changes.
    version BIGINT NOT NULL CHECK (version > 0),
    created_by TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    CHECK ((spend_per_month IS NULL) = (spend_currency IS NULL))
);

-- Without a row: the house's defaults, enforced.
CREATE TABLE partner_limits (
    partner_id TEXT NOT NULL REFERENCES partners (id),
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live')),
    mode TEXT NOT NULL CHECK (mode IN ('enforce', 'shadow')),
    -- NULL: the defaults.
    plan_id TEXT REFERENCES plans (id),
    updated_by TEXT NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (partner_id, realm)
);
CREATE INDEX partner_limits_of_plan ON partner_limits (plan_id);

-- A partner's own limits, which stand before its plan's until they end.
CREATE TABLE limit_overrides (
    partner_id TEXT NOT NULL,
    realm TEXT NOT NULL,
    -- How many requests of the partner API a minute, and how many at once.
    requests_per_minute INTEGER NOT NULL CHECK (requests_per_minute > 0),
    burst INTEGER NOT NULL CHECK (burst > 0),
    -- How many token requests a minute.
    tokens_per_minute INTEGER NOT NULL CHECK (tokens_per_minute > 0),
    -- What one client may take of them, and reads and writes of the requests: per cent.
    client_share INTEGER NOT NULL CHECK (client_share BETWEEN 1 AND 100),
    reads_share INTEGER NOT NULL CHECK (reads_share BETWEEN 1 AND 100),
    writes_share INTEGER NOT NULL CHECK (writes_share BETWEEN 1 AND 100),
    -- Quotas a day and a month, in UTC. NULL: without end.
    requests_per_day BIGINT CHECK (requests_per_day >= 0),
    requests_per_month BIGINT CHECK (requests_per_month >= 0),
    tokens_per_day BIGINT CHECK (tokens_per_day >= 0),
    tokens_per_month BIGINT CHECK (tokens_per_month >= 0),
    orders_per_day BIGINT CHECK (orders_per_day >= 0),
    orders_per_month BIGINT CHECK (orders_per_month >= 0),
    -- A ceiling of spend, in minor units of its currency.
    spend_per_month BIGINT CHECK (spend_per_month >= 0),
    spend_currency TEXT,
    -- NULL: until they are taken away.
    ends_at TIMESTAMP,
    PRIMARY KEY (partner_id, realm),
    FOREIGN KEY (partner_id, realm) REFERENCES partner_limits (partner_id, realm),
    CHECK ((spend_per_month IS NULL) = (spend_currency IS NULL))
);

-- What every node must look at again: a plan, with all partners that are on it.
CREATE TABLE changes_anew (
    seq BIGINT NOT NULL,
    entity TEXT NOT NULL CHECK (entity IN ('client', 'partner', 'resource_server', 'keys', 'plan')),
    id TEXT NOT NULL,
    at TIMESTAMP NOT NULL,
    PRIMARY KEY (seq, entity, id)
);
INSERT INTO changes_anew SELECT seq, entity, id, at FROM changes;
DROP TABLE changes;
ALTER TABLE changes_anew RENAME TO changes;
