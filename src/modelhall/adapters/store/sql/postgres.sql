-- What the PostgreSQL store asks and says. Each statement is found by the name above it. What is asked or said of
-- many things at once comes as one JSON text, which costs one parameter and no plan of its own.

-- name: find schema
SELECT to_regclass('hall_schema') IS NOT NULL
-- name: lock schema
SELECT pg_advisory_xact_lock(%(lock)s)
-- name: make schema
CREATE TABLE hall_schema (version integer NOT NULL); INSERT INTO hall_schema VALUES (0)
-- name: schema
SELECT version FROM hall_schema
-- name: set schema
UPDATE hall_schema SET version = %(version)s

-- name: begin
-- Whatever the server's default is: a statement after the lock has to see what was committed before it.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE
-- name: for as long as it takes
SET LOCAL statement_timeout = 0
-- name: commit
COMMIT

-- name: listen
LISTEN modelhall
-- name: notify
NOTIFY modelhall

-- name: get
SELECT body FROM resource WHERE kind = %(kind)s AND project = %(project)s AND name = %(name)s

-- name: find
SELECT body FROM resource WHERE kind = %(kind)s AND body IS NOT NULL
-- name: find latest
SELECT body FROM resource WHERE kind = %(kind)s AND body IS NOT NULL
-- name: find of an owner
SELECT body FROM resource WHERE owner = %(owner)s AND kind = %(kind)s AND body IS NOT NULL
-- name: find alive
SELECT body FROM resource WHERE kind = %(kind)s AND NOT resting AND body IS NOT NULL
-- name: alive
SELECT kind, project, name, revision, settled, names, body FROM resource WHERE kind = %(kind)s AND NOT resting AND body IS NOT NULL
-- name: find in a project
AND project = %(project)s
-- name: find with labels
AND labels @> %(labels)s::jsonb
-- name: find only alive
AND NOT resting
-- name: find at rest
AND resting
-- name: find after
AND (project, name) > (%(after_project)s, %(after_name)s)
-- name: find in a state
AND body::json -> 'status' ->> 'state' = %(state)s
-- name: find before
AND revision < %(before)s
-- name: find newest first
ORDER BY revision DESC LIMIT %(limit)s
-- name: find in order
ORDER BY project, name LIMIT %(limit)s

-- name: changes
SELECT newest.value, compacted.value, step.*
FROM counter newest
JOIN counter compacted ON newest.name = 'revision' AND compacted.name = 'compacted'
LEFT JOIN LATERAL (
    SELECT revision, kind, project, name, body FROM resource
    WHERE revision > %(after)s ORDER BY revision LIMIT %(limit)s
) step ON true
ORDER BY step.revision

-- name: counter
SELECT value FROM counter WHERE name = %(name)s

-- name: events
SELECT at, kind, project, name, event, message FROM event
-- name: events of one
WHERE kind = %(kind)s AND project = %(project)s AND name = %(name)s
-- name: events of a project
WHERE project = %(project)s
-- name: events of all
WHERE true
-- name: events in order
ORDER BY id DESC LIMIT %(limit)s

-- name: counts
SELECT kind, body::json -> 'status' ->> 'state', count(*) FROM resource WHERE body IS NOT NULL GROUP BY 1, 2

-- name: answer
SELECT at, once, request, body FROM answer WHERE once = %(once)s

-- name: lease
SELECT holder, epoch, beat FROM lease

-- name: end sleepers
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name = 'modelhall'
  AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL AND wait_event = 'ClientRead'
  AND state_change < clock_timestamp() - interval '2 seconds'

-- name: lock counter
SELECT value FROM counter WHERE name = 'revision' FOR UPDATE

-- name: look
SELECT kind, project, name, revision, deleting, owner
FROM json_to_recordset(%(rows)s::json) AS asked (kind text, project text, name text)
JOIN resource USING (kind, project, name)
WHERE body IS NOT NULL

-- name: count owned
SELECT path, (SELECT count(*) FROM resource WHERE owner = path)
FROM json_array_elements_text(%(rows)s::json) AS asked (path)

-- name: answered
SELECT once FROM answer JOIN json_array_elements_text(%(rows)s::json) AS asked (once) USING (once)

-- name: put
INSERT INTO resource (kind, project, name, revision, owner, labels, deleting, resting, settled, names, body)
SELECT kind, project, name, revision, owner, labels, deleting, resting, settled, names, body
FROM json_to_recordset(%(rows)s::json) AS row (
    kind text, project text, name text, revision bigint, owner text, labels jsonb, deleting boolean,
    resting boolean, settled boolean, names text, body text
)
ON CONFLICT (kind, project, name) DO UPDATE SET
    revision = excluded.revision, owner = excluded.owner, labels = excluded.labels,
    deleting = excluded.deleting, resting = excluded.resting,
    settled = excluded.settled, names = excluded.names, body = excluded.body

-- name: put events
INSERT INTO event (at, kind, project, name, event, message)
SELECT at, kind, project, name, event, message
FROM json_to_recordset(%(rows)s::json) AS row (
    at double precision, kind text, project text, name text, event text, message text
)

-- name: forget events
DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - %(kept)s

-- name: put answers
INSERT INTO answer (at, once, request, body)
SELECT at, once, request, body
FROM json_to_recordset(%(rows)s::json) AS row (at double precision, once text, request text, body text)

-- name: forget answers
DELETE FROM answer WHERE id <= (SELECT max(id) FROM answer) - %(kept)s

-- name: put lease
INSERT INTO lease VALUES (1, %(holder)s, %(epoch)s, %(beat)s)
ON CONFLICT (one) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch, beat = excluded.beat

-- name: raise counter
UPDATE counter SET value = greatest(value, %(value)s) WHERE name = %(name)s

-- name: forget removals
WITH too_many AS (
    SELECT revision FROM resource WHERE body IS NULL ORDER BY revision DESC LIMIT 1 OFFSET %(kept)s
), forgotten AS (
    DELETE FROM resource USING too_many WHERE body IS NULL AND resource.revision <= too_many.revision
)
UPDATE counter SET value = greatest(value, too_many.revision) FROM too_many WHERE name = 'compacted'
