package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// TestHouseState: those who look after the house read of its log, its backups and its prices, and of prices of a grant who sees the grant;
// nobody else reads any of it.
func TestHouseState(t *testing.T) {
	g := gatedHouse(t)
	if h, err := g.as("ann").House(t.Context()); err != nil || len(h.Backups) != 0 {
		t.Fatalf("at first: %+v, %v", h, err)
	}
	if p := g.browser(t, "ann").get("/settings"); !p.says("None was made from this data folder") {
		t.Errorf("at first: %s", p.text)
	}
	at := filepath.Join(t.TempDir(), "canary-place")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	var last Backup
	for _, name := range []string{"monday", "tuesday"} {
		b, err := g.app.Backup(t.Context(), filepath.Join(at, name), "", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := g.app.NoteBackup(filepath.Join(at, name), b); err != nil {
			t.Fatal(err)
		}
		last = b
	}
	// A process that died while it noted one.
	f, err := os.OpenFile(g.app.Config.dir(backupsNoted), os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"folder":"wedn`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for who, grants := range map[string]int{"ann": 0, "rita": 1, "al": 0} {
		h, err := g.as(who).House(t.Context())
		if err != nil {
			t.Fatal(who, err)
		}
		if len(h.Backups) != 2 || h.Backups[0].Folder != "tuesday" || h.Backups[1].Folder != "monday" || h.Backups[0].Database != last.Database || h.Backups[0].Leaves != last.Leaves || h.Backups[0].Rows != last.Rows || !h.Backups[0].Made.Equal(last.Made) {
			t.Errorf("%s reads of backups: %+v, and the last was %+v", who, h.Backups, last)
		}
		if h.Database != "sqlite" || h.Version != Version || !h.Gate || h.Log.Leaves == 0 || h.Log.Published.IsZero() {
			t.Errorf("%s reads %+v", who, h)
		}
		p := h.Prices
		if len(p.Tables) != 1 || p.Tables[0].Version != "contract 2026-11" || p.Tables[0].Keys != 2 || p.Unpriced != 1 || len(p.Rates) != grants {
			t.Errorf("%s reads of prices: %+v", who, p)
		}
		for _, r := range p.Rates {
			if r.Case != g.id || r.Grant != "for-bank" || r.Prices.Output != 15_000 {
				t.Errorf("%s reads of a price: %+v", who, r)
			}
		}
		b, err := json.Marshal(h)
		page := g.browser(t, who).get("/settings")
		if err != nil || !page.says("tuesday", "contract 2026-11", "2 keys", "1 key without a price", strings.TrimPrefix(string(last.Database), "sha256:")) || page.says("$15.00") != (grants > 0) {
			t.Errorf("%s reads: %s", who, page.text)
		}
		for _, s := range []string{string(b), page.text} {
			if strings.Contains(s, "canary") || strings.Contains(s, string(g.other)) || strings.Contains(s, "127.0.0.1") {
				t.Errorf("%s is told %s", who, s)
			}
		}
	}
	for _, who := range []string{"eve", "otto", "ada", "bob", "carl", "pat", "trudy"} {
		if _, err := g.as(who).House(t.Context()); proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("%s asks how the house does: %v", who, err)
		}
		if p := g.browser(t, who).get("/settings"); p.says("tuesday") || p.says("contract 2026-11") || !p.says("It answers, version") {
			t.Errorf("%s reads: %s", who, p.text)
		}
	}
}
