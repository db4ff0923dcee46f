-- Searches compare in lower case by ASCII alone, whatever language the database was made for.
ALTER TABLE packages
    ALTER COLUMN name TYPE TEXT COLLATE "C",
    ALTER COLUMN features TYPE TEXT COLLATE "C";
