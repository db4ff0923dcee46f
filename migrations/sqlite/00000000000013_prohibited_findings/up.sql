-- How often a partner sent what must not be sent, and of which kind it was: never what it was.
CREATE TABLE prohibited_findings (
    partner_id TEXT NOT NULL REFERENCES partners (id),
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live')),
    material TEXT NOT NULL,
    count BIGINT NOT NULL,
    first_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL,
    PRIMARY KEY (partner_id, realm, material)
);
