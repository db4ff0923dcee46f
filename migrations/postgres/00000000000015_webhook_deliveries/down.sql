DROP TABLE webhook_replays;
DROP TABLE webhook_attempts;
DROP TABLE webhook_deliveries;
DROP INDEX webhook_endpoints_by_lease;
DROP TABLE webhook_workers;
