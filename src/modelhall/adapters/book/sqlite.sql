-- Entries and usage are only ever added. The triggers hold that against every program that opens the file, this
-- one included: an id that is there is passed over, even by INSERT OR REPLACE; UPDATE and DELETE fail.
CREATE TABLE entry (
    id            TEXT    PRIMARY KEY,
    at            REAL    NOT NULL,
    project       TEXT    NOT NULL,
    debit         TEXT    NOT NULL,
    credit        TEXT    NOT NULL,
    run           TEXT,
    service       TEXT,
    model         TEXT,
    user          TEXT,
    cpu_s         REAL    NOT NULL,
    energy_j      REAL    NOT NULL,
    energy_source TEXT    NOT NULL,
    measured      INTEGER NOT NULL,
    co2_g         REAL    NOT NULL,
    cost_nano     INTEGER NOT NULL,
    gpu_s         REAL    NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX entry_of ON entry (debit, at);
CREATE INDEX entry_by_run ON entry (run);

CREATE TABLE usage (
    request    TEXT    PRIMARY KEY,
    at         REAL    NOT NULL,
    project    TEXT    NOT NULL,
    service    TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    replica    TEXT    NOT NULL,
    status     INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    duration_s REAL    NOT NULL,
    weight     REAL    NOT NULL,
    bytes_in   INTEGER NOT NULL,
    bytes_out  INTEGER NOT NULL,
    tokens_in  INTEGER,
    tokens_out INTEGER,
    first_token_s REAL,
    tokens_cached INTEGER,
    from_cache  INTEGER NOT NULL DEFAULT 0,
    charge_nano INTEGER NOT NULL DEFAULT 0,
    user       TEXT    NOT NULL DEFAULT '',
    adapter    TEXT    NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- Requests without an entry: a list of what is to be done, kept by the triggers, not part of the record.
CREATE TABLE unsettled (
    request  TEXT PRIMARY KEY,
    project  TEXT NOT NULL,
    replica  TEXT NOT NULL,
    ended_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX unsettled_of ON unsettled (project, replica, ended_at);
CREATE INDEX unsettled_since ON unsettled (ended_at);

CREATE TABLE mark (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;

CREATE TRIGGER entry_once BEFORE INSERT ON entry
WHEN EXISTS (SELECT 1 FROM entry WHERE id = NEW.id)
BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER entry_kept BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
CREATE TRIGGER entry_fixed BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;

CREATE TRIGGER usage_once BEFORE INSERT ON usage
WHEN EXISTS (SELECT 1 FROM usage WHERE request = NEW.request)
BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER usage_kept BEFORE DELETE ON usage BEGIN SELECT RAISE(ABORT, 'usage is never removed'); END;
CREATE TRIGGER usage_fixed BEFORE UPDATE ON usage BEGIN SELECT RAISE(ABORT, 'usage is never changed'); END;

CREATE TRIGGER usage_to_settle AFTER INSERT ON usage
WHEN NOT EXISTS (SELECT 1 FROM entry WHERE debit = 'request/' || NEW.request)
BEGIN INSERT INTO unsettled VALUES (NEW.request, NEW.project, NEW.replica, NEW.at + NEW.duration_s); END;
CREATE TRIGGER usage_settled AFTER INSERT ON entry WHEN NEW.debit LIKE 'request/%'
BEGIN DELETE FROM unsettled WHERE request = substr(NEW.debit, 9); END;
