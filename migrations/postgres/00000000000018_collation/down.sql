ALTER TABLE packages
    ALTER COLUMN name TYPE TEXT COLLATE "default",
    ALTER COLUMN features TYPE TEXT COLLATE "default";
