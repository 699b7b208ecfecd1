-- From schema 2: requests tell what they are charged, and what of them came from a cache.
ALTER TABLE usage ADD COLUMN tokens_cached INTEGER;
ALTER TABLE usage ADD COLUMN from_cache INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN charge_nano INTEGER NOT NULL DEFAULT 0;
