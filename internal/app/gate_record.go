package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// readGate reads the gate's record, checking it, also while a gate writes it:
// what is not whole yet is not there yet.
func (a *App) readGate(ctx context.Context, each func(gate.Record) error) error {
	return a.readGateAt(ctx, a.gateLog(), each)
}

// gateLog is the record of the gate that `gate serve` runs.
func (a *App) gateLog() string { return filepath.Join(a.Config.dir("gate"), "log") }

func (a *App) readGateAt(ctx context.Context, log string, each func(gate.Record) error) error {
	_, err := a.verifyGate(ctx, log, each)
	if errors.Is(err, ledger.ErrTorn) {
		return nil
	}
	return err
}

func (a *App) verifyGate(ctx context.Context, log string, each func(gate.Record) error) (ledger.Summary, error) {
	key, err := os.ReadFile(filepath.Join(a.Config.dir("keys"), "gate.pub"))
	if err != nil {
		return ledger.Summary{}, noRecord(err)
	}
	public, err := ledger.ParsePublicKey(key)
	if err != nil {
		return ledger.Summary{}, err
	}
	f, err := os.Open(log)
	if err != nil {
		return ledger.Summary{}, noRecord(err)
	}
	defer f.Close()
	return ledger.VerifyLog(ctx, f, public, func(seq uint64, raw json.RawMessage) error {
		r, err := readRecord(seq, raw)
		if err == nil && each != nil {
			err = each(r)
		}
		return err
	})
}

func noRecord(cause error) error {
	return proofhouse.Errorf(proofhouse.NotFound, cause, "there is no record of a gate here")
}

// GateContent writes what was sealed of a call to w, its "request" or its
// "answer", and checks it against the record. It needs the house's key. What
// was written of something that was changed, an error of kind
// proofhouse.Integrity takes back.
func (a *App) GateContent(ctx context.Context, call, part string, w io.Writer) error {
	grants := map[string]gate.Grant{}
	var opened, ended *gate.Record
	err := a.readGate(ctx, func(r gate.Record) error {
		switch {
		case r.Kind == gate.Granted:
			grants[r.Grant] = *r.Terms
		case r.Call != call || call == "":
		case r.Kind == gate.Opened:
			opened = &r
		case r.Kind == gate.Ended:
			ended = &r
		}
		return nil
	})
	if err != nil {
		return err
	}
	if opened == nil {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "the gate's record has no call %q", call)
	}
	grant := grants[opened.Grant]
	if grant.Recording != gate.RecordSealed {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "the content of this call was not kept: its grant does not say --record sealed")
	}
	name, digest := gate.RequestPart(call), ""
	if ended != nil {
		digest = ended.End.Request
	}
	switch part {
	case "request":
	case "answer":
		if ended == nil || ended.End.Kept != gate.KeptBoth {
			return proofhouse.Errorf(proofhouse.NotFound, nil, "no answer of this call was kept")
		}
		name, digest = gate.AnswerPart(call), ended.End.Answer
	default:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a call has a request and an answer, and no %q", part)
	}
	r, err := a.Vault().Open(gate.ContentCompartment(grant), name)
	if err != nil {
		return err
	}
	defer r.Close()
	got, _, err := proofhouse.DigestReader(io.TeeReader(r, w))
	if err == nil && digest != "" && string(got) != digest {
		err = proofhouse.Errorf(proofhouse.Integrity, nil, "what is sealed is not what the record says that the %s was", part)
	}
	return err
}

// Shredded is what a shredding ended.
type Shredded struct {
	Grants []string `json:"grants"`
}

// ShredGate destroys the sealed content of a case, or of a grant without one,
// for good. Grants that are in force at now are proofhouse.Refused.
func (a *App) ShredGate(ctx context.Context, grant, caseID string, now time.Time) (done Shredded, err error) {
	state := gate.NewState()
	if err := a.readGate(ctx, func(r gate.Record) error {
		if r.Kind == gate.Granted || r.Kind == gate.RevokedGrant {
			state.Add(r)
		}
		return nil
	}); err != nil {
		return done, err
	}
	compartment := ""
	for _, g := range state.Grants {
		if caseID != "" && g.Case != caseID || caseID == "" && g.ID != grant || g.Recording != gate.RecordSealed {
			continue
		}
		if caseID == "" && g.Case != "" {
			return done, proofhouse.Errorf(proofhouse.Invalid, nil, "this grant's content is sealed with that of its case: shred it with --case")
		}
		if _, revoked := state.Revoked[g.ID]; !revoked && now.Before(g.Until) {
			return done, proofhouse.Errorf(proofhouse.Refused, nil, "%s is in force until %s: revoke it first", g.ID, g.Until.UTC().Format(time.RFC3339))
		}
		compartment = gate.ContentCompartment(g)
		done.Grants = append(done.Grants, g.ID)
	}
	if compartment == "" {
		return done, proofhouse.Errorf(proofhouse.NotFound, nil, "the record has no such grant whose content is kept")
	}
	return done, a.Vault().Shred(compartment)
}
