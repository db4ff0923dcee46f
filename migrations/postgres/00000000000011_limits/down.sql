DELETE FROM changes WHERE entity = 'plan';
ALTER TABLE changes DROP CONSTRAINT changes_entity_check;
ALTER TABLE changes ADD CONSTRAINT changes_entity_check CHECK (entity IN ('client', 'partner', 'resource_server', 'keys'));
DROP TABLE limit_overrides;
DROP TABLE partner_limits;
DROP TABLE plans;
