DROP INDEX events_by_age;
ALTER TABLE event_counters DROP COLUMN purged;
DROP TABLE trespasses;
DROP TABLE request_log;
