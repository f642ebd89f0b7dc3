package app

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"proofhouse/internal/bench"
	"proofhouse/internal/ledger"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// keyName is the local key that signs verdicts, in Data/keys.
const keyName = "verdict"

// verifier is the oracle as bench asks for it.
type verifier struct{ oracle *oracle.Oracle }

func openVerifier(cfg Config, provider sandbox.Provider) (*verifier, error) {
	quarantine, err := oracle.OpenQuarantine(cfg.dir("quarantine"))
	if err != nil {
		return nil, err
	}
	key, err := ledger.OpenKey(cfg.dir("keys"), keyName)
	if err != nil && proofhouse.KindOf(err) != proofhouse.NotFound {
		return nil, err
	}
	return &verifier{oracle.New(oracle.Config{Provider: provider, Quarantine: quarantine, Key: key, Program: "proofhouse " + Version})}, nil
}

// Verify judges a submission.
func (v *verifier) Verify(ctx context.Context, c bench.Case, submission []byte) (bench.Judgement, error) {
	verdict, ev, err := v.oracle.Verify(ctx, oracle.Case{Name: string(c.Task), Target: c.Target, Rule: c.Rule}, submission)
	if err != nil {
		return bench.Judgement{}, err
	}
	return bench.Judgement{Verdict: verdict, Report: ev.Report, Statement: ev.Statement, Signed: ev.Signed, Artifacts: ev.Artifacts}, nil
}

// Warm starts boxes ahead of a sample's first submission.
func (v *verifier) Warm(c bench.Case) {
	v.oracle.Warm(oracle.Case{Name: string(c.Task), Target: c.Target, Rule: c.Rule})
}

func (v *verifier) close() error { return v.oracle.Close() }

// CreateKey makes the local key that signs verdicts from now on, and gives
// where its public half lies. An existing key is proofhouse.Conflict.
func (a *App) CreateKey() (public, id string, err error) {
	dir := a.Config.dir("keys")
	key, err := ledger.CreateKey(dir, keyName)
	if err != nil {
		return "", "", err
	}
	return filepath.Join(dir, keyName+".pub"), key.PublicKey().ID(), nil
}

// maxSubmission bounds a submission that is read from a file, in bytes.
const maxSubmission = 64 << 20

// Judge judges one file against a task, which must be built. With keep, the
// statement and all that the verdict names go into that folder by digest, the
// statement as statement.json.
func (a *App) Judge(ctx context.Context, task, file, keep string) (bench.Judgement, error) {
	t, err := a.Task(task)
	if err != nil {
		return bench.Judgement{}, err
	}
	submission, err := readSubmission(file, t.Metadata.Cyber.Submit.MaxBytes)
	if err != nil {
		return bench.Judgement{}, err
	}
	built, err := a.Built.Load(t, nil)
	if err != nil {
		return bench.Judgement{}, err
	}
	v, err := a.Verifier()
	if err != nil {
		return bench.Judgement{}, err
	}
	j, err := v.Verify(ctx, t.Case(built.Target), submission)
	if err != nil || keep == "" {
		return j, err
	}
	return j, keepJudgement(keep, j)
}

func keepJudgement(dir string, j bench.Judgement) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the artifacts' folder cannot be made")
	}
	var errs []error
	for d, b := range j.Artifacts {
		errs = append(errs, os.WriteFile(filepath.Join(dir, d.Hex()), b, 0o644))
	}
	if j.Statement != nil {
		errs = append(errs, os.WriteFile(filepath.Join(dir, "statement.json"), j.Statement, 0o644))
	}
	return errors.Join(errs...)
}

// Rejudge judges a recorded verdict again from the artifacts beside its
// statement. A verdict that does not agree is proofhouse.Failed.
func (a *App) Rejudge(ctx context.Context, statement, artifacts string) (oracle.Verdict, error) {
	envelope, err := os.ReadFile(statement)
	if err != nil {
		return oracle.Verdict{}, proofhouse.Errorf(proofhouse.NotFound, err, "the statement cannot be read")
	}
	var public *ledger.PublicKey
	if key, err := ledger.OpenKey(a.Config.dir("keys"), keyName); err == nil {
		public = key.PublicKey()
	}
	opened, err := a.Verifier()
	if err != nil {
		return oracle.Verdict{}, err
	}
	open := func(d proofhouse.Digest) ([]byte, error) { return os.ReadFile(filepath.Join(artifacts, d.Hex())) }
	return opened.(*verifier).oracle.Recheck(ctx, envelope, public, open, a.Images)
}

// readSubmission reads a submission of at most max bytes.
func readSubmission(file string, max int64) ([]byte, error) {
	if max <= 0 || max > maxSubmission {
		max = maxSubmission
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "the submission cannot be opened")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	switch {
	case err != nil:
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the submission cannot be read")
	case int64(len(b)) > max:
		return nil, proofhouse.Errorf(proofhouse.Limit, nil, "the submission is larger than the task allows: at most %d bytes", max)
	}
	return b, nil
}
