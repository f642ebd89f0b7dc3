package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// GrantRequest is a grant that a gate is to make.
type GrantRequest struct {
	// Terms are without id, key, upstream, safeguards and times, which the gate
	// sets. No protocols are all of them.
	Terms gate.Grant    `json:"terms"`
	For   time.Duration `json:"for_ns"`
}

// maxWindow is the longest that a grant of the review body may last
// (ARCHITECTURE.md, "What can never happen").
const maxWindow = 30 * 24 * time.Hour

func (r GrantRequest) validate() error {
	if r.For <= 0 || r.For > maxWindow {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "--for is more than nothing and at most 30 days")
	}
	if r.Terms.Model == "" {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "say which model: --model NAME, as its server knows it")
	}
	return nil
}

// lender makes the grants of a running gate.
type lender struct {
	gate       *gate.Gate
	url        string // that callers reach the gate by
	upstream   string
	protocols  []gate.Protocol
	safeguards []gate.Safeguard
}

func (l lender) lend(ctx context.Context, req GrantRequest, now time.Time) (GateReady, error) {
	if err := req.validate(); err != nil {
		return GateReady{}, err
	}
	terms := req.Terms
	terms.Upstream, terms.From, terms.Until, terms.Safeguards = l.upstream, now, now.Add(req.For), l.safeguards
	if len(terms.Protocols) == 0 {
		for _, p := range l.protocols {
			terms.Protocols = append(terms.Protocols, p.Name())
		}
		terms.Protocols = slices.Compact(terms.Protocols) // those that count go by the name of those that write
	}
	key, grant, err := l.gate.Lend(ctx, terms, now)
	if err != nil {
		return GateReady{}, err
	}
	return GateReady{l.url, grant.ID, grant.Codename, key, grant.Until}, nil
}

func grantHandlers(mux *http.ServeMux, l lender) {
	mux.HandleFunc("POST /grants", func(w http.ResponseWriter, r *http.Request) {
		var req GrantRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			answerError(w, proofhouse.Errorf(proofhouse.Invalid, err, "that is no grant"))
			return
		}
		ready, err := l.lend(r.Context(), req, time.Now())
		if err != nil {
			answerError(w, err)
			return
		}
		_ = json.NewEncoder(w).Encode(ready)
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		var what gate.Revocation
		if err := json.NewDecoder(r.Body).Decode(&what); err != nil {
			answerError(w, proofhouse.Errorf(proofhouse.Invalid, err, "that is no revocation"))
			return
		}
		if err := what.Validate(); err != nil {
			answerError(w, err)
			return
		}
		if !what.Time.IsZero() && what.Time.Before(began) {
			began = what.Time // when it was asked for elsewhere, from which it is measured
		}
		grants, calls, err := l.gate.Revoke(r.Context(), func(t gate.Grant) bool { return what.Names(&t) }, what.Reason, began)
		if err != nil {
			answerError(w, err)
			return
		}
		_ = json.NewEncoder(w).Encode(Revocation{grants, calls, time.Since(began)})
	})
}

// GrantGate makes a grant at the running gate. Its key is in the answer and
// kept nowhere.
func (a *App) GrantGate(ctx context.Context, req GrantRequest) (ready GateReady, err error) {
	if err := req.validate(); err != nil {
		return ready, err
	}
	req.Terms.Issuer = localUser()
	return ready, a.askGate(ctx, http.MethodPost, "/grants", req, &ready)
}

// Revocation is what a revocation did.
type Revocation struct {
	Grants int           `json:"grants"`
	Calls  int           `json:"calls"`
	Took   time.Duration `json:"took_ns"`
}

// RevokeGate revokes grants of the running gate.
func (a *App) RevokeGate(ctx context.Context, what gate.Revocation) (done Revocation, err error) {
	if err := what.Validate(); err != nil {
		return done, err
	}
	if err := a.askGate(ctx, http.MethodPost, "/revoke", what, &done); err != nil {
		return done, err
	}
	if done.Grants == 0 && !what.Everything {
		return done, proofhouse.Errorf(proofhouse.NotFound, nil, "the gate has no such grant: `gate list` shows them")
	}
	return done, nil
}

// keyMax bounds what is read as a key, in bytes.
const keyMax = 4 << 10

// ReadKeyHash reads a key of a gate, alone or in spaces, and gives its hash.
func ReadKeyHash(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, keyMax))
	if err != nil {
		return "", proofhouse.Errorf(proofhouse.Unavailable, err, "the key cannot be read")
	}
	hash, ok := gate.HashKey(string(bytes.TrimSpace(b)))
	if !ok {
		return "", proofhouse.Errorf(proofhouse.Invalid, nil, "that is no key of a gate: it is one line that begins with phk_, as it was shown")
	}
	return hash, nil
}

// answerError is how the running gate tells a command what is wrong; askGate
// makes the error of it again.
func answerError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	for s, kind := range answeredKinds {
		if proofhouse.KindOf(err) == kind {
			status = s
		}
	}
	http.Error(w, proofhouse.PublicOf(err), status)
}

var answeredKinds = map[int]proofhouse.Kind{
	http.StatusBadRequest: proofhouse.Invalid, http.StatusNotFound: proofhouse.NotFound,
	http.StatusConflict: proofhouse.Conflict, http.StatusServiceUnavailable: proofhouse.Unavailable,
}
