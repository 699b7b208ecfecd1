-- Resources as their newest JSON, one row each; a removed one stays as a row without a body, so that
-- whoever follows the changes learns of its end.
CREATE TABLE IF NOT EXISTS resource (
    kind     TEXT    NOT NULL,
    project  TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    body     TEXT,
    PRIMARY KEY (kind, project, name)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS event (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       REAL NOT NULL,
    kind     TEXT NOT NULL,
    project  TEXT NOT NULL,
    name     TEXT NOT NULL,
    event    TEXT NOT NULL,
    message  TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS event_of ON event (kind, project, name, id);

CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO counter VALUES ('revision', 0);
