package ledger

import "context"

// PublicLog is an append-only Merkle log whose leaves are commitments. Whoever
// has its key and a checkpoint can check all that it says. One process at a
// time holds it for appending.
type PublicLog interface {
	// Key is the public key that signs the checkpoints, with the log's origin.
	Key() VerifierKey
	// Append adds leaves in their order and gives the index of each. They are
	// durable on return, and a checkpoint will cover them. After an error some,
	// all or none may be in the log, and later too: read the tail before
	// appending them again. Concurrent calls wait for each other.
	Append(ctx context.Context, leaves [][32]byte) ([]uint64, error)
	// Size is how many leaves are durable, covered by a checkpoint or not.
	Size(ctx context.Context) (uint64, error)
	// Leaves gives those from index from, up to and not including to, at most
	// Size. A leaf that is not 32 bytes is proofhouse.Integrity.
	Leaves(ctx context.Context, from, to uint64) ([][32]byte, error)
	// Checkpoint is the last one published, as a signed note with what
	// cosignatures there are. It waits until one covers atLeast leaves.
	Checkpoint(ctx context.Context, atLeast uint64) (Checkpoint, error)
	// Include proves that the leaf at index is in cp's tree, cp being a
	// checkpoint of this log. What is damaged on the disk is
	// proofhouse.Integrity: a proof that is given holds.
	Include(ctx context.Context, index uint64, cp Checkpoint) (Proof, error)
	// Extend proves that cp's tree goes on from the first older leaves. Errors
	// are those of Include.
	Extend(ctx context.Context, older uint64, cp Checkpoint) (Proof, error)
}
