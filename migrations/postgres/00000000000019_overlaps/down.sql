DROP INDEX credentials_by_overlap;
