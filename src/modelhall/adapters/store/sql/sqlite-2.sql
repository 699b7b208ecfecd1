-- Rows carry what is asked for besides the key, leases and answers get tables of their own, and removals are
-- forgotten after a while. The rows lie in a table with row ids: without, whole bodies stand in the inner nodes of the
-- tree, which gets so deep that a write among many rows costs twice that among few.
ALTER TABLE resource RENAME TO resource_1;

CREATE TABLE resource (
    kind     TEXT    NOT NULL,
    project  TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    owner    TEXT,
    labels   TEXT    NOT NULL DEFAULT '{}',
    deleting INTEGER NOT NULL DEFAULT 0,
    resting  INTEGER NOT NULL DEFAULT 0,
    body     TEXT,
    PRIMARY KEY (kind, project, name)
);

INSERT INTO resource
SELECT kind, project, name, revision,
    json_extract(body, '$.document.owner'),
    ifnull(json_extract(body, '$.document.labels'), '{}'),
    ifnull(json_extract(body, '$.deleting'), 0),
    body IS NULL OR kind = 'result'
        OR (kind = 'run' AND NOT json_extract(body, '$.deleting')
            AND json_extract(body, '$.status.state') IN ('succeeded', 'failed', 'cancelled')),
    body
FROM resource_1;

DROP TABLE resource_1;

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
