-- How much of its quotas a partner has used, and which nodes share its rates.

CREATE TABLE usage_counters (
    partner_id TEXT COLLATE "C" NOT NULL REFERENCES partners (id),
    realm TEXT COLLATE "C" NOT NULL CHECK (realm IN ('sandbox', 'live')),
    quota TEXT COLLATE "C" NOT NULL,
    -- A day or a month in UTC.
    period TEXT COLLATE "C" NOT NULL,
    -- Of money; empty for what is counted.
    currency TEXT COLLATE "C" NOT NULL,
    used BIGINT NOT NULL,
    -- The highest part of the quota, in percent, that the partner was warned of.
    warned INTEGER NOT NULL DEFAULT 0 CHECK (warned IN (0, 80, 100)),
    PRIMARY KEY (partner_id, realm, quota, period, currency)
);
CREATE INDEX usage_counters_by_period ON usage_counters (period);

CREATE TABLE nodes (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    version TEXT COLLATE "C" NOT NULL,
    -- Whether it takes requests: those that do share the rates.
    serves BOOLEAN NOT NULL,
    started_at TIMESTAMP NOT NULL,
    heartbeat_at TIMESTAMP NOT NULL
);

ALTER TABLE usage_counters ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_counters FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_counters USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
