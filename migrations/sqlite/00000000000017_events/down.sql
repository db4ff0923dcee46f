DROP TABLE version_notices;
DROP TABLE allowances;
ALTER TABLE packages DROP COLUMN included_unit;
ALTER TABLE packages DROP COLUMN included_quantity;
