-- What partners called, who asks for what is another's, and up to where old rows were forgotten.

-- The columns are all that is ever kept of a call: no path, query, body or token has one to go
-- into. The id is a ULID, so rows are written and forgotten in the order of the key.
CREATE TABLE request_log (
    request_id TEXT NOT NULL PRIMARY KEY,
    at TIMESTAMP NOT NULL,
    partner_id TEXT NOT NULL,
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live')),
    client_id TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    method TEXT NOT NULL,
    -- The template, never the path.
    route TEXT NOT NULL,
    status INTEGER NOT NULL,
    -- Why it was refused, in the answer's own word.
    code TEXT,
    micros BIGINT NOT NULL,
    idempotency TEXT NOT NULL CHECK (idempotency IN ('none', 'executed', 'replayed', 'mismatch', 'in_progress')),
    -- Ids of this server's making, by their form.
    order_id TEXT,
    subject TEXT
);
CREATE INDEX request_log_of_partner ON request_log (partner_id, realm, request_id);
CREATE INDEX request_log_of_subjects ON request_log (request_id) WHERE subject IS NOT NULL;

-- Which partner asked on which day for what is another's: one review each.
CREATE TABLE trespasses (
    partner_id TEXT NOT NULL REFERENCES partners (id),
    day TEXT NOT NULL,
    review_id TEXT NOT NULL REFERENCES reviews (id),
    PRIMARY KEY (partner_id, day)
);

-- The highest number among the events that were forgotten.
ALTER TABLE event_counters ADD COLUMN purged BIGINT NOT NULL DEFAULT 0;
CREATE INDEX events_by_age ON events (created_at);
