-- name: NextNumber :one
-- The row stays locked until the transaction ends, so numbers become visible in their order and without gaps. A
-- sequence of the database's would give neither.
UPDATE counter SET value = value + 1 WHERE name = sqlc.arg(name) RETURNING value;

-- name: RaiseCounter :exec
-- It never falls.
INSERT INTO counter (name, value) VALUES (sqlc.arg(name), sqlc.arg(value))
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE counter.value < excluded.value;

-- name: Counter :one
SELECT value FROM counter WHERE name = sqlc.arg(name);

-- name: AddRevocation :exec
INSERT INTO revocation (number, scope, name, reason, actor, made_at)
VALUES (sqlc.arg(number), sqlc.arg(scope), sqlc.arg(name), sqlc.arg(reason), sqlc.arg(actor), sqlc.arg(made_at));

-- name: Revocations :many
SELECT number, scope, name, reason, actor, made_at
FROM revocation
WHERE number > sqlc.arg(after)
ORDER BY number
LIMIT sqlc.arg(most);

-- name: Beat :exec
INSERT INTO gate_instance (id, applied, seen_at, version)
VALUES (sqlc.arg(id), sqlc.arg(applied), sqlc.arg(seen_at), 1)
ON CONFLICT (id) DO UPDATE
SET applied = excluded.applied, seen_at = excluded.seen_at, version = gate_instance.version + 1;

-- name: ForgetInstances :exec
DELETE FROM gate_instance WHERE seen_at < sqlc.arg(seen_before);

-- name: Instances :many
SELECT id, applied, seen_at FROM gate_instance ORDER BY id;
