// Package anthropic is the gate's protocol for the Anthropic Messages API. It
// promises to read no more of a request than its budget, its references and
// its model, and to change no byte of an answer but the model's name;
// admission, prices and transport are the gate's.
package anthropic

import (
	"encoding/json"
	"net/http"
	"strings"

	"proofhouse/internal/gate"
)

// Messages is the Messages API: POST /v1/messages.
type Messages struct{}

// Name is "anthropic-messages".
func (Messages) Name() string { return "anthropic-messages" }

// Path is that of the Messages API.
func (Messages) Path() string { return "/v1/messages" }

// Credential sets x-api-key, and leaves no Authorization beside it: the API
// refuses two.
func (Messages) Credential(h http.Header, key string) {
	h.Del("Authorization")
	h.Set("X-Api-Key", key)
}

// Key takes x-api-key, or the bearer token that Claude Code sends to gateways.
func (Messages) Key(h http.Header) string {
	key := strings.TrimSpace(h.Get("X-Api-Key"))
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	h.Del("X-Api-Key")
	h.Del("Authorization")
	if key == "" && strings.EqualFold(scheme, "bearer") {
		key = strings.TrimSpace(token)
	}
	return key
}

// Refuse is the error body of the Messages API.
func (Messages) Refuse(r gate.Refusal) []byte {
	type fault struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	b, err := json.Marshal(struct {
		Type  string `json:"type"`
		Error fault  `json:"error"`
	}{"error", fault{kind(r.Reason), r.Message}})
	if err != nil {
		panic("anthropic: " + err.Error()) // strings only
	}
	return b
}

// Cut is the "error" event, which the Messages API may send at any time.
func (m Messages) Cut(r gate.Refusal) []byte {
	return append(append([]byte("event: error\ndata: "), m.Refuse(r)...), "\n\n"...)
}

func kind(why gate.Reason) string {
	switch why {
	case gate.BadRequest, gate.HeadersTooLarge, gate.Encoded:
		return "invalid_request_error"
	case gate.TooLarge:
		return "request_too_large"
	case gate.BadKey:
		return "authentication_error"
	case gate.NotInTime, gate.NotGranted, gate.Revoked, gate.Suspended, gate.Guarded, gate.Unpriced:
		return "permission_error"
	case gate.UnknownModel, gate.NoSuchPath:
		return "not_found_error"
	case gate.Spent, gate.Busy:
		return "rate_limit_error"
	default:
		// Not overloaded_error: that is the upstream's own word, with 529.
		return "api_error"
	}
}
