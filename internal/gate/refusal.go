package gate

import (
	"fmt"
	"net/http"
)

// Refusal is why the gate does not pass, or no longer passes, a request. Its
// sentence is for the caller and names nothing but the caller's own codename.
type Refusal struct {
	Reason  Reason
	Message string
}

func (r *Refusal) Error() string { return string(r.Reason) + ": " + r.Message }

func refuse(why Reason, format string, args ...any) *Refusal {
	return &Refusal{why, fmt.Sprintf(format, args...)}
}

// Reason is what a program can tell from a Refusal; it is the code or the
// type in the protocols' error bodies, and stands in the record.
type Reason string

// The reasons, and the statuses that statuses gives them.
const (
	BadRequest      Reason = "invalid_request"   // what must be read cannot be
	TooLarge        Reason = "request_too_large" // the body is over the bound
	HeadersTooLarge Reason = "headers_too_large"
	Encoded         Reason = "unsupported_content_encoding" // a compressed request
	BadKey          Reason = "invalid_api_key"              // no key, an unknown or a revoked one
	NotInTime       Reason = "grant_not_in_force"           // before its start or after its end
	UnknownModel    Reason = "model_not_found"              // no such codename for this key
	NoSuchPath      Reason = "not_found"                    // a path that the gate does not serve
	NotGranted      Reason = "permission_denied"            // protocol, tool or class of request
	Spent           Reason = "insufficient_quota"           // does not fit the budget; retrying never helps
	Busy            Reason = "rate_limit_exceeded"          // streams or requests a minute; later it may fit
	Revoked         Reason = "access_revoked"               // while the answer was under way
	Overloaded      Reason = "gate_overloaded"              // no memory for so large a body now
	NoUpstream      Reason = "upstream_unavailable"         // the model's server did not answer
	Suspended       Reason = "suspended"                    // this kind of request, for a time
	Unconfirmed     Reason = "access_unconfirmed"           // the shared revocations cannot be read; later it may be passed
	Guarded         Reason = "safeguard"                    // a safeguard does not let it pass
	Unpriced        Reason = "price_unknown"                // nothing is admitted that cannot be priced
	Unrecorded      Reason = "recording_unavailable"        // it cannot be recorded as the grant says
	Broken          Reason = "internal_error"               // a fault of the gate
)

// statuses maps each reason to its status. Every reason is in it.
var statuses = map[Reason]int{
	BadRequest: http.StatusBadRequest, TooLarge: http.StatusRequestEntityTooLarge,
	HeadersTooLarge: http.StatusRequestHeaderFieldsTooLarge, Encoded: http.StatusUnsupportedMediaType,
	BadKey: http.StatusUnauthorized, NotInTime: http.StatusForbidden, UnknownModel: http.StatusNotFound, NoSuchPath: http.StatusNotFound,
	NotGranted: http.StatusForbidden, Spent: http.StatusTooManyRequests, Busy: http.StatusTooManyRequests,
	Suspended: http.StatusForbidden, Guarded: http.StatusForbidden, Revoked: http.StatusForbidden, NoUpstream: http.StatusBadGateway, Overloaded: http.StatusServiceUnavailable, Unpriced: http.StatusForbidden,
	Broken: http.StatusInternalServerError, Unconfirmed: http.StatusServiceUnavailable, Unrecorded: http.StatusServiceUnavailable,
}

// Status is the HTTP status of the refusal.
func (r *Refusal) Status() int { return statuses[r.Reason] }

// Retry says whether the same request may be passed later. SDKs retry 429 and
// 5xx by themselves; the gate tells them not to where that is of no use.
func (r *Refusal) Retry() bool {
	return r.Reason == Busy || r.Reason == Overloaded || r.Reason == NoUpstream || r.Reason == Unconfirmed || r.Reason == Unrecorded
}
