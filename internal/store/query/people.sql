-- name: AddOrganisation :exec
INSERT INTO organisation (who, look, title_look, sealed)
VALUES (sqlc.arg(who), sqlc.arg(look), sqlc.arg(title_look), sqlc.arg(sealed));

-- name: Organisation :one
SELECT sealed FROM organisation WHERE who = sqlc.arg(who);

-- name: Organisations :many
SELECT who, sealed FROM organisation;

-- name: AddPerson :exec
INSERT INTO person (who, organisation, look, version, sealed)
VALUES (sqlc.arg(who), sqlc.arg(organisation), sqlc.arg(look), 1, sqlc.arg(sealed));

-- name: ChangePerson :execresult
UPDATE person SET version = version + 1, sealed = sqlc.arg(sealed) WHERE who = sqlc.arg(who) AND version = sqlc.arg(version);

-- name: Person :one
SELECT who, version, sealed FROM person WHERE who = sqlc.arg(who);

-- name: People :many
SELECT who, version, sealed FROM person;

-- name: PeopleOf :many
SELECT who, version, sealed FROM person WHERE organisation = sqlc.arg(organisation);

-- name: CountPeople :one
SELECT COUNT(*) FROM person;

-- name: AddToken :exec
INSERT INTO token (id, hash, person, version, sealed)
VALUES (sqlc.arg(id), sqlc.arg(hash), sqlc.arg(person), 1, sqlc.arg(sealed));

-- name: ChangeToken :execresult
UPDATE token SET version = version + 1, sealed = sqlc.arg(sealed) WHERE id = sqlc.arg(id) AND version = sqlc.arg(version);

-- name: Token :one
SELECT id, version, sealed FROM token WHERE id = sqlc.arg(id);

-- name: TokenByHash :one
SELECT id, version, sealed FROM token WHERE hash = sqlc.arg(hash);

-- name: TokensOf :many
SELECT id, version, sealed FROM token WHERE person = sqlc.arg(person);

-- name: AddApproval :exec
INSERT INTO approval (id, about, version, sealed) VALUES (sqlc.arg(id), sqlc.arg(about), 1, sqlc.arg(sealed));

-- name: ChangeApproval :execresult
UPDATE approval SET version = version + 1, sealed = sqlc.arg(sealed) WHERE id = sqlc.arg(id) AND version = sqlc.arg(version);

-- name: Approval :one
SELECT id, version, sealed FROM approval WHERE id = sqlc.arg(id);

-- name: ApprovalsAbout :many
SELECT id, version, sealed FROM approval WHERE about = sqlc.arg(about);

-- name: AddSetup :exec
INSERT INTO setup (hash, made_at, used_at) VALUES (sqlc.arg(hash), sqlc.arg(made_at), 0);

-- name: CountSetups :one
SELECT COUNT(*) FROM setup;

-- name: UseSetup :execresult
UPDATE setup SET used_at = sqlc.arg(used_at) WHERE hash = sqlc.arg(hash) AND used_at = 0;

-- name: UsedSetups :one
SELECT COUNT(*) FROM setup WHERE used_at <> 0;

-- name: RemoveToken :exec
DELETE FROM token WHERE id = sqlc.arg(id);
