-- name: AddReview :exec
INSERT INTO review (id, version, sealed, own_key) VALUES (sqlc.arg(id), sqlc.arg(version), sqlc.arg(sealed), 1);

-- name: ChangeReview :execresult
UPDATE review SET version = version + 1, sealed = sqlc.arg(sealed), own_key = 1 WHERE id = sqlc.arg(id) AND version = sqlc.arg(version);

-- name: ReviewsOfTheHouse :many
SELECT id, version, sealed FROM review WHERE own_key = 0 AND id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(most);

-- name: ResealReview :execresult
UPDATE review SET sealed = sqlc.arg(sealed), own_key = 1 WHERE id = sqlc.arg(id) AND version = sqlc.arg(version);

-- name: Reviews :many
SELECT id, sealed FROM review ORDER BY id;

-- name: ReviewsAfter :many
SELECT id, version, sealed FROM review WHERE id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(most);

-- name: ReviewsOf :many
SELECT review_party.urgency, review.id, review.version, review.sealed FROM review_party JOIN review ON review.id = review_party.review
WHERE review_party.who = sqlc.arg(who) AND review_party.urgency >= sqlc.arg(after_urgency) AND review_party.urgency < sqlc.arg(below)
  AND (review_party.urgency > sqlc.arg(after_urgency) OR review_party.review > sqlc.arg(after_id))
ORDER BY review_party.urgency, review_party.review
LIMIT sqlc.arg(most);

-- name: PlacesOf :many
SELECT review_party.urgency, review.id, review.version FROM review_party JOIN review ON review.id = review_party.review
WHERE review_party.who = sqlc.arg(who) AND review_party.urgency >= sqlc.arg(after_urgency) AND review_party.urgency < sqlc.arg(below)
  AND (review_party.urgency > sqlc.arg(after_urgency) OR review_party.review > sqlc.arg(after_id))
ORDER BY review_party.urgency, review_party.review
LIMIT sqlc.arg(most);

-- name: UnorderedReviews :many
SELECT id, sealed FROM review
WHERE id > sqlc.arg(after) AND id IN (SELECT review_party.review FROM review_party WHERE review_party.urgency = 0)
ORDER BY id LIMIT sqlc.arg(most);

-- name: AddParty :exec
INSERT INTO review_party (review, who, urgency) VALUES (sqlc.arg(review), sqlc.arg(who), sqlc.arg(urgency))
ON CONFLICT (who, review) DO UPDATE SET urgency = excluded.urgency;

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
