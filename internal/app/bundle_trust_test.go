package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

// TestBundleTrust: what a verifier knows from elsewhere is read, and reaches
// the ledger. The bundle is the ledger's own golden one, whose entries are no
// case's: so it is refused in the end, by the docket.
func TestBundleTrust(t *testing.T) {
	const golden = "../ledger/testdata/bundle.jsonl"
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	raw, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	_, note, _ := strings.Cut(string(raw), `"older":{"note":"`)
	note, _, _ = strings.Cut(note, `","proof"`)
	older := file("older", strings.ReplaceAll(note, `\n`, "\n"))
	for name, c := range map[string]struct {
		trust BundleTrust
		kind  proofhouse.Kind
		says  string
	}{
		"nothing":            {BundleTrust{}, proofhouse.Integrity, "rules"},
		"no older file":      {BundleTrust{Older: []string{filepath.Join(dir, "none")}}, proofhouse.NotFound, "older checkpoint"},
		"another older file": {BundleTrust{Older: []string{file("x", "x")}}, proofhouse.Integrity, "not a checkpoint"},
		"the older one":      {BundleTrust{Older: []string{older}}, proofhouse.Integrity, "rules"},
		"no receipt":         {BundleTrust{Receipts: []string{filepath.Join(dir, "none")}}, proofhouse.NotFound, "receipt"},
		"no copy":            {BundleTrust{LogCopy: dir}, proofhouse.NotFound, "no public log"},
		"no key":             {BundleTrust{LogKey: "x"}, proofhouse.Invalid, "verifier key"},
		"no pin":             {BundleTrust{Pins: []string{"x"}}, proofhouse.Invalid, "ORGANISATION=KEYID"},
	} {
		p, err := VerifyBundle(t.Context(), golden, c.trust)
		if proofhouse.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "the older one" && len(p.Log.Continues) != 1 {
			t.Errorf("the report does not say that the log goes on: %+v", p.Log)
		}
	}
}

func TestWitnessesFile(t *testing.T) {
	key := "witness.example/w1+042483b2+BGt5xX5qCVI5KCwEgY6WES8/A6QAG6l6VkwjhSo/HqX8"
	read := func(text string) (int, error) {
		path := filepath.Join(t.TempDir(), "witnesses")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := readWitnesses(path)
		return len(list), err
	}
	if n, err := read("# ours\n\n" + key + " http://127.0.0.1:1\n"); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	for _, text := range []string{key, key + " ", "x http://127.0.0.1:1", "# a\n" + key + "\n"} {
		if _, err := read(text); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := readWitnesses(filepath.Join(t.TempDir(), "none")); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Error(err)
	}
}
