-- name: PlacedFrom :many
SELECT stream, seq, commitment, leaf_index FROM entry WHERE leaf_index >= sqlc.arg(first) ORDER BY leaf_index LIMIT sqlc.arg(most);

-- name: AddLost :exec
INSERT INTO entry (stream, seq, made_at, commitment, sealed, leaf_index)
VALUES (sqlc.arg(stream), sqlc.arg(seq), sqlc.arg(made_at), sqlc.arg(commitment), sqlc.arg(sealed), sqlc.arg(leaf_index));
