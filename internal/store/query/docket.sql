-- name: AddReview :exec
INSERT INTO review (id, version, sealed) VALUES (sqlc.arg(id), sqlc.arg(version), sqlc.arg(sealed));

-- name: ChangeReview :execresult
UPDATE review SET version = version + 1, sealed = sqlc.arg(sealed) WHERE id = sqlc.arg(id) AND version = sqlc.arg(version);

-- name: Reviews :many
SELECT id, sealed FROM review ORDER BY id;

-- name: ReviewsOf :many
SELECT review.id, review.sealed FROM review JOIN review_party ON review_party.review = review.id WHERE review_party.who = sqlc.arg(who) ORDER BY review.id;

-- name: AddParty :exec
INSERT INTO review_party (review, who) VALUES (sqlc.arg(review), sqlc.arg(who)) ON CONFLICT (who, review) DO NOTHING;

-- name: RemoveParty :exec
DELETE FROM review_party WHERE review = sqlc.arg(review) AND who = sqlc.arg(who);

-- name: AddRules :exec
INSERT INTO rules (digest, body) VALUES (sqlc.arg(digest), sqlc.arg(body)) ON CONFLICT (digest) DO NOTHING;

-- name: Rules :one
SELECT body FROM rules WHERE digest = sqlc.arg(digest);

-- name: AddEntry :exec
INSERT INTO entry (stream, seq, made_at, commitment, sealed)
VALUES (sqlc.arg(stream), sqlc.arg(seq), sqlc.arg(made_at), sqlc.arg(commitment), sqlc.arg(sealed));

-- name: Entries :many
SELECT stream, seq, made_at, commitment, sealed, leaf_index
FROM entry
WHERE stream = sqlc.arg(stream) AND seq > sqlc.arg(after)
ORDER BY seq
LIMIT sqlc.arg(most);

-- name: WaitingEntries :many
SELECT stream, seq, commitment FROM entry WHERE leaf_index IS NULL ORDER BY made_at, stream, seq LIMIT sqlc.arg(most);

-- name: PlaceEntry :execresult
UPDATE entry SET leaf_index = sqlc.arg(leaf_index) WHERE stream = sqlc.arg(stream) AND seq = sqlc.arg(seq) AND leaf_index IS NULL;

-- name: EntryPlace :one
SELECT leaf_index FROM entry WHERE stream = sqlc.arg(stream) AND seq = sqlc.arg(seq);

-- name: PlacedEntries :one
SELECT CAST(COALESCE(MAX(leaf_index) + 1, 0) AS BIGINT) AS placed FROM entry WHERE leaf_index IS NOT NULL;

-- name: AddRequest :exec
INSERT INTO request (who, name, digest, stream, seq, made_at)
VALUES (sqlc.arg(who), sqlc.arg(name), sqlc.arg(digest), sqlc.arg(stream), sqlc.arg(seq), sqlc.arg(made_at));

-- name: Request :one
SELECT digest, stream, seq FROM request WHERE who = sqlc.arg(who) AND name = sqlc.arg(name);

-- name: ForgetRequests :exec
DELETE FROM request WHERE made_at < sqlc.arg(made_before);
