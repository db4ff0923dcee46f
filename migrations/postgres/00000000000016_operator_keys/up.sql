-- What operators executed and were answered under a key, as `idempotency_keys` has it of partners.
CREATE TABLE operator_keys (
    client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id),
    operation TEXT COLLATE "C" NOT NULL,
    key_hash TEXT COLLATE "C" NOT NULL,
    -- SHA-256 over method, path and canonical body.
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    -- JSON: the headers that belong to the answer, and its body.
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    -- The id of what was made or moved.
    resource TEXT COLLATE "C",
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (client_id, operation, key_hash)
);
CREATE INDEX operator_keys_by_age ON operator_keys (created_at);
