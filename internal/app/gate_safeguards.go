package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/guard"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// loadPolicies is nil where no folder is named: then grants alone decide.
func loadPolicies(folder string) (*policy.Set, error) {
	if folder == "" {
		return nil, nil
	}
	if st, err := os.Stat(folder); err != nil || !st.IsDir() {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "--policies is a folder of .cedar files, and there is none of that name")
	}
	return policy.Load(os.DirFS(folder))
}

func loadSafeguards(file string) (map[string]gate.Guard, []gate.Safeguard, error) {
	if file == "" {
		return nil, nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, proofhouse.Errorf(proofhouse.NotFound, err, "the file of --safeguards cannot be read")
	}
	return guard.Read(text, readCredential)
}

// Suspended is what a suspension did.
type Suspended struct {
	ID    string        `json:"id"`
	Calls int           `json:"calls"` // under way, that were cut
	Took  time.Duration `json:"took_ns"`
}

func suspendHandlers(mux *http.ServeMux, g *gate.Gate) {
	mux.HandleFunc("GET /suspensions", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(append([]gate.Suspension{}, g.Suspensions()...))
	})
	mux.HandleFunc("POST /suspend", func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		var s gate.Suspension
		if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
			answerError(w, proofhouse.Errorf(proofhouse.Invalid, err, "that is no suspension"))
			return
		}
		s.ID = "suspension-" + proofhouse.Token(4)
		cut, err := g.Suspend(r.Context(), s, began)
		if err != nil {
			answerError(w, err)
			return
		}
		_ = json.NewEncoder(w).Encode(Suspended{s.ID, cut, time.Since(began)})
	})
	mux.HandleFunc("POST /resume", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if err := g.Resume(r.Context(), q.Get("id"), q.Get("reason"), time.Now()); err != nil {
			answerError(w, err)
			return
		}
		_ = json.NewEncoder(w).Encode(Suspended{ID: q.Get("id")})
	})
}

// Suspensions asks the running gate what is suspended.
func (a *App) Suspensions(ctx context.Context) (all []gate.Suspension, err error) {
	return all, a.askGate(ctx, http.MethodGet, "/suspensions", nil, &all)
}

// Suspend suspends a kind of request at the running gate.
func (a *App) Suspend(ctx context.Context, s gate.Suspension) (done Suspended, err error) {
	if err := s.Validate(); err != nil {
		return done, err
	}
	if s.By == "" {
		s.By = localUser()
	}
	return done, a.askGate(ctx, http.MethodPost, "/suspend", s, &done)
}

// Resume ends a suspension.
func (a *App) Resume(ctx context.Context, id, reason string) (done Suspended, err error) {
	return done, a.askGate(ctx, http.MethodPost, "/resume?"+url.Values{"id": {id}, "reason": {reason}}.Encode(), nil, &done)
}
