// Package openai is two of the gate's protocols, Chat Completions and
// Responses, as the OpenAI API reference and the servers that speak the same
// dialect (vLLM) have them. It promises to read no more of a request than its
// budget, its references and its model, and to change no byte of an answer
// but the model's name; admission, prices and transport are the gate's.
package openai

import (
	"encoding/json"
	"net/http"
	"strings"

	"proofhouse/internal/gate"
)

// bearer is how both protocols carry their key.
type bearer struct{}

// Credential sets Authorization, whatever stood there.
func (bearer) Credential(h http.Header, key string) {
	h.Del("X-Api-Key")
	h.Set("Authorization", "Bearer "+key)
}

// Key takes the bearer token, and drops the header that another dialect
// would carry its key in: no key of a caller reaches an upstream.
func (bearer) Key(h http.Header) string {
	scheme, key, _ := strings.Cut(h.Get("Authorization"), " ")
	h.Del("Authorization")
	h.Del("X-Api-Key")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(key)
}

// fault is the error object of the OpenAI API reference.
type fault struct {
	Message string      `json:"message"`
	Type    string      `json:"type"`
	Param   *string     `json:"param"`
	Code    gate.Reason `json:"code"`
}

// refuse is the body that both protocols share.
func refuse(r gate.Refusal) []byte {
	return encode(struct {
		Error fault `json:"error"`
	}{fault{r.Message, kind(r.Reason), nil, r.Reason}})
}

func kind(why gate.Reason) string {
	switch why {
	case gate.Spent:
		return "insufficient_quota"
	case gate.Busy:
		return "rate_limit_error"
	case gate.BadKey:
		return "authentication_error"
	case gate.NotInTime, gate.NotGranted, gate.Revoked, gate.Suspended, gate.Guarded, gate.Unpriced:
		return "permission_error"
	case gate.BadRequest, gate.TooLarge, gate.HeadersTooLarge, gate.Encoded, gate.UnknownModel, gate.NoSuchPath:
		return "invalid_request_error"
	default:
		return "server_error"
	}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("openai: " + err.Error()) // strings and numbers only
	}
	return b
}
