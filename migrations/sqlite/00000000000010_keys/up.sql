-- A revoked key has ended in every respect, and stays on record so that it never comes back.
ALTER TABLE signing_keys ADD COLUMN revoked_at TIMESTAMP CHECK (revoked_at IS NULL
    OR (signs_until IS NOT NULL AND signs_until <= revoked_at AND published_until <= revoked_at));
