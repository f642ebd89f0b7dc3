package app

import (
	"fmt"
	"net/http"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// outlet serves the model of a run's grant to programs in a box.
type outlet struct {
	gate   *gate.Gate
	secret string // the grant's key, which stays here
}

func (outlet) Server(h http.Handler) *http.Server { return gate.NewServer(h) }

// Env names the bridge as the SDKs of both vendors and LiteLLM read it. The
// key is a word: the outlet puts the grant's own in its place.
func (outlet) Env(addr string) []string {
	return []string{
		"OPENAI_BASE_URL=" + addr + "/v1", "OPENAI_API_BASE=" + addr + "/v1", "OPENAI_API_KEY=proofhouse",
		"ANTHROPIC_BASE_URL=" + addr, "ANTHROPIC_API_KEY=proofhouse",
	}
}

func (o outlet) Handle(w http.ResponseWriter, r *http.Request) (call bench.OutsideCall) {
	r.Header.Del("X-Api-Key")
	r.Header.Set("Authorization", "Bearer "+o.secret)
	o.gate.Handle(w, r, func(e gate.End) {
		call.Usage, call.NanoDollars, call.Took = e.Usage, e.Charge.NanoDollars, time.Duration(e.Whole)*time.Microsecond
		call.Answered = e.Outcome == gate.Metered || e.Outcome == gate.Unmetered
		if !call.Answered && r.Context().Err() == nil && len(e.Judged) == 0 {
			call.Failed = providerFailed(e)
		}
	})
	switch gate.Reason(w.Header().Get(gate.ReasonHeader)) { //nolint:exhaustive // the others end nothing
	case gate.Spent:
		call.Over = proofhouse.Errorf(proofhouse.Limit, nil, "the run's budget does not hold another request: --resume with a larger one goes on")
	case gate.Revoked, gate.NotInTime, gate.BadKey:
		call.Over = proofhouse.Errorf(proofhouse.Refused, nil, "access to the model has ended")
	}
	return call
}

// providerFailed says how the provider failed a call that was not answered, or
// "" if the request was at fault.
func providerFailed(e gate.End) string {
	status := max(e.Upstream, e.Status)
	switch {
	case e.Outcome == gate.Unsent:
		return "the model's server was not reached"
	case e.Outcome == gate.Cut:
		return "the model's answer broke off"
	case e.Outcome == gate.Failed && (status >= http.StatusInternalServerError || status == http.StatusTooManyRequests):
		return fmt.Sprintf("the model's server refused with status %d", status)
	}
	return ""
}
