-- Pots that fill up again: when they will be full. One that is full needs no row.
CREATE TABLE filling (pot TEXT PRIMARY KEY, full_at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX filling_until ON filling (full_at);

-- Pots that do not: who drew how much. What those have used who are no more is under the empty name.
CREATE TABLE drawn (
    pot    TEXT    NOT NULL,
    holder TEXT    NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (pot, holder)
) WITHOUT ROWID;
