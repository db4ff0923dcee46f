-- Which version of the partner API a partner is spoken to in, and who still calls what.

ALTER TABLE partners ADD COLUMN pinned_version TEXT;
ALTER TABLE request_log ADD COLUMN version TEXT;

CREATE TABLE version_uses (
    -- Partner, realm, client, version and route in one: what pages go by.
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    partner_id TEXT COLLATE "C" NOT NULL REFERENCES partners (id),
    realm TEXT COLLATE "C" NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    route TEXT COLLATE "C" NOT NULL,
    calls BIGINT NOT NULL,
    first_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL
);
CREATE INDEX version_uses_by_version ON version_uses (version, id);
