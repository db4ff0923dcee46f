-- How much an order includes and how much of it was used, and who was told of a version's end.

ALTER TABLE packages ADD COLUMN included_quantity BIGINT CHECK (included_quantity > 0);
ALTER TABLE packages ADD COLUMN included_unit TEXT;

-- What an order includes, as its package said when it was placed; an order of a package that says nothing has no row.
CREATE TABLE allowances (
    partner_id TEXT NOT NULL,
    realm TEXT NOT NULL,
    order_id TEXT NOT NULL,
    package_id TEXT NOT NULL,
    unit TEXT NOT NULL,
    included BIGINT NOT NULL CHECK (included > 0),
    -- What usage records in this unit add up to.
    used BIGINT NOT NULL CHECK (used >= 0),
    PRIMARY KEY (order_id, partner_id, realm),
    FOREIGN KEY (partner_id, realm, order_id) REFERENCES orders (partner_id, realm, id)
);

-- Which partners were told that a version which they speak has a successor: once each.
CREATE TABLE version_notices (
    partner_id TEXT NOT NULL REFERENCES partners (id),
    realm TEXT NOT NULL CHECK (realm IN ('sandbox', 'live')),
    version TEXT NOT NULL,
    given_at TIMESTAMP NOT NULL,
    PRIMARY KEY (partner_id, realm, version)
);
