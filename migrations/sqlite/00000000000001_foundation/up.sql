-- The foundation: partners and what they may do, their clients and credentials,
-- the keys that sign, and the tokens that were given out.

CREATE TABLE instance (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE partners (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    legal_name TEXT NOT NULL,
    security_contact TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('applied', 'approved', 'suspended', 'offboarded', 'rejected')),
    created_by TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE resource_servers (
    id TEXT NOT NULL PRIMARY KEY,
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live')),
    identifier TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    signing_alg TEXT NOT NULL CHECK (signing_alg IN ('ES256', 'RS256', 'PS256', 'EdDSA')),
    created_by TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (realm, identifier)
);

CREATE TABLE clients (
    id TEXT NOT NULL PRIMARY KEY,
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live', 'admin')),
    kind TEXT NOT NULL CHECK (kind IN ('partner', 'resource_server', 'operator')),
    partner_id TEXT REFERENCES partners (id),
    resource_server_id TEXT REFERENCES resource_servers (id),
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'revoked')),
    scopes TEXT NOT NULL,
    default_scopes TEXT,
    token_ttl INTEGER CHECK (token_ttl BETWEEN 60 AND 900),
    expires_at TIMESTAMP,
    created_by TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    CHECK ((kind = 'partner') = (partner_id IS NOT NULL)),
    CHECK ((kind = 'resource_server') = (resource_server_id IS NOT NULL)),
    CHECK ((kind = 'operator') = (realm = 'admin'))
);
CREATE INDEX clients_of_partner ON clients (partner_id, realm, id);

CREATE TABLE credentials (
    id TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL REFERENCES clients (id),
    kind TEXT NOT NULL CHECK (kind IN ('secret')),
    secret_hash TEXT NOT NULL,
    pepper_version INTEGER NOT NULL,
    hint TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'rotated', 'revoked')),
    expires_at TIMESTAMP,
    accepts_until TIMESTAMP,
    created_by TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    revoked_at TIMESTAMP,
    revoked_by TEXT,
    revoked_reason TEXT CHECK (revoked_reason IN ('compromised', 'unused', 'offboarding', 'superseded', 'other')),
    revoked_note TEXT,
    CHECK ((state = 'revoked') = (revoked_at IS NOT NULL)),
    CHECK ((state = 'rotated') <= (accepts_until IS NOT NULL))
);
CREATE INDEX credentials_of_client ON credentials (client_id, id);

CREATE TABLE scope_grants (
    id TEXT NOT NULL PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partners (id),
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live')),
    scope TEXT NOT NULL,
    -- None: the partner API.
    resource_server_id TEXT REFERENCES resource_servers (id),
    purpose TEXT NOT NULL,
    lawful_basis TEXT,
    data_classes TEXT NOT NULL,
    retention_days INTEGER NOT NULL CHECK (retention_days >= 0),
    state TEXT NOT NULL CHECK (state IN ('requested', 'approved', 'denied', 'revoked', 'expired')),
    requested_by TEXT NOT NULL,
    requested_at TIMESTAMP NOT NULL,
    decided_by TEXT,
    decided_at TIMESTAMP,
    expires_at TIMESTAMP NOT NULL,
    CHECK (decided_by <> requested_by),
    CHECK ((state = 'requested') = (decided_by IS NULL))
);
CREATE INDEX scope_grants_of_partner ON scope_grants (partner_id, realm, id);

CREATE TABLE signing_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live', 'admin')),
    alg TEXT NOT NULL CHECK (alg IN ('ES256', 'RS256', 'PS256', 'EdDSA')),
    sealed_key TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('generated', 'imported')),
    published_at TIMESTAMP NOT NULL,
    signs_from TIMESTAMP NOT NULL,
    signs_until TIMESTAMP,
    published_until TIMESTAMP,
    CHECK ((signs_until IS NULL) = (published_until IS NULL))
);
CREATE INDEX signing_keys_of_realm ON signing_keys (realm, alg, signs_from);

-- The key leads with the time: a random one alone would cost five times as much.
CREATE TABLE issued_tokens (
    issued_at TIMESTAMP NOT NULL,
    jti TEXT NOT NULL,
    realm TEXT NOT NULL,
    client_id TEXT NOT NULL,
    partner_id TEXT,
    credential_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    aud TEXT NOT NULL,
    kid TEXT NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    source_ip TEXT,
    PRIMARY KEY (issued_at, jti)
);
