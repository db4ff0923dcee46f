DELETE FROM changes WHERE entity = 'plan';
CREATE TABLE changes_anew (
    seq BIGINT NOT NULL,
    entity TEXT NOT NULL CHECK (entity IN ('client', 'partner', 'resource_server', 'keys')),
    id TEXT NOT NULL,
    at TIMESTAMP NOT NULL,
    PRIMARY KEY (seq, entity, id)
);
INSERT INTO changes_anew SELECT seq, entity, id, at FROM changes;
DROP TABLE changes;
ALTER TABLE changes_anew RENAME TO changes;
DROP TABLE limit_overrides;
DROP TABLE partner_limits;
DROP TABLE plans;
