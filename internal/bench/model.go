package bench

import (
	"context"

	"proofhouse/internal/chat"
)

// Model is a live model as a run may use it: app hands one that is bound to a
// gate, a case and a budget, so that no evaluation can go round the gate.
type Model interface {
	// Generate asks for one message. What the provider fails at is retried
	// inside, and told in Output.Retries; nothing is retried that the model
	// answered. The error is proofhouse.Limit when the budget does not hold the
	// call (the model met its limit), proofhouse.Refused when access was
	// revoked or never given, proofhouse.Invalid when the server will never take
	// this request, and proofhouse.Unavailable when the provider kept failing,
	// which is never the model's failure. ctx ends the call and its retries.
	Generate(ctx context.Context, r chat.Request) (chat.Output, error)
}
