package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/ledger"
	"proofhouse/internal/store/storetest"
)

// TestMeterPutBack puts an older copy of the gates' record back: bundles say that nobody knows where the tokens went, also
// once the record has grown again, until the newest copy is back.
func TestMeterPutBack(t *testing.T) {
	storetest.EachAddress(t, func(t *testing.T, database string) {
		s := serveHouse(t, t.TempDir(), database)
		s.populate(t)
		id := s.sealable(t)
		folder := s.app.Config.dir("gate")
		key, err := ledger.CreateKey(s.app.Config.dir("keys"), "gate")
		if err != nil {
			t.Fatal(err)
		}
		record := func() {
			t.Helper()
			l, _, err := ledger.OpenLog(t.Context(), s.app.gateLog(), key, ledger.LogOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Append([]byte(`{"kind":"closed","time":"2026-06-01T09:00:00Z","grant":""}`)); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		proved := func(what string, want bool) {
			t.Helper()
			_, p, err := s.bundleOf(t, id)
			open := slices.ContainsFunc(p.Case.Open, func(s string) bool { return strings.Contains(s, "where the tokens went") })
			if err != nil || (p.Case.Accounts != nil) != want || open == want {
				t.Errorf("%s: %+v, %v, %v", what, p.Case.Accounts, p.Case.Open, err)
			}
		}
		copied := func() string {
			t.Helper()
			to := filepath.Join(t.TempDir(), "gate")
			if err := os.CopyFS(to, os.DirFS(folder)); err != nil {
				t.Fatal(err)
			}
			return to
		}
		back := func(from string) {
			t.Helper()
			if err := os.RemoveAll(folder); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(folder, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
		}
		proved("nothing was recorded", true)
		record()
		proved("a record", true)
		old := copied()
		for range 3 {
			record()
		}
		// Half a line, of a gate that was killed, is no loss when the next one cuts it off.
		whole, err := os.ReadFile(s.app.gateLog())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.app.gateLog(), append(slices.Clone(whole), `{"seq":`...), 0o600); err != nil {
			t.Fatal(err)
		}
		proved("half a line", true)
		if err := os.WriteFile(s.app.gateLog(), whole, 0o600); err != nil {
			t.Fatal(err)
		}
		proved("half a line that was cut off", true)
		record()
		newest := copied()
		proved("a longer record", true)
		back(old)
		proved("an older copy", false)
		for range 20 {
			record()
		}
		proved("an older copy that has grown", false)
		back(newest)
		proved("the newest copy", true)
	})
}
