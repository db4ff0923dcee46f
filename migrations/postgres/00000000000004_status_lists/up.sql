-- Token Status Lists: each token has an index of a list, which says whether it was revoked.

CREATE TABLE status_lists (
    -- What tokens' records name a list by; small, since there is one in every record.
    number BIGINT NOT NULL PRIMARY KEY,
    -- What the outside names it by.
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    realm TEXT COLLATE "C" NOT NULL CHECK (realm IN ('sandbox', 'live', 'admin')),
    -- How many indices it has, and up to which they are leased out.
    size BIGINT NOT NULL CHECK (size > 0),
    leased BIGINT NOT NULL CHECK (leased >= 0 AND leased <= size),
    created_at TIMESTAMP NOT NULL,
    -- When its last indices were leased out.
    closed_at TIMESTAMP,
    -- When the last of its tokens was dead.
    retired_at TIMESTAMP,
    CHECK (retired_at IS NULL OR closed_at IS NOT NULL)
);
CREATE INDEX status_lists_of_realm ON status_lists (realm, number);
INSERT INTO sequences (name, value) VALUES ('status_lists', 0);

-- Indices that one process alone gives out, until the lease ends: a list is retired by that.
CREATE TABLE status_index_leases (
    list BIGINT NOT NULL REFERENCES status_lists (number),
    first_index BIGINT NOT NULL CHECK (first_index >= 0),
    length BIGINT NOT NULL CHECK (length > 0),
    taken_at TIMESTAMP NOT NULL,
    ends_at TIMESTAMP NOT NULL,
    PRIMARY KEY (list, first_index)
);

-- What decides whether a revocation kills a token, and where that is shown. None in records of
-- before; those tokens have no index.
ALTER TABLE issued_tokens ADD COLUMN rsn BIGINT;
ALTER TABLE issued_tokens ADD COLUMN status_list BIGINT;
ALTER TABLE issued_tokens ADD COLUMN status_index BIGINT;
