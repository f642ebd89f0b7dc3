// Package clearingtest holds what keeps projects of findings to what package clearing expects of it.
package clearingtest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
)

var start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

const (
	project = "pkg:generic/canary-project"
	another = "pkg:generic/another-project"
)

func actor(org string) proofhouse.Actor {
	return proofhouse.Actor{Role: proofhouse.Partner, Organisation: proofhouse.OrganisationID(org), Person: "ada"}
}

// Submit is a finding's event by somebody of an organisation.
func Submit(purl, id, org string) clearing.Event {
	d := proofhouse.DigestOf([]byte(id))
	return clearing.Event{By: actor(org), Act: clearing.Submit{
		ID:    clearing.FindingID(id),
		Claim: clearing.Claim{Title: "It breaks", Purl: purl + "@1.0", AI: "none", Marking: proofhouse.Red},
		Files: clearing.Files{Target: d, Proof: d},
	}}
}

// TestStore holds an implementation to clearing.Store. open is one more door to one house, which is empty before the first.
func TestStore(t *testing.T, open func(t *testing.T) clearing.Store) {
	s, other := open(t), open(t)
	ctx := t.Context()
	change := func(s clearing.Store, purl string, r clearing.Request, e clearing.Event) (clearing.Project, int, error) {
		return s.Change(ctx, purl, r, func(clearing.Project) (clearing.Event, error) { return e, nil }, start)
	}
	stands := func(purl string, version, findings int) {
		t.Helper()
		for _, door := range []clearing.Store{s, other} {
			if p, err := door.Project(ctx, purl); err != nil || p.Version != version || len(p.Findings) != findings {
				t.Errorf("%s has %d events and %d findings, %v; want %d and %d", purl, p.Version, len(p.Findings), err, version, findings)
			}
		}
	}

	// What nothing is known of.
	if p, err := s.Project(ctx, project); err != nil || p.Version != 0 || p.Purl != project || len(p.Findings) != 0 {
		t.Errorf("nothing: %+v, %v", p, err)
	}

	// An event is seen at every door, and decide sees what came before it.
	a := Submit(project, "finding-a", "bank")
	request := clearing.Request{By: a.By, Key: "k", Digest: proofhouse.DigestOf([]byte("a"))}
	first, seq, err := change(s, project, request, a)
	if err != nil || seq != 1 || first.Version != 1 || !first.Changed.Equal(start) {
		t.Fatalf("the first: %+v, %d, %v", first, seq, err)
	}
	if _, seq, err := other.Change(ctx, project, clearing.Request{}, func(p clearing.Project) (clearing.Event, error) {
		if p.Version != 1 || len(p.Findings) != 1 {
			return clearing.Event{}, fmt.Errorf("decide sees %d events", p.Version)
		}
		return Submit(project, "finding-b", "insurer"), nil
	}, start); err != nil || seq != 2 {
		t.Fatalf("the second: %d, %v", seq, err)
	}
	stands(project, 2, 2)
	if first.Version != 1 || len(first.Findings) != 1 || first.Findings[0].ID != "finding-a" {
		t.Errorf("what was given out has changed: %+v", first)
	}

	// The same request again, from whichever door, is answered with where the first stands; decide is not asked.
	for _, door := range []clearing.Store{s, other} {
		p, seq, err := door.Change(ctx, project, request, func(clearing.Project) (clearing.Event, error) {
			t.Error("a repeated request is decided again")
			return Submit(project, "finding-x", "bank"), nil
		}, start)
		if err != nil || seq != 1 || p.Version != 2 {
			t.Errorf("repeated: %d events, %d, %v", p.Version, seq, err)
		}
	}
	// Another one under its key is none of them; somebody else's key is another key.
	changed := request
	changed.Digest = proofhouse.DigestOf([]byte("b"))
	if _, _, err := change(s, project, changed, Submit(project, "finding-x", "bank")); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("another request under the key: %v", err)
	}
	if _, _, err := change(s, another, request, Submit(another, "finding-x", "bank")); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("the request for another project: %v", err)
	}
	theirs := request
	theirs.By = actor("insurer")
	if _, seq, err := change(other, project, theirs, Submit(project, "finding-c", "insurer")); err != nil || seq != 3 {
		t.Errorf("the key of somebody else: %d, %v", seq, err)
	}
	stands(project, 3, 3)

	// Nothing happens by a nil act, by an error or by an act that is not permitted, and the key is free after them.
	fresh := clearing.Request{By: a.By, Key: "fresh", Digest: proofhouse.DigestOf([]byte("c"))}
	if p, seq, err := change(s, project, fresh, clearing.Event{}); err != nil || seq != 0 || p.Version != 3 {
		t.Errorf("a nil act: %d events, %d, %v", p.Version, seq, err)
	}
	no := proofhouse.Errorf(proofhouse.Failed, nil, "no")
	if _, _, err := s.Change(ctx, project, fresh, func(clearing.Project) (clearing.Event, error) { return clearing.Event{}, no }, start); proofhouse.KindOf(err) != proofhouse.Failed {
		t.Errorf("decide's error: %v", err)
	}
	if _, _, err := change(s, project, fresh, Submit(project, "finding-a", "bank")); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a name that is taken: %v", err)
	}
	if _, _, err := change(s, project, fresh, clearing.Event{By: a.By, Act: clearing.Withdraw{Finding: "finding-b"}}); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("somebody else's finding: %v", err)
	}
	stands(project, 3, 3)
	if p, seq, err := change(s, project, fresh, clearing.Event{By: a.By, Act: clearing.Withdraw{Finding: "finding-a"}}); err != nil || seq != 4 {
		t.Errorf("the key after that: %+v, %d, %v", p, seq, err)
	} else if f, err := p.Finding("finding-a"); err != nil || f.State() != clearing.Withdrawn {
		t.Errorf("withdrawn: %v, %v", f.State(), err)
	}

	// Time does not run back, and is kept in whole microseconds.
	p, _, err := s.Change(ctx, project, clearing.Request{}, func(clearing.Project) (clearing.Event, error) { return Submit(project, "finding-d", "bank"), nil }, start.Add(-time.Hour))
	if err != nil || !p.Changed.Equal(start) {
		t.Errorf("an hour before: %v, %v", p.Changed, err)
	}
	late := start.Add(time.Hour + 1500*time.Nanosecond)
	p, _, err = s.Change(ctx, project, clearing.Request{}, func(clearing.Project) (clearing.Event, error) { return Submit(project, "finding-e", "bank"), nil }, late)
	if err != nil || !p.Changed.Equal(late.Truncate(time.Microsecond)) {
		t.Errorf("an hour after: %v, %v", p.Changed, err)
	}
	if again, err := other.Project(ctx, project); err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("what is read is not what was written:\n%+v\n%+v, %v", again, p, err)
	}

	// A project knows nothing of another.
	if _, seq, err := change(s, another, clearing.Request{}, Submit(another, "finding-z", "bank")); err != nil || seq != 1 {
		t.Errorf("another project: %d, %v", seq, err)
	}
	stands(another, 1, 1)
	stands(project, 6, 5)

	together(t, []clearing.Store{s, other})
}

// together has many write at once, at two doors.
func together(t *testing.T, doors []clearing.Store) {
	const purl, writers, each = "pkg:generic/busy-project", 8, 5
	var work sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]bool{}
	for i := range writers {
		work.Go(func() {
			for j := range each {
				e := Submit(purl, fmt.Sprintf("finding-%d-%d", i, j), fmt.Sprintf("org-%d", i))
				_, seq, err := doors[i%len(doors)].Change(context.Background(), purl, clearing.Request{}, func(clearing.Project) (clearing.Event, error) { return e, nil }, start)
				mu.Lock()
				if err != nil || seen[seq] {
					t.Errorf("together: event %d, %v", seq, err)
				}
				seen[seq] = true
				mu.Unlock()
			}
		})
	}
	work.Wait()
	for _, s := range doors {
		if p, err := s.Project(t.Context(), purl); err != nil || p.Version != writers*each || len(p.Findings) != writers*each {
			t.Errorf("together: %d events, %d findings, %v", p.Version, len(p.Findings), err)
		}
	}
}

// TestShelf holds an implementation to clearing.Shelf. open is one more door to one house, in whose projects something happened already.
func TestShelf(t *testing.T, open func(t *testing.T) clearing.Shelf) {
	s, other := open(t), open(t)
	ctx := t.Context()
	for _, text := range [][]byte{[]byte("proof"), {}, bytes.Repeat([]byte{0, 0xff, '\n'}, 100_000)} {
		mine := bytes.Clone(text)
		d, err := s.Put(ctx, project, mine)
		if err != nil || d != proofhouse.DigestOf(text) {
			t.Fatalf("put: %s, %v", d, err)
		}
		if again, err := other.Put(ctx, project, bytes.Clone(text)); err != nil || again != d {
			t.Errorf("put again: %s, %v", again, err)
		}
		for i := range mine {
			mine[i]++ // it is the caller's again
		}
		for _, door := range []clearing.Shelf{s, other} {
			got, err := door.Open(ctx, project, d)
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("open: %d bytes, %v", len(got), err)
			}
			for i := range got {
				got[i]++
			}
		}
		// It is the project's alone.
		if _, err := s.Open(ctx, another, d); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("another project's file: %v", err)
		}
	}
	if _, err := s.Open(ctx, project, proofhouse.DigestOf([]byte("never put"))); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("what was never put: %v", err)
	}
}
