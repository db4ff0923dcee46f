DROP TABLE version_uses;
ALTER TABLE request_log DROP COLUMN version;
ALTER TABLE partners DROP COLUMN pinned_version;
