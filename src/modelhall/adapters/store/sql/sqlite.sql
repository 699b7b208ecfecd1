-- What the SQLite store asks and says. Each statement is found by the name above it.

-- name: get
SELECT body FROM resource WHERE kind = :kind AND project = :project AND name = :name

-- name: find
SELECT body FROM resource WHERE kind = :kind AND body IS NOT NULL
-- name: find latest
SELECT body FROM resource WHERE +kind = :kind AND body IS NOT NULL
-- name: find of an owner
SELECT body FROM resource INDEXED BY resource_owned
WHERE owner = :owner AND kind = :kind AND body IS NOT NULL
-- name: find alive
SELECT body FROM resource INDEXED BY resource_alive
WHERE kind = :kind AND resting = 0 AND body IS NOT NULL
-- name: alive
SELECT kind, project, name, revision, settled, names, body FROM resource INDEXED BY resource_alive
WHERE kind = :kind AND resting = 0 AND body IS NOT NULL
-- name: find in a project
AND project = :project
-- name: find with labels
AND NOT EXISTS (
    SELECT 1 FROM json_each(:labels) asked
    LEFT JOIN json_each(resource.labels) has ON has.key = asked.key AND has.value = asked.value
    WHERE has.key IS NULL
)
-- name: find only alive
AND resting = 0
-- name: find at rest
AND resting = 1
-- name: find after
AND (project, name) > (:after_project, :after_name)
-- name: find in a state
AND json_extract(body, '$.status.state') = :state
-- name: find before
AND revision < :before
-- name: find newest first
ORDER BY revision DESC LIMIT :limit
-- name: find in order
ORDER BY project, name LIMIT ifnull(:limit, -1)

-- name: changes
SELECT revision, kind, project, name, body FROM resource WHERE revision > :after ORDER BY revision LIMIT :limit

-- name: counter
SELECT value FROM counter WHERE name = :name

-- name: events
SELECT at, kind, project, name, event, message FROM event
-- name: events of one
WHERE kind = :kind AND project = :project AND name = :name
-- name: events of a project
WHERE project = :project
-- name: events of all
WHERE true
-- name: events in order
ORDER BY id DESC LIMIT :limit

-- name: counts
SELECT kind, json_extract(body, '$.status.state'), count(*) FROM resource WHERE body IS NOT NULL GROUP BY 1, 2

-- name: answer
SELECT at, once, request, body FROM answer WHERE once = :once

-- name: lease
SELECT holder, epoch, beat FROM lease

-- name: look
SELECT revision, deleting, owner FROM resource
WHERE kind = ? AND project = ? AND name = ? AND body IS NOT NULL

-- name: count owned
SELECT count(*) FROM resource WHERE owner = ?

-- name: put
INSERT INTO resource (kind, project, name, revision, owner, labels, deleting, resting, settled, names, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, project, name) DO UPDATE SET
    revision = excluded.revision, owner = excluded.owner, labels = excluded.labels,
    deleting = excluded.deleting, resting = excluded.resting,
    settled = excluded.settled, names = excluded.names, body = excluded.body

-- name: put event
INSERT INTO event (at, kind, project, name, event, message) VALUES (?, ?, ?, ?, ?, ?)

-- name: forget events
DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - :kept

-- name: put answer
INSERT INTO answer (at, once, request, body) VALUES (?, ?, ?, ?)

-- name: forget answers
DELETE FROM answer WHERE id <= (SELECT max(id) FROM answer) - :kept

-- name: put lease
INSERT INTO lease VALUES (1, ?, ?, ?)
ON CONFLICT (one) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch, beat = excluded.beat

-- name: raise counter
UPDATE counter SET value = max(value, :value) WHERE name = :name

-- name: oldest removal too many
SELECT revision FROM resource WHERE body IS NULL ORDER BY revision DESC LIMIT 1 OFFSET :kept

-- name: forget removals
DELETE FROM resource WHERE body IS NULL AND revision <= :until
