package ledgertest

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// TestOutbox holds an implementation to ledger.Outbox. box is empty; accept
// makes an entry wait in it, as a commit of the store does.
func TestOutbox(t *testing.T, box ledger.Outbox, accept func(t *testing.T, e ledger.Entry)) {
	ctx := t.Context()
	var want []ledger.Waiting
	put := func(stream string, seq int64) {
		e := ledger.Entry{Stream: stream, Seq: seq, Body: []byte(`{"n":` + fmt.Sprint(seq) + `}`), Salt: Leaf(len(want))}
		accept(t, e)
		want = append(want, ledger.Waiting{Stream: stream, Seq: seq, Commitment: e.Commitment()})
	}
	waits := func(limit int, want []ledger.Waiting) {
		t.Helper()
		got, err := box.Waiting(ctx, limit)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("waiting, at most %d: got %v, %v, want %v", limit, got, err, want)
		}
	}
	size := func(want uint64) {
		t.Helper()
		if got, err := box.Placed(ctx); err != nil || got != want {
			t.Errorf("placed: got %d, %v, want %d", got, err, want)
		}
	}
	waits(10, nil)
	size(0)
	for seq := range int64(3) {
		put("case-a", seq+1)
		put("house", seq+1)
	}
	waits(10, want)
	waits(4, want[:4])
	waits(4, want[:4]) // looking changes nothing

	first := []ledger.Placed{{Stream: "case-a", Seq: 1, Index: 1}, {Stream: "house", Seq: 1, Index: 0}}
	for range 2 { // the same again changes nothing
		if err := box.Place(ctx, first); err != nil {
			t.Fatal(err)
		}
		waits(10, want[2:])
		size(2)
	}
	for _, c := range []struct {
		name string
		kind proofhouse.Kind
		bad  ledger.Placed
	}{
		{"an entry that is not there", proofhouse.NotFound, ledger.Placed{Stream: "case-a", Seq: 9, Index: 3}},
		{"an entry with another place", proofhouse.Integrity, ledger.Placed{Stream: "house", Seq: 1, Index: 3}},
		{"a place that another entry has", proofhouse.Integrity, ledger.Placed{Stream: "house", Seq: 3, Index: 1}},
	} {
		// The good one before it must not be recorded either.
		err := box.Place(ctx, []ledger.Placed{{Stream: "case-a", Seq: 2, Index: 2}, c.bad})
		if proofhouse.KindOf(err) != c.kind {
			t.Errorf("%s: got %v, want %s", c.name, err, c.kind)
		}
		waits(10, want[2:])
		size(2)
	}
	if err := box.Place(ctx, nil); err != nil {
		t.Errorf("no places: %v", err)
	}
	var rest []ledger.Placed
	for i, w := range want[2:] {
		rest = append(rest, ledger.Placed{Stream: w.Stream, Seq: w.Seq, Index: uint64(2 + i)})
	}
	if err := box.Place(ctx, rest); err != nil {
		t.Fatal(err)
	}
	waits(10, nil)
	size(6)
}

// Outbox is an outbox in memory, and in a file if it has one. It is safe for
// concurrent use.
type Outbox struct {
	mu      sync.Mutex // owns what follows
	f       *os.File   // nil: none
	entries []*entry
	named   map[name]*entry
	at      map[int64]*entry // by index
	placed  int              // all before it in entries have a place
}

type name struct {
	stream string
	seq    int64
}

type entry struct {
	ledger.Waiting
	index int64 // -1: none yet
}

var _ ledger.Outbox = (*Outbox)(nil)

// OpenOutbox reads the outbox in a file, or makes one. "" is one in memory.
// A last line that a crash cut short is cut off: nobody was told of it.
func OpenOutbox(path string) (*Outbox, error) {
	o := &Outbox{named: map[name]*entry{}, at: map[int64]*entry{}}
	if path == "" {
		return o, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(f)
	var whole int64
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			break
		}
		whole += int64(len(line))
		if err := o.take(strings.Fields(line)); err != nil {
			return nil, err
		}
	}
	if err := f.Truncate(whole); err != nil {
		return nil, err
	}
	_, err = f.Seek(whole, 0)
	o.f = f
	return o, err
}

// take re-applies a line: "accept STREAM SEQ COMMITMENT" or "place", followed
// by as many times STREAM SEQ INDEX as there are.
func (o *Outbox) take(words []string) error {
	if words[0] == "accept" {
		e := &entry{index: -1}
		_, err := fmt.Sscan(words[2], &e.Seq)
		b, hexErr := hex.DecodeString(words[3])
		if err != nil || hexErr != nil {
			return fmt.Errorf("reading %v", words)
		}
		e.Stream, e.Commitment = words[1], [32]byte(b)
		o.add(e)
		return nil
	}
	for i := 1; i < len(words); i += 3 {
		p := ledger.Placed{Stream: words[i]}
		if _, err := fmt.Sscan(words[i+1]+" "+words[i+2], &p.Seq, &p.Index); err != nil {
			return err
		}
		o.put(p)
	}
	return nil
}

func (o *Outbox) add(e *entry) {
	o.entries = append(o.entries, e)
	o.named[name{e.Stream, e.Seq}] = e
}

func (o *Outbox) put(p ledger.Placed) {
	e := o.find(p.Stream, p.Seq)
	e.index = int64(p.Index)
	o.at[e.index] = e
	for o.placed < len(o.entries) && o.entries[o.placed].index >= 0 {
		o.placed++
	}
}

func (o *Outbox) find(stream string, seq int64) *entry {
	return o.named[name{stream, seq}]
}

func (o *Outbox) write(line string) error {
	if o.f == nil {
		return nil
	}
	if _, err := o.f.WriteString(line + "\n"); err != nil {
		return err
	}
	return o.f.Sync()
}

// Accept makes an entry wait, durably on return.
func (o *Outbox) Accept(e ledger.Entry) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := e.Commitment()
	if err := o.write(fmt.Sprintf("accept %s %d %x", e.Stream, e.Seq, c)); err != nil {
		return err
	}
	o.add(&entry{ledger.Waiting{Stream: e.Stream, Seq: e.Seq, Commitment: c}, -1})
	return nil
}

// Waiting gives those without a place.
func (o *Outbox) Waiting(_ context.Context, limit int) ([]ledger.Waiting, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []ledger.Waiting
	for _, e := range o.entries[o.placed:] {
		if len(out) == limit {
			break
		}
		if e.index < 0 {
			out = append(out, e.Waiting)
		}
	}
	return out, nil
}

// Place records places.
func (o *Outbox) Place(_ context.Context, placed []ledger.Placed) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	line := "place"
	for _, p := range placed {
		e := o.find(p.Stream, p.Seq)
		switch {
		case e == nil:
			return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no entry %d of %s", p.Seq, p.Stream)
		case e.index >= 0 && e.index != int64(p.Index):
			return proofhouse.Errorf(proofhouse.Integrity, nil, "entry %d of %s has another place", p.Seq, p.Stream)
		case o.at[int64(p.Index)] != nil && o.at[int64(p.Index)] != e:
			return proofhouse.Errorf(proofhouse.Integrity, nil, "place %d is another entry's", p.Index)
		}
		line += fmt.Sprintf(" %s %d %d", p.Stream, p.Seq, p.Index)
	}
	if err := o.write(line); err != nil {
		return err
	}
	for _, p := range placed {
		o.put(p)
	}
	return nil
}

// Placed is how many leaves are accounted for.
func (o *Outbox) Placed(context.Context) (uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return uint64(len(o.at)), nil // no two have one place, and there is no gap
}

// Index is an entry's place, or false.
func (o *Outbox) Index(stream string, seq int64) (uint64, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.find(stream, seq)
	if e == nil || e.index < 0 {
		return 0, false
	}
	return uint64(e.index), true
}
