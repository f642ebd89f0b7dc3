-- name: AddProject :exec
INSERT INTO project (id, version, work, sealed) VALUES (sqlc.arg(id), 1, 1, sqlc.arg(sealed));

-- name: ChangeProject :execresult
UPDATE project SET version = version + 1, work = 1 WHERE id = sqlc.arg(id) AND version = sqlc.arg(version);

-- name: RestProject :exec
UPDATE project SET work = 0 WHERE id = sqlc.arg(id) AND version = sqlc.arg(version);

-- name: Projects :many
SELECT id, sealed FROM project WHERE id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(most);

-- name: WaitingProjects :many
SELECT id, sealed FROM project WHERE work = 1 AND id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(most);

-- name: ProjectSealed :one
SELECT sealed FROM project WHERE id = sqlc.arg(id);

-- name: AddNamed :exec
INSERT INTO named (id, kind, project, who, seq, made_at)
VALUES (sqlc.arg(id), sqlc.arg(kind), sqlc.arg(project), sqlc.arg(who), sqlc.arg(seq), sqlc.arg(made_at));

-- name: Named :one
SELECT project, seq FROM named WHERE id = sqlc.arg(id);

-- name: NamedBefore :many
SELECT id, project, made_at FROM named
WHERE kind = sqlc.arg(kind) AND made_at <= sqlc.arg(until) AND (made_at < sqlc.arg(until) OR id < sqlc.arg(before))
ORDER BY made_at DESC, id DESC LIMIT sqlc.arg(most);

-- name: NamedByBefore :many
SELECT id, project, made_at FROM named
WHERE kind = sqlc.arg(kind) AND who = sqlc.arg(who) AND made_at <= sqlc.arg(until) AND (made_at < sqlc.arg(until) OR id < sqlc.arg(before))
ORDER BY made_at DESC, id DESC LIMIT sqlc.arg(most);
