package clearing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// never watches a project's events, and knows of itself what may not happen.
type never struct {
	t       *testing.T
	p       Project
	brought map[FindingID]Finding // as they came in
	history []string
}

func (n *never) fail(format string, args ...any) {
	n.t.Helper()
	n.t.Fatalf("%s\nafter %q", fmt.Sprintf(format, args...), n.history[max(0, len(n.history)-12):])
}

// clusters are the members of all, as one word.
func (n *never) clusters() string {
	var all [][]FindingID
	for _, c := range n.p.Clusters() {
		all = append(all, c.Members)
	}
	return fmt.Sprint(all)
}

// do has somebody do something, which may be refused.
func (n *never) do(by proofhouse.Actor, a Act, now time.Time) error {
	n.t.Helper()
	before := n.p
	if now.Before(before.Changed) { // a project's time never runs back
		now = before.Changed
	}
	after, err := n.p.Apply(Event{by, a}, now)
	n.history = append(n.history, fmt.Sprintf("%s/%s %s %+v: %v", by.Role, by.Person, NameOf(a), a, err))
	if err != nil {
		return err
	}
	n.p = after
	person := by.Role == proofhouse.Coordinator && by.Person != "" && by.Person != "desk"
	switch a := a.(type) {
	case Submit:
		f, err := after.Finding(a.ID)
		if err != nil {
			n.fail("a finding is not there: %v", err)
		}
		n.brought[a.ID] = f
	case Reproduced, Checked, Troubled, Compared:
		if by != machine {
			n.fail("somebody says what was seen")
		}
	case Decide, Declare, Make, Reply, GiveLink, EndLink:
		if !person {
			n.fail("somebody else than a coordinator did it")
		}
	case Release:
		if !person {
			n.fail("a packet went out without a person")
		}
		n.released(before, a.Packet, now)
	}
	n.credits()
	return nil
}

// released holds what went out to what was known, without the rules that let it.
func (n *never) released(before Project, id PacketID, now time.Time) {
	n.t.Helper()
	q, err := n.p.Packet(id)
	if err != nil {
		n.fail("what went out is nothing: %v", err)
	}
	for _, m := range q.Members {
		f, err := before.Finding(m)
		if err != nil || !f.Withdrawn.IsZero() || len(f.Attempts) == 0 || f.Attempts[len(f.Attempts)-1].Verdict != Confirmed {
			n.fail("%s went out with a finding that is not confirmed", id)
		}
	}
	if c, err := before.Cluster(q.Members[0]); err != nil || !slices.Equal(c.Members, q.Members) {
		n.fail("%s went out without somebody who found it: %v, and it is %v", id, q.Members, c.Members)
	}
	d := before.Declaration
	capacity, most := d.Capacity, d.Open
	if capacity == 0 {
		capacity = 1
	}
	if most == 0 {
		most = Declaration{}.Or().Open
	}
	week, open := 0, 0
	for _, o := range n.p.Packets {
		switch {
		case o.Released.IsZero():
			continue
		case o.ID != id && slices.ContainsFunc(o.Members, func(m FindingID) bool { return slices.Contains(q.Members, m) }):
			n.fail("%s and %s went out for one bug", o.ID, id)
		}
		if o.Released.After(now.Add(-7 * 24 * time.Hour)) {
			week++
		}
		if o.Answer == "" || o.Answer == Acknowledged {
			open++
		}
	}
	if week > capacity || open > most {
		n.fail("%d packets in a week, %d open; the project takes %d and %d", week, open, capacity, most)
	}
	day := now.Format(time.DateOnly)
	for _, w := range d.Closed {
		if string(w.From) <= day && day <= string(w.Until) {
			n.fail("a packet went out on %s, while the project takes nothing", day)
		}
	}
}

// credits finds everything that came in still there and its finder's, and each confirmed finding in one cluster.
func (n *never) credits() {
	n.t.Helper()
	in := map[FindingID]int{}
	for _, c := range n.p.Clusters() {
		for _, id := range c.Members {
			in[id]++
		}
	}
	if len(n.p.Findings) != len(n.brought) {
		n.fail("%d findings came, %d are there", len(n.brought), len(n.p.Findings))
	}
	for _, f := range n.p.Findings {
		was := n.brought[f.ID]
		if f.By != was.By || f.Claim.Credit != was.Claim.Credit || !f.Aware.Equal(was.Aware) {
			n.fail("%s is somebody else's now", f.ID)
		}
		if confirmed := f.State() == State(Confirmed); confirmed && in[f.ID] != 1 || !confirmed && in[f.ID] != 0 {
			n.fail("%s is %s and in %d clusters", f.ID, f.State(), in[f.ID])
		}
	}
}

// apart merges two findings of two clusters and keeps them apart again: then all is as it was.
func (n *never) apart(by proofhouse.Actor, a, b FindingID, now time.Time) {
	n.t.Helper()
	before := n.clusters()
	if c, err := n.p.Cluster(a); err != nil || slices.Contains(c.Members, b) {
		return
	}
	if n.do(by, Decide{A: a, B: b, Same: true, Reason: "they are one"}, now) != nil {
		return
	}
	if err := n.do(by, Decide{A: a, B: b, Reason: "they are two"}, now); err != nil {
		n.fail("a merge cannot be taken back: %v", err)
	}
	if after := n.clusters(); after != before {
		n.fail("merged and taken back: %s\nbefore: %s", after, before)
	}
}

// TestNever has random people do random things with a project, and finds that nothing goes out but what is confirmed, within what the project takes, by a person and once a bug; that
// no finder loses a finding; and that merges can be taken back.
func TestNever(t *testing.T) {
	out, refused := 0, 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := &never{t: t, p: Project{Purl: toyProject}, brought: map[FindingID]Finding{}, history: []string{fmt.Sprint("seed ", seed)}}
		now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
		people := []proofhouse.Actor{
			{Role: proofhouse.Coordinator, Organisation: "body", Person: "cora"},
			{Role: proofhouse.Coordinator, Organisation: "body", Person: "cora"},
			machine, machine, machine,
			{Role: proofhouse.Coordinator, Organisation: "body"},
			{Role: proofhouse.Partner, Organisation: "bank", Person: "ada"},
			{Role: proofhouse.Partner, Organisation: "insurer", Person: "ben"},
			{},
		}
		d := func(word string, i int) proofhouse.Digest {
			return proofhouse.DigestOf(fmt.Appendf(nil, "%s %d", word, i))
		}
		finding := func() FindingID {
			if len(n.p.Findings) == 0 {
				return "finding-none"
			}
			return n.p.Findings[r.IntN(len(n.p.Findings))].ID
		}
		packet := func() PacketID {
			if len(n.p.Packets) == 0 {
				return "packet-none"
			}
			return n.p.Packets[r.IntN(len(n.p.Packets))].ID
		}
		for i := range 250 {
			now = now.Add(time.Duration(r.IntN(30)-2) * time.Hour)
			by := people[r.IntN(len(people))]
			var a Act
			switch r.IntN(16) {
			case 0, 1:
				by = people[6+r.IntN(2)]
				a = Submit{FindingID(fmt.Sprint("finding-", r.IntN(i+1))), Claim{Title: "It breaks", Purl: toyProject + "@1.0", AI: "none", Credit: fmt.Sprint("credit ", i), Marking: proofhouse.Red}, Files{Target: d("target", 0), Proof: d("proof", r.IntN(6))}}
			case 2, 3:
				verdict := []Verdict{Confirmed, Confirmed, Confirmed, NotReproduced, Inconclusive, OutOfThreatModel, Infrastructure}[r.IntN(7)]
				a = Reproduced{finding(), AttemptRecord{Verdict: verdict, Signature: []string{"overflow:f", "overflow:g"}[r.IntN(2)]}}
			case 4:
				if r.IntN(4) > 0 {
					continue
				}
				a = Withdraw{finding()}
			case 5:
				a = Retry{finding(), "again"}
			case 6:
				a = Propose{ID: PatchID(fmt.Sprint("patch-", i)), For: finding(), Fix: d("fix", r.IntN(4))}
			case 7:
				if len(n.p.Patches) == 0 {
					continue
				}
				a = Checked{n.p.Patches[r.IntN(len(n.p.Patches))].ID, PatchCheck{Outcome: []PatchOutcome{Verified, Refused, Incomplete}[r.IntN(3)]}, r.IntN(4)}
			case 8:
				proof, part := d("proof", r.IntN(6)), d("part", r.IntN(4))
				a = Compared{[]Cell{{Proof: proof, Patch: part, Stops: r.IntN(2) == 0}}, []Part{{Proof: proof, Fix: d("fix", r.IntN(4)), Part: part}}}
			case 9:
				if r.IntN(2) == 0 {
					n.apart(people[0], finding(), finding(), now)
					continue
				}
				a = Decide{finding(), finding(), r.IntN(2) == 0, "seen"}
			case 10:
				day := func(days int) Day { return Day(now.AddDate(0, 0, days).Format(time.DateOnly)) }
				decl := Declaration{Capacity: r.IntN(4) - 1, Open: r.IntN(3)}
				if r.IntN(3) == 0 {
					decl.Closed = []Window{{From: day(r.IntN(3)), Until: day(3 + r.IntN(5)), Why: "holiday"}}
				}
				a = Declare{decl}
			case 11, 14:
				if r.IntN(4) > 0 {
					by = people[0]
				}
				a = Make{ID: PacketID(fmt.Sprint("packet-", i)), Cluster: finding(), Text: d("text", i), Archive: d("archive", i)}
			case 12, 15:
				if a = (Release{packet()}); r.IntN(4) > 0 && len(n.p.Packets) > 0 {
					by, a = people[0], Release{n.p.Packets[len(n.p.Packets)-1].ID}
				}
			case 13:
				a = Reply{Packet: packet(), Answer: Answers[r.IntN(len(Answers))]}
			}
			err := n.do(by, a, now)
			if _, ok := a.(Release); ok && err == nil {
				out++
			} else if err != nil {
				refused++
			}
		}
	}
	if out < 20 || refused < 1000 {
		t.Errorf("%d packets went out and %d acts were refused: too few to tell anything", out, refused)
	}
}
