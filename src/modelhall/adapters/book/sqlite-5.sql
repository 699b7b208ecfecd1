-- From schema 5: requests tell which adapter was asked.
ALTER TABLE usage ADD COLUMN adapter TEXT NOT NULL DEFAULT '';
