-- Names are compared byte by byte, as everywhere in the hall, and not by the rules of some language.
-- Resources as their newest JSON, one row each; a removed one stays for a while as a row without a body, so that
-- whoever follows the changes learns of its end. The body is text, since jsonb cannot hold all that JSON can.
CREATE TABLE resource (
    kind     text COLLATE "C" NOT NULL,
    project  text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    revision bigint           NOT NULL UNIQUE,
    owner    text COLLATE "C",
    labels   jsonb            NOT NULL,
    deleting boolean          NOT NULL,
    resting  boolean          NOT NULL,
    body     text,
    PRIMARY KEY (kind, project, name)
);
CREATE INDEX resource_owned ON resource (owner, kind, project, name) WHERE owner IS NOT NULL;
CREATE INDEX resource_alive ON resource (kind, project, name) WHERE NOT resting;
CREATE INDEX resource_removed ON resource (revision) WHERE body IS NULL;

CREATE TABLE event (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      double precision NOT NULL,
    kind    text COLLATE "C" NOT NULL,
    project text COLLATE "C" NOT NULL,
    name    text COLLATE "C" NOT NULL,
    event   text             NOT NULL,
    message text             NOT NULL
);
CREATE INDEX event_of ON event (kind, project, name, id);

CREATE TABLE answer (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      double precision NOT NULL,
    once    text COLLATE "C" NOT NULL UNIQUE,
    request text             NOT NULL,
    body    text             NOT NULL
);

CREATE TABLE lease (
    one    integer PRIMARY KEY CHECK (one = 1),
    holder text    NOT NULL,
    epoch  bigint  NOT NULL,
    beat   bigint  NOT NULL
);

-- Whoever writes locks the row of 'revision' first, so there is one who writes at a time, and revisions grow in the
-- order in which they come to be seen. No change after 'compacted' has been forgotten.
CREATE TABLE counter (name text PRIMARY KEY, value bigint NOT NULL);
INSERT INTO counter VALUES ('revision', 0), ('compacted', 0);
