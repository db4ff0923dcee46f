-- How often a partner sent what must not be sent, and of which kind it was: never what it was.
CREATE TABLE prohibited_findings (
    partner_id TEXT COLLATE "C" NOT NULL REFERENCES partners (id),
    realm TEXT COLLATE "C" NOT NULL CHECK (realm IN ('sandbox', 'live')),
    material TEXT COLLATE "C" NOT NULL,
    count BIGINT NOT NULL,
    first_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL,
    PRIMARY KEY (partner_id, realm, material)
);
