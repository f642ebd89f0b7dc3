package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/ledgertest"
	"proofhouse/internal/proofhouse"
)

// TestAgainst holds bundles of one log to each other: one log, forks in each way
// that two bundles can show, and what nothing shows.
func TestAgainst(t *testing.T) {
	r := newReview(t, 3)
	get := func(log *cosigned, src ledger.BundleSource) ledger.Bundle {
		t.Helper()
		r := *r
		r.log, r.src = log, src
		b, err := read(t, r.write(t), ledger.VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := get(r.log, r.src)
	grow := func(log *ledgertest.Memory, from int, other string, older ...ledger.Checkpoint) ledger.Bundle {
		t.Helper()
		c := &cosigned{log, r.witness}
		var entries []ledger.LoggedEntry
		for i := range 2 {
			e := ledger.Entry{Stream: other, Seq: int64(i + 1), Body: []byte(`{}`), Salt: ledgertest.Leaf(from + i)}
			index, err := log.Append(t.Context(), [][32]byte{e.Commitment()})
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, ledger.LoggedEntry{Entry: e, Index: index[0]})
		}
		return get(c, ledger.BundleSource{Stream: other, Entries: each(entries), Older: older})
	}
	fork, short := r.log.Fork(8), r.log.Fork(4)
	next := grow(r.log.Fork(10), 50, "case-next", first.Checkpoint)
	alone := grow(r.log.Fork(10), 50, "case-next")
	forked := grow(fork, 60, "case-forked")   // 10 leaves as well, the last two others
	longer := grow(fork, 70, "case-longer")   // goes on from the fork
	behind := grow(short, 80, "case-behind")  // another leaf where the case has one
	silent := grow(r.log.Fork(9), 90, stream) // the case's own entries, elsewhere
	extend := func(log *ledgertest.Memory) func() (bool, error) {
		return func() (bool, error) { return alone.Against(t.Context(), first, log.Extend) }
	}
	whole := r.log.Fork(10)
	for i := range 2 {
		if _, err := whole.Append(t.Context(), [][32]byte{alone.Entries[i].Commitment()}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		hold func() (bool, error)
		one  bool
		kind proofhouse.Kind
		says string
	}{
		"itself":              {func() (bool, error) { return first.Against(t.Context(), first, nil) }, true, "", ""},
		"a newer one":         {func() (bool, error) { return next.Against(t.Context(), first, nil) }, true, "", ""},
		"an older one":        {func() (bool, error) { return first.Against(t.Context(), next, nil) }, true, "", ""},
		"without a proof":     {func() (bool, error) { return alone.Against(t.Context(), first, nil) }, false, "", ""},
		"by a copy":           {extend(whole), true, "", ""},
		"one size":            {func() (bool, error) { return first.Against(t.Context(), forked, nil) }, false, proofhouse.Integrity, "two trees of 10 leaves"},
		"an older's size":     {func() (bool, error) { return next.Against(t.Context(), forked, nil) }, false, proofhouse.Integrity, "two trees of 10 leaves"},
		"a leaf":              {func() (bool, error) { return behind.Against(t.Context(), first, nil) }, false, proofhouse.Integrity, "another leaf at 4"},
		"an entry elsewhere":  {func() (bool, error) { return silent.Against(t.Context(), first, nil) }, false, proofhouse.Integrity, "entry 1 of " + stream},
		"a fork that says no": {func() (bool, error) { return longer.Against(t.Context(), first, nil) }, false, "", ""},
		"a fork, by its copy": {func() (bool, error) { return longer.Against(t.Context(), first, fork.Extend) }, false, proofhouse.Integrity, "forked"},
	} {
		one, err := c.hold()
		if proofhouse.KindOf(err) != c.kind && err != nil || (c.kind != "") != (err != nil) || err == nil && one != c.one || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v, %v", name, one, err)
		}
	}
	other := next
	other.Report.Origin = "other.example/log"
	if _, err := first.Against(t.Context(), other, nil); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("another log: %v", err)
	}
	other = next
	other.Report.LogKey += "x"
	if _, err := first.Against(t.Context(), other, nil); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("another key: %v", err)
	}
}
