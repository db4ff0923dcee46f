-- Where partners want to be told of events, and what is signed with.

CREATE TABLE webhook_endpoints (
    partner_id TEXT NOT NULL REFERENCES partners (id),
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live')),
    id TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    -- A JSON array of types; ["*"] is all.
    event_types TEXT NOT NULL,
    signature TEXT NOT NULL CHECK (signature IN ('v1', 'v1a')),
    state TEXT NOT NULL CHECK (state IN ('pending', 'active', 'disabled', 'deleted')),
    disabled_reason TEXT,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    -- When the challenge was answered at this URL. NULL: not yet, or the URL was changed since.
    verified_at TIMESTAMP,
    -- When it first became active.
    activated_at TIMESTAMP,
    -- Since when nothing reaches it. NULL: it works.
    failing_since TIMESTAMP,
    -- How many warnings were given of that.
    warned INTEGER NOT NULL DEFAULT 0,
    -- The highest number of an event that was taken up for it.
    cursor BIGINT NOT NULL DEFAULT 0,
    -- When it is next looked at. NULL: at once.
    next_at TIMESTAMP,
    -- Which process delivers to it, and until when the others leave it alone.
    lease_owner TEXT,
    lease_until TIMESTAMP,
    PRIMARY KEY (partner_id, realm, id),
    CHECK ((state = 'disabled') = (disabled_reason IS NOT NULL)),
    CHECK (state <> 'active' OR (verified_at IS NOT NULL AND activated_at IS NOT NULL))
);
CREATE INDEX webhook_endpoints_by_state ON webhook_endpoints (state, next_at);

-- Sealed under the master key, bound to the endpoint's id. Rows that nobody signs with any more go.
CREATE TABLE webhook_secrets (
    partner_id TEXT NOT NULL,
    realm TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    -- 1, 2, …: how many there have been.
    version BIGINT NOT NULL CHECK (version > 0),
    sealed TEXT NOT NULL,
    -- What verifies v1a; NULL for v1, which has none.
    public_key TEXT,
    created_at TIMESTAMP NOT NULL,
    -- Until when it signs beside its successor. NULL: it is the current one.
    usable_until TIMESTAMP,
    PRIMARY KEY (partner_id, realm, endpoint_id, version),
    FOREIGN KEY (partner_id, realm, endpoint_id) REFERENCES webhook_endpoints (partner_id, realm, id)
);
CREATE UNIQUE INDEX webhook_secrets_one_current ON webhook_secrets (partner_id, realm, endpoint_id)
    WHERE usable_until IS NULL;
