-- Deliveries of events to partners' endpoints, the attempts at them, and replays.

-- Processes that deliver: each takes its share of the endpoints. One that has not renewed its row has ended.
CREATE TABLE webhook_workers (
    node TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    alive_until TIMESTAMP NOT NULL
);
CREATE INDEX webhook_endpoints_by_lease ON webhook_endpoints (lease_owner);

-- What became of an event at an endpoint. One that was not tried yet has no row: its number is above the
-- endpoint's cursor. Nothing is at or below the cursor that has no row here, unless the endpoint never asked for it.
CREATE TABLE webhook_deliveries (
    endpoint_id TEXT COLLATE "C" NOT NULL REFERENCES webhook_endpoints (id),
    seq BIGINT NOT NULL,
    -- The replay that sent it again; empty: none did.
    replay_id TEXT COLLATE "C" NOT NULL,
    partner_id TEXT COLLATE "C" NOT NULL,
    realm TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('retrying', 'succeeded', 'exhausted', 'cancelled')),
    attempts INTEGER NOT NULL CHECK (attempts > 0),
    next_attempt_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (endpoint_id, seq, replay_id),
    CHECK ((state = 'retrying') = (next_attempt_at IS NOT NULL))
);
-- Only what waits is in it.
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at)
    WHERE next_attempt_at IS NOT NULL;

-- How each attempt ended; never what was answered.
CREATE TABLE webhook_attempts (
    endpoint_id TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    replay_id TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    at TIMESTAMP NOT NULL,
    -- NULL: it arrived.
    class TEXT COLLATE "C",
    status INTEGER,
    millis BIGINT NOT NULL,
    address TEXT COLLATE "C",
    PRIMARY KEY (endpoint_id, seq, replay_id, number),
    FOREIGN KEY (endpoint_id, seq, replay_id) REFERENCES webhook_deliveries (endpoint_id, seq, replay_id)
        ON DELETE CASCADE
);

-- Events that are sent to an endpoint again, in the order of their numbers.
CREATE TABLE webhook_replays (
    partner_id TEXT COLLATE "C" NOT NULL REFERENCES partners (id),
    realm TEXT COLLATE "C" NOT NULL CHECK (realm IN ('sandbox', 'live')),
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    endpoint_id TEXT COLLATE "C" NOT NULL REFERENCES webhook_endpoints (id),
    selection TEXT COLLATE "C" NOT NULL CHECK (selection IN ('failed', 'missing', 'all')),
    -- Events from this moment on, and from before that one.
    from_at TIMESTAMP,
    to_at TIMESTAMP,
    -- A JSON array; NULL: all that the endpoint asks for.
    event_types TEXT COLLATE "C",
    -- What comes later is the live traffic's.
    upto BIGINT NOT NULL,
    -- Every event up to this number that is meant has its row among the deliveries.
    done_upto BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('previewed', 'running', 'completed', 'cancelled')),
    -- How many were meant when it was asked for.
    count BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMP NOT NULL,
    started_at TIMESTAMP,
    ended_at TIMESTAMP,
    PRIMARY KEY (partner_id, realm, id),
    CHECK ((state IN ('completed', 'cancelled')) = (ended_at IS NOT NULL))
);
CREATE INDEX webhook_replays_of_endpoint ON webhook_replays (endpoint_id, state, id);

ALTER TABLE webhook_deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON webhook_deliveries USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE webhook_replays ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_replays FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON webhook_replays USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE webhook_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_attempts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON webhook_attempts USING (
    current_user <> 'onyx_tenant' OR EXISTS (SELECT 1 FROM webhook_endpoints e WHERE e.id = endpoint_id)
);
