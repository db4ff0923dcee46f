ALTER TABLE issued_tokens DROP COLUMN status_index;
ALTER TABLE issued_tokens DROP COLUMN status_list;
ALTER TABLE issued_tokens DROP COLUMN rsn;
DROP TABLE status_index_leases;
DROP TABLE status_lists;
DELETE FROM sequences WHERE name = 'status_lists';
