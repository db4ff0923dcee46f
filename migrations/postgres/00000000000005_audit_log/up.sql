-- The audit trail as a log that can be checked: each event carries a MAC from its transaction, and
-- gets a place in a Merkle tree (RFC 9162) afterwards.

-- HMAC-SHA-256 over the event's leaf, in hex.
ALTER TABLE audit_events ADD COLUMN mac TEXT;
-- What stands in the leaf for the address: SHA-256 over a label, this salt and the address. The
-- address and its salt go early; the commitment stays with the row.
ALTER TABLE audit_events ADD COLUMN source_ip_salt TEXT;
ALTER TABLE audit_events ADD COLUMN source_ip_commitment TEXT;
-- The place in the tree, and a MAC over the place and the leaf's hash.
ALTER TABLE audit_events ADD COLUMN leaf_index BIGINT;
ALTER TABLE audit_events ADD COLUMN leaf_mac TEXT;
-- Why it is not given a place: its MAC is not good.
ALTER TABLE audit_events ADD COLUMN set_aside TEXT;
CREATE UNIQUE INDEX audit_events_by_leaf ON audit_events (leaf_index) WHERE leaf_index IS NOT NULL;
CREATE INDEX audit_events_pending ON audit_events (id) WHERE leaf_index IS NULL AND set_aside IS NULL;
CREATE INDEX audit_events_set_aside ON audit_events (id) WHERE set_aside IS NOT NULL;
CREATE INDEX audit_events_with_address ON audit_events (at) WHERE source_ip IS NOT NULL;

-- The hashes of the tree's nodes one after another, in the order in which they become known: 512
-- of 32 bytes to a row. They outlive the events.
CREATE TABLE audit_hashes (
    chunk BIGINT NOT NULL PRIMARY KEY,
    hashes BYTEA NOT NULL CHECK (length(hashes) > 0 AND length(hashes) <= 16384 AND length(hashes) % 32 = 0)
);

-- Signed heads of the tree (C2SP tlog-checkpoint).
CREATE TABLE audit_checkpoints (
    size BIGINT NOT NULL PRIMARY KEY CHECK (size > 0),
    note TEXT NOT NULL,
    signed_at TIMESTAMP NOT NULL
);

-- Work that one node at a time does.
CREATE TABLE leases (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder TEXT COLLATE "C" NOT NULL,
    expires_at TIMESTAMP NOT NULL
);

INSERT INTO leases (name, holder, expires_at) VALUES ('audit_sequencer', '', '1970-01-01 00:00:00');

-- Events with a lower place are those that retention may delete.
INSERT INTO sequences (name, value) VALUES ('audit_kept_from', 0);

-- A first fence. Whoever may drop it is found by the tree.
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% stay as they are', TG_TABLE_NAME;
END $$;
CREATE FUNCTION audit_events_fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.leaf_index IS NULL
            OR OLD.leaf_index >= (SELECT value FROM sequences WHERE name = 'audit_kept_from') THEN
            RAISE EXCEPTION 'audit events stay';
        END IF;
        RETURN OLD;
    END IF;
    IF (OLD.id, OLD.at, OLD.actor, OLD.credential_id, OLD.action, OLD.target, OLD.partner_id, OLD.realm,
            OLD.outcome, OLD.request_id, OLD.details)
        IS DISTINCT FROM (NEW.id, NEW.at, NEW.actor, NEW.credential_id, NEW.action, NEW.target, NEW.partner_id,
            NEW.realm, NEW.outcome, NEW.request_id, NEW.details)
        OR (OLD.mac IS NOT NULL AND (OLD.mac IS DISTINCT FROM NEW.mac
            OR OLD.source_ip_commitment IS DISTINCT FROM NEW.source_ip_commitment
            OR (NEW.source_ip_salt IS NOT NULL AND OLD.source_ip_salt IS DISTINCT FROM NEW.source_ip_salt)))
        OR (NEW.source_ip IS NOT NULL AND OLD.source_ip IS DISTINCT FROM NEW.source_ip)
        OR (OLD.leaf_index IS NOT NULL AND OLD.leaf_index IS DISTINCT FROM NEW.leaf_index)
        OR (OLD.leaf_mac IS NOT NULL AND OLD.leaf_mac IS DISTINCT FROM NEW.leaf_mac)
        OR (OLD.set_aside IS NOT NULL AND OLD.set_aside IS DISTINCT FROM NEW.set_aside) THEN
        RAISE EXCEPTION 'audit events stay as they are';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION audit_hashes_fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.chunk <> NEW.chunk OR substring(NEW.hashes FROM 1 FOR length(OLD.hashes)) <> OLD.hashes THEN
        RAISE EXCEPTION 'audit hashes only grow';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_fence();
CREATE TRIGGER audit_hashes_only_grow BEFORE UPDATE ON audit_hashes
    FOR EACH ROW EXECUTE FUNCTION audit_hashes_fence();
CREATE TRIGGER audit_hashes_stay BEFORE DELETE ON audit_hashes
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoints_stay BEFORE UPDATE OR DELETE ON audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
-- TRUNCATE fires no row's trigger.
CREATE TRIGGER audit_events_are_not_emptied BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_hashes_are_not_emptied BEFORE TRUNCATE ON audit_hashes
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoints_are_not_emptied BEFORE TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
