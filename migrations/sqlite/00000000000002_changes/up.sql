-- What any node must reload, in the order of commit. The counter's row is taken first
-- in a transaction and held to its end, so that a higher number never commits before a
-- lower one: who has read up to N has missed nothing below.

CREATE TABLE sequences (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO sequences (name, value) VALUES ('changes', 0), ('changes_purged', 0);

CREATE TABLE changes (
    seq BIGINT NOT NULL,
    entity TEXT NOT NULL CHECK (entity IN ('client', 'partner', 'resource_server', 'keys')),
    id TEXT NOT NULL,
    at TIMESTAMP NOT NULL,
    PRIMARY KEY (seq, entity, id)
);
