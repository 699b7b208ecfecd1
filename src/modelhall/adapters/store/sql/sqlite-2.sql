-- Rows carry what is asked for besides the key, leases and answers get tables of their own, and removals
-- are forgotten after a while.
ALTER TABLE resource ADD COLUMN owner TEXT;
ALTER TABLE resource ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE resource ADD COLUMN deleting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE resource ADD COLUMN resting INTEGER NOT NULL DEFAULT 0;

UPDATE resource SET
    owner    = json_extract(body, '$.document.owner'),
    labels   = json_extract(body, '$.document.labels'),
    deleting = json_extract(body, '$.deleting')
WHERE body IS NOT NULL;
UPDATE resource SET resting = 1
WHERE body IS NULL OR kind = 'result'
   OR (kind = 'run' AND NOT deleting
       AND json_extract(body, '$.status.state') IN ('succeeded', 'failed', 'cancelled'));

CREATE INDEX resource_owned ON resource (owner, kind, project, name) WHERE owner IS NOT NULL;
CREATE INDEX resource_alive ON resource (kind, project, name) WHERE resting = 0;
CREATE INDEX resource_removed ON resource (revision) WHERE body IS NULL;

-- No change after this revision has been forgotten.
INSERT OR IGNORE INTO counter VALUES ('compacted', 0);

CREATE TABLE answer (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      REAL NOT NULL,
    once    TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL,
    body    TEXT NOT NULL
);

CREATE TABLE lease (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    holder TEXT    NOT NULL,
    epoch  INTEGER NOT NULL,
    beat   INTEGER NOT NULL
);
