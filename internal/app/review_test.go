package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// TestDisclosed discloses one task of two, and tries what whoever disclosed it might make up.
func TestDisclosed(t *testing.T) {
	suite := docket.Suite{Name: "open-1", Salt: docket.Salt{7}, Tasks: []docket.SuiteTask{
		{ID: "open-1/a", Digest: proofhouse.DigestOf([]byte("a"))}, {ID: "open-1/b", Digest: proofhouse.DigestOf([]byte("b"))},
	}}
	commitment, err := suite.Commit()
	if err != nil {
		t.Fatal(err)
	}
	criteria := houseCriteria()
	criteria.Suites = []docket.SuiteCommitment{commitment}
	records := []docket.Record{{Event: docket.Event{Act: docket.Register{Criteria: criteria}}}}
	file := CriteriaFile{Criteria: criteria, Suites: []docket.Suite{suite}}
	honest, err := file.Disclose("open-1/b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Disclose("open-1/c"); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a task that is not there: %v", err)
	}
	other, salt := honest, honest
	other.Disclosure.Task.Digest = proofhouse.DigestOf([]byte("another"))
	salt.Disclosure.Salt = docket.Salt{8}
	suite.Tasks[1].Digest = proofhouse.DigestOf([]byte("easier"))
	easier, err := CriteriaFile{Suites: []docket.Suite{suite}}.Disclose("open-1/b")
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]struct {
		d    any
		kind proofhouse.Kind
	}{
		"one that was committed to": {honest, ""}, "another text": {other, proofhouse.Integrity}, "another salt": {salt, proofhouse.Integrity},
		"another suite": {easier, proofhouse.Integrity}, "no task at all": {"x", proofhouse.Invalid},
	} {
		b, err := json.Marshal(r.d)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "task.json")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := disclosed(records, []string{path}); r.kind == "" && (err != nil || len(got) != 1) || r.kind != "" && proofhouse.KindOf(err) != r.kind {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
