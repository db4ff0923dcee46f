DROP TABLE issued_tokens;
DROP TABLE signing_keys;
DROP TABLE scope_grants;
DROP TABLE credentials;
DROP TABLE clients;
DROP TABLE resource_servers;
DROP TABLE partners;
DROP TABLE instance;
