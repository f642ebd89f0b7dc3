-- name: AddWay :exec
INSERT INTO way (id, hash, person, version, sealed)
VALUES (sqlc.arg(id), sqlc.arg(hash), sqlc.arg(person), 1, sqlc.arg(sealed));

-- name: ChangeWay :execresult
UPDATE way SET version = version + 1, sealed = sqlc.arg(sealed) WHERE id = sqlc.arg(id) AND version = sqlc.arg(version);

-- name: RemoveWay :exec
DELETE FROM way WHERE id = sqlc.arg(id);

-- name: Way :one
SELECT id, version, sealed FROM way WHERE id = sqlc.arg(id);

-- name: WayByHash :one
SELECT id, version, sealed FROM way WHERE hash = sqlc.arg(hash);

-- name: WaysOf :many
SELECT id, version, sealed FROM way WHERE person = sqlc.arg(person);
