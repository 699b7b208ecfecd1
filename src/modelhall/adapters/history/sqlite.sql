-- A frame has the figures of one subject at one level: 0 as they were read, 1 by the minute, 2 by the hour. Which
-- figure stands where in its data is its shape's: names, one a line.
CREATE TABLE subject (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE shape (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE);
CREATE TABLE frame (
    level   INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    at      REAL    NOT NULL,
    shape   INTEGER NOT NULL,
    data    BLOB    NOT NULL,
    PRIMARY KEY (level, subject, at)
) WITHOUT ROWID;
