-- Deliveries of events to partners' endpoints, the attempts at them, and replays.

-- Processes that deliver: each takes its share of the endpoints. One that has not renewed its row has ended.
CREATE TABLE webhook_workers (
    node TEXT NOT NULL PRIMARY KEY,
    alive_until TIMESTAMP NOT NULL
);
CREATE INDEX webhook_endpoints_by_lease ON webhook_endpoints (lease_owner);

-- What became of an event at an endpoint. One that was not tried yet has no row: its number is above the
-- endpoint's cursor. Nothing is at or below the cursor that has no row here, unless the endpoint never asked for it.
CREATE TABLE webhook_deliveries (
    endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (id),
    seq BIGINT NOT NULL,
    -- The replay that sent it again; empty: none did.
    replay_id TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    realm TEXT NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('retrying', 'succeeded', 'exhausted', 'cancelled')),
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
    endpoint_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    replay_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    at TIMESTAMP NOT NULL,
    -- NULL: it arrived.
    class TEXT,
    status INTEGER,
    millis BIGINT NOT NULL,
    address TEXT,
    PRIMARY KEY (endpoint_id, seq, replay_id, number),
    FOREIGN KEY (endpoint_id, seq, replay_id) REFERENCES webhook_deliveries (endpoint_id, seq, replay_id)
        ON DELETE CASCADE
);

-- Events that are sent to an endpoint again, in the order of their numbers.
CREATE TABLE webhook_replays (
    partner_id TEXT NOT NULL REFERENCES partners (id),
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live')),
    id TEXT NOT NULL UNIQUE,
    endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (id),
    selection TEXT NOT NULL CHECK (selection IN ('failed', 'missing', 'all')),
    -- Events from this moment on, and from before that one.
    from_at TIMESTAMP,
    to_at TIMESTAMP,
    -- A JSON array; NULL: all that the endpoint asks for.
    event_types TEXT,
    -- What comes later is the live traffic's.
    upto BIGINT NOT NULL,
    -- Every event up to this number that is meant has its row among the deliveries.
    done_upto BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('previewed', 'running', 'completed', 'cancelled')),
    -- How many were meant when it was asked for.
    count BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    started_at TIMESTAMP,
    ended_at TIMESTAMP,
    PRIMARY KEY (partner_id, realm, id),
    CHECK ((state IN ('completed', 'cancelled')) = (ended_at IS NOT NULL))
);
CREATE INDEX webhook_replays_of_endpoint ON webhook_replays (endpoint_id, state, id);
