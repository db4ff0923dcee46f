DROP TABLE limit_overrides;
DROP TABLE partner_limits;
DROP TABLE plans;
