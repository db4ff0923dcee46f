-- The life of partners, credentials and grants: who decided what and when, what a
-- credential has been used for, what was revoked, and what partners are told.

ALTER TABLE partners ADD COLUMN leaked_secret_grace BOOLEAN NOT NULL DEFAULT FALSE;

-- What a client may be shown from, and whether its partner rotates its secret by itself
-- (none: in the sandbox it does, in live it does not).
ALTER TABLE clients ADD COLUMN ip_allowlist TEXT;
ALTER TABLE clients ADD COLUMN self_rotation BOOLEAN;

ALTER TABLE credentials ADD COLUMN replaced_by TEXT REFERENCES credentials (id);
ALTER TABLE credentials ADD COLUMN first_used_at TIMESTAMP;
ALTER TABLE credentials ADD COLUMN last_used_at TIMESTAMP;
ALTER TABLE credentials ADD COLUMN use_count BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credentials ADD COLUMN last_used_ip TEXT;
-- Leaked secrets are looked for by their hash, in every realm.
CREATE INDEX credentials_by_hash ON credentials (secret_hash);
CREATE INDEX credentials_by_end ON credentials (expires_at);

ALTER TABLE scope_grants ADD COLUMN ended_by TEXT
    CHECK ((state IN ('revoked', 'expired')) = (ended_by IS NOT NULL));
ALTER TABLE scope_grants ADD COLUMN ended_at TIMESTAMP;
ALTER TABLE scope_grants ADD COLUMN ended_reason TEXT;
CREATE INDEX scope_grants_by_end ON scope_grants (state, expires_at);

CREATE TABLE agreements (
    id TEXT NOT NULL PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partners (id),
    kind TEXT NOT NULL CHECK (kind IN ('contract', 'dpa')),
    reference TEXT NOT NULL,
    document_sha256 TEXT NOT NULL,
    lawful_basis TEXT,
    state TEXT NOT NULL CHECK (state IN ('draft', 'in_force', 'expired', 'terminated')),
    in_force_from TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    created_by TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    decided_by TEXT,
    decided_at TIMESTAMP,
    ended_by TEXT,
    ended_at TIMESTAMP,
    ended_reason TEXT,
    CHECK (in_force_from < expires_at),
    CHECK ((state = 'draft') = (decided_by IS NULL)),
    CHECK ((state IN ('expired', 'terminated')) = (ended_by IS NOT NULL))
);
CREATE INDEX agreements_of_partner ON agreements (partner_id, id);
CREATE INDEX agreements_by_end ON agreements (state, expires_at);

-- One is in force a partner; those before stay on record.
CREATE TABLE privacy_notices (
    id TEXT NOT NULL PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partners (id),
    requests TEXT NOT NULL,
    purpose TEXT NOT NULL,
    retention TEXT NOT NULL,
    how_to_revoke TEXT NOT NULL,
    support_contact TEXT NOT NULL,
    url TEXT,
    recorded_by TEXT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    superseded_at TIMESTAMP
);
CREATE UNIQUE INDEX privacy_notices_in_force ON privacy_notices (partner_id) WHERE superseded_at IS NULL;

-- One is open a partner.
CREATE TABLE launch_reviews (
    id TEXT NOT NULL PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partners (id),
    state TEXT NOT NULL CHECK (state IN ('draft', 'submitted', 'approved', 'rejected')),
    requested_by TEXT NOT NULL,
    requested_at TIMESTAMP NOT NULL,
    submitted_at TIMESTAMP,
    decided_by TEXT,
    decided_at TIMESTAMP,
    reason TEXT,
    CHECK (decided_by <> requested_by),
    CHECK ((state IN ('approved', 'rejected')) = (decided_by IS NOT NULL)),
    CHECK ((state = 'draft') = (submitted_at IS NULL))
);
CREATE INDEX launch_reviews_of_partner ON launch_reviews (partner_id, id);
CREATE UNIQUE INDEX launch_reviews_open ON launch_reviews (partner_id) WHERE state IN ('draft', 'submitted');

-- Who asked for the review stands here too, so that the database can refuse a waiver by the same hand.
CREATE TABLE launch_checks (
    review_id TEXT NOT NULL REFERENCES launch_reviews (id),
    name TEXT NOT NULL CHECK (name IN ('sandbox_order', 'idempotent_retry', 'webhook_verified',
        'billing_reconciled', 'failure_recovery', 'privacy_review', 'support_path')),
    state TEXT NOT NULL CHECK (state IN ('pending', 'passed', 'failed', 'waived')),
    requested_by TEXT NOT NULL,
    settled_by TEXT,
    settled_at TIMESTAMP,
    evidence TEXT,
    reason TEXT,
    PRIMARY KEY (review_id, name),
    CHECK ((state = 'pending') = (settled_by IS NULL)),
    CHECK ((state = 'waived') <= (reason IS NOT NULL)),
    CHECK ((state = 'waived') <= (settled_by <> requested_by))
);

-- What must not be accepted any more. The numbers are taken under the lock that orders
-- changes, and held to the commit: a higher one never appears before a lower one.
CREATE TABLE revocations (
    seq BIGINT NOT NULL PRIMARY KEY,
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live', 'admin')),
    kind TEXT NOT NULL CHECK (kind IN ('token', 'credential', 'client', 'partner', 'key', 'grant')),
    id TEXT NOT NULL,
    -- Grants only.
    scope TEXT,
    revoked_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    CHECK ((kind = 'grant') = (scope IS NOT NULL))
);
CREATE INDEX revocations_of_realm ON revocations (realm, seq);
CREATE INDEX revocations_by_end ON revocations (expires_at);
INSERT INTO sequences (name, value) VALUES ('revocations', 0), ('revocations_purged', 0);

CREATE TABLE audit_events (
    id TEXT NOT NULL PRIMARY KEY,
    at TIMESTAMP NOT NULL,
    actor TEXT NOT NULL,
    -- What the actor authenticated with.
    credential_id TEXT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    partner_id TEXT,
    realm TEXT,
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'refused')),
    request_id TEXT,
    source_ip TEXT,
    -- A JSON object without secrets.
    details TEXT NOT NULL
);
CREATE INDEX audit_events_of_partner ON audit_events (partner_id, realm, id);
CREATE INDEX audit_events_of_target ON audit_events (target, id);

-- What partners are told, numbered without gaps for a partner and realm.
CREATE TABLE events (
    partner_id TEXT NOT NULL REFERENCES partners (id),
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live')),
    seq BIGINT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    -- A JSON object: the ids of what it is about.
    data TEXT NOT NULL,
    PRIMARY KEY (partner_id, realm, seq)
);
CREATE TABLE event_counters (
    partner_id TEXT NOT NULL REFERENCES partners (id),
    realm TEXT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (partner_id, realm)
);

-- Which warnings before an end were given: each once.
CREATE TABLE expiry_warnings (
    subject TEXT NOT NULL,
    days INTEGER NOT NULL,
    at TIMESTAMP NOT NULL,
    PRIMARY KEY (subject, days)
);

-- A secret on its way: sealed with a key that only the link holds.
CREATE TABLE secret_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    credential_id TEXT NOT NULL REFERENCES credentials (id),
    state TEXT NOT NULL CHECK (state IN ('pending', 'opened', 'expired', 'cancelled')),
    proof_hash TEXT NOT NULL,
    ciphertext TEXT,
    lookups BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    opened_at TIMESTAMP,
    opened_ip TEXT,
    CHECK ((state = 'pending') = (ciphertext IS NOT NULL)),
    CHECK ((state = 'opened') = (opened_at IS NOT NULL))
);
CREATE INDEX secret_deliveries_of_credential ON secret_deliveries (credential_id);
CREATE INDEX secret_deliveries_by_end ON secret_deliveries (state, expires_at);

CREATE TABLE reviews (
    id TEXT NOT NULL PRIMARY KEY,
    partner_id TEXT REFERENCES partners (id),
    kind TEXT NOT NULL CHECK (kind IN ('prohibited_material', 'leak', 'related_partner', 'unexpected_activity')),
    -- The id of what raised it, never a value.
    pointer TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed')),
    opened_at TIMESTAMP NOT NULL,
    closed_by TEXT,
    closed_at TIMESTAMP,
    closed_reason TEXT,
    CHECK ((state = 'closed') = (closed_by IS NOT NULL))
);
-- What raises a case again while it is open adds nothing to it.
CREATE UNIQUE INDEX reviews_open ON reviews (kind, pointer) WHERE state = 'open';
CREATE INDEX reviews_of_partner ON reviews (partner_id, id);

CREATE TABLE leak_reports (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('received', 'done')),
    received_at TIMESTAMP NOT NULL,
    done_at TIMESTAMP,
    candidates INTEGER NOT NULL,
    matches INTEGER NOT NULL,
    source_ip TEXT,
    CHECK ((state = 'done') = (done_at IS NOT NULL))
);
CREATE INDEX leak_reports_by_state ON leak_reports (state, id);
-- Hashes under the pepper, never what was sent; what matches nothing is deleted.
CREATE TABLE leak_candidates (
    report_id TEXT NOT NULL REFERENCES leak_reports (id),
    hash TEXT NOT NULL,
    credential_id TEXT REFERENCES credentials (id),
    action TEXT CHECK (action IN ('revoked', 'grace', 'revoked_after_grace', 'already_revoked')),
    PRIMARY KEY (report_id, hash),
    CHECK ((credential_id IS NULL) = (action IS NULL))
);
CREATE INDEX leak_candidates_of_credential ON leak_candidates (credential_id, report_id);
CREATE INDEX leak_candidates_by_action ON leak_candidates (action);

-- What a client asked for and what it used, by the day (UTC).
CREATE TABLE scope_usage (
    client_id TEXT NOT NULL REFERENCES clients (id),
    day TEXT NOT NULL,
    scope TEXT NOT NULL,
    asked BIGINT NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (client_id, day, scope)
);
