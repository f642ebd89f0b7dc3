package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// PredicateType names the predicate of a verdict's statement; docs/design/oracle.md
// describes it.
const PredicateType = "urn:proofhouse:predicate:verdict:v1"

// subjectName is the name of a statement's subject: the submission.
const subjectName = "submission"

// Predicate is what a verdict's statement says about its submission: all that
// is needed to judge it again.
type Predicate struct {
	Task    string  `json:"task"`
	Verdict Verdict `json:"verdict"`
	Rule    Rule    `json:"rule"`
	// Language, Vulnerable and Fixed are the pair, by the digests of roots and
	// builds, with commands, environments and the digests of all inputs, the
	// harness among them.
	Language   target.Language  `json:"language"`
	Vulnerable target.Build     `json:"vulnerable"`
	Fixed      target.Build     `json:"fixed"`
	Limits     sandbox.Limits   `json:"limits"` // of each box
	Provider   string           `json:"provider"`
	Isolation  sandbox.Strength `json:"isolation"`
	Program    string           `json:"program"`
	Started    time.Time        `json:"started"`
	Finished   time.Time        `json:"finished"`
	Signing    string           `json:"signing"` // "ed25519 <key id>" or "unsigned"
}

// state writes the verdict's statement.
func (o *Oracle) state(ctx context.Context, c Case, v Verdict, started time.Time) ([]byte, error) {
	p := Predicate{
		Task: c.Name, Verdict: v, Rule: c.Rule, Language: c.Target.Language,
		Vulnerable: c.Target.Vulnerable, Fixed: c.Target.Fixed,
		Limits:   spec(c.Target.Vulnerable, c.Rule).Limits,
		Provider: o.cfg.Provider.Name(), Isolation: o.cfg.Provider.Strength(), Program: o.cfg.Program,
		Started: started.UTC(), Finished: o.cfg.Now().UTC(), Signing: "unsigned",
	}
	if o.cfg.Key != nil {
		p.Signing = "ed25519 " + o.cfg.Key.PublicKey().ID()
	}
	return ledger.Seal(ctx, ledger.Statement{Subject: subjectName, Digest: v.Submission, PredicateType: PredicateType, Predicate: p}, o.cfg.Key)
}

// ReadStatement opens a verdict's statement, checked against key if one is
// given, and holds it to be consistent: its verdict is what its own observations
// mean, and its subject is what was judged. Otherwise it is proofhouse.Integrity.
func ReadStatement(ctx context.Context, envelope []byte, key *ledger.PublicKey) (Predicate, error) {
	st, err := ledger.Open(ctx, envelope, key)
	if err != nil {
		return Predicate{}, err
	}
	if st.PredicateType != PredicateType {
		return Predicate{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the statement is not about a verdict")
	}
	var p Predicate
	if err := json.Unmarshal(st.Predicate, &p); err != nil {
		return Predicate{}, proofhouse.Errorf(proofhouse.Integrity, err, "the statement does not read as a verdict")
	}
	if p.Verdict.Submission != st.Digest {
		return Predicate{}, proofhouse.Errorf(proofhouse.Integrity, nil, "the statement's subject is not what its verdict is about")
	}
	if p.Verdict.Outcome != InfraError {
		if got, _, _ := Judge(p.Rule, p.Verdict.Observations); got != p.Verdict.Outcome {
			return Predicate{}, proofhouse.Errorf(proofhouse.Integrity, nil, "the statement says %s, but its own observations mean %s", p.Verdict.Outcome, got)
		}
	}
	return p, nil
}

// Recheck judges a recorded verdict again from its stored artifacts: open gives
// them by digest, images the builds. The new verdict must agree with the record
// in outcome, and in signature where one was seen; if it does not, the error is
// proofhouse.Failed and the new verdict is given all the same. A record of
// flaky agrees with any outcome that does not count.
func (o *Oracle) Recheck(ctx context.Context, envelope []byte, key *ledger.PublicKey, open func(proofhouse.Digest) ([]byte, error), images sandbox.Images) (Verdict, error) {
	p, err := ReadStatement(ctx, envelope, key)
	if err != nil {
		return Verdict{}, err
	}
	if p.Verdict.Outcome == InfraError {
		return Verdict{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the record is of an infrastructure error: there is no verdict to check")
	}
	submission, err := read(open, p.Verdict.Submission)
	if err != nil {
		return Verdict{}, err
	}
	for _, d := range artifactsOf(p.Verdict.Observations) {
		if _, err := read(open, d); err != nil {
			return Verdict{}, err
		}
	}
	c := Case{Name: p.Task, Rule: p.Rule, Target: target.Target{Language: p.Language, Vulnerable: p.Vulnerable, Fixed: p.Fixed}}
	for _, b := range []*target.Build{&c.Target.Vulnerable, &c.Target.Fixed} {
		for _, img := range []*sandbox.Image{&b.Root, &b.Image} {
			// Read whole, so that a build that was swapped on disk is found.
			err := images.Verify(img.Digest)
			if err == nil {
				*img, err = images.Open(img.Digest)
			}
			if err != nil {
				return Verdict{}, err
			}
		}
	}
	v, ev, err := o.Verify(ctx, c, submission)
	switch {
	case err != nil:
		return Verdict{}, err
	case v.Outcome == InfraError:
		return v, fmt.Errorf("judging again: %w", ev.Cause)
	}
	same := v.Outcome == p.Verdict.Outcome && v.Signature == p.Verdict.Signature
	if p.Verdict.Outcome == Flaky {
		same = !v.Outcome.Counts()
	}
	if !same {
		return v, proofhouse.Errorf(proofhouse.Failed, nil, "the record says %s%s, but judged again it is %s%s",
			p.Verdict.Outcome, inBrackets(p.Verdict.Signature), v.Outcome, inBrackets(v.Signature))
	}
	return v, nil
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// read opens an artifact and holds it to its digest.
func read(open func(proofhouse.Digest) ([]byte, error), d proofhouse.Digest) ([]byte, error) {
	b, err := open(d)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "artifact %s is not kept any more", d.Short())
	}
	if got := proofhouse.DigestOf(b); got != d {
		return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "artifact %s has changed: it is now %s", d.Short(), got.Short())
	}
	return b, nil
}
