-- What is as declared need not be read at the start: a row tells that it is, and what it names. Of rows that are there
-- already it is not known, and they are read.
ALTER TABLE resource ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE resource ADD COLUMN names TEXT NOT NULL DEFAULT '';
