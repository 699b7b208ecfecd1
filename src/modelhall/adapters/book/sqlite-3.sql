-- From schema 3: entries tell whose model and whose request it was for.
ALTER TABLE entry ADD COLUMN model TEXT;
ALTER TABLE entry ADD COLUMN user TEXT;
ALTER TABLE usage ADD COLUMN user TEXT NOT NULL DEFAULT '';
