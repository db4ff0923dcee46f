-- SQLite has neither roles nor policies: there the store's functions, which take the tenant first,
-- are the wall. The step exists so that both engines count alike.
SELECT 1;
