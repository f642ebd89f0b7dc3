package clearing

import (
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// TestLinks gives a maintainer links to a packet, and holds them to that packet, to their time and to the person who released it.
func TestLinks(t *testing.T) {
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	otto := proofhouse.Actor{Organisation: "institute", Person: "otto", Role: proofhouse.Coordinator}
	eve := proofhouse.Actor{Organisation: "institute", Person: "eve", Role: proofhouse.Coordinator}
	p := Project{Purl: "pkg:generic/name", Packets: []Packet{
		{ID: "packet-a", Released: now.Add(-time.Hour), By: otto},
		{ID: "packet-b", Released: now.Add(-8 * 24 * time.Hour), By: otto},
		{ID: "packet-c"},
	}}
	secret := NewLinkSecret()
	id, hash, ok := HashLink(secret)
	if !ok || strings.Contains(string(id), secret) || strings.Contains(hash, secret) {
		t.Fatal(id, hash, ok)
	}
	for _, bad := range []string{"", "phm_", secret[:len(secret)-1], secret + "a", strings.Replace(secret, "phm_", "phc_", 1), NewLinkSecret()[:20]} {
		if _, _, ok := HashLink(bad); ok {
			t.Errorf("%q is taken for a secret", bad)
		}
	}
	refused := func(by proofhouse.Actor, a Act, kind proofhouse.Kind) {
		t.Helper()
		if _, err := p.Apply(Event{by, a}, now); proofhouse.KindOf(err) != kind {
			t.Errorf("%s by %s of %+v: %v, want %s", NameOf(a), by.Person, a, err, kind)
		}
	}
	take := func(by proofhouse.Actor, a Act) {
		t.Helper()
		next, err := p.Apply(Event{by, a}, now)
		if err != nil {
			t.Fatalf("%s: %v", NameOf(a), err)
		}
		b, err := next.Record(Event{by, a}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = p.Replay(r); err != nil { // what was kept is all that there is
			t.Fatal(err)
		}
	}
	opens := func(p Project, hash string, at time.Time) string {
		t.Helper()
		q, l, err := p.Linked(hash, at)
		if err != nil && (proofhouse.KindOf(err) != proofhouse.NotFound || proofhouse.PublicOf(err) != "there is no such packet" || l.ID != "") {
			t.Errorf("what opens nothing says: %v, %+v", err, l)
		}
		return string(q.ID)
	}
	ends := now.Add(24 * time.Hour)
	give := GiveLink{"packet-a", id, hash, ends}
	refused(otto, GiveLink{"packet-c", id, hash, ends}, proofhouse.Refused) // it did not go out
	refused(otto, GiveLink{"packet-z", id, hash, ends}, proofhouse.NotFound)
	refused(eve, give, proofhouse.Refused) // she did not release it
	for _, by := range []proofhouse.Actor{machine, {Organisation: "institute", Person: "otto"}, Maintainer(id), {Role: proofhouse.Coordinator}} {
		refused(by, give, proofhouse.Refused)
	}
	for _, expires := range []time.Time{{}, now, now.Add(LinkLife + time.Second)} {
		refused(otto, GiveLink{"packet-a", id, hash, expires}, proofhouse.Invalid)
	}
	refused(otto, GiveLink{"packet-a", "link-other", hash, ends}, proofhouse.Invalid)
	refused(otto, GiveLink{"packet-a", "link-", "", ends}, proofhouse.Invalid)
	if opens(p, hash, now) != "" {
		t.Error("a link that was not given opens something")
	}
	take(otto, give)
	_, other, _ := HashLink(NewLinkSecret())
	for _, c := range []struct {
		hash string
		at   time.Time
		want string
	}{{hash, now, "packet-a"}, {hash, ends.Add(-1), "packet-a"}, {hash, ends, ""}, {other, now, ""}, {"", now, ""}, {hash[:linkName], now, ""}} {
		if got := opens(p, c.hash, c.at); got != c.want {
			t.Errorf("at %s %s… opens %q, want %q", c.at, c.hash[:min(len(c.hash), 6)], got, c.want)
		}
	}

	// By the link, and of its packet alone, for its time alone.
	reader := Maintainer(id)
	refused(reader, Reply{Packet: "packet-b", Answer: Fixed, Link: id}, proofhouse.NotFound)
	refused(reader, Reply{Packet: "packet-a", Answer: Fixed}, proofhouse.Refused)
	refused(otto, Reply{Packet: "packet-a", Answer: Fixed, Link: id}, proofhouse.Refused)
	refused(Maintainer("link-other"), Reply{Packet: "packet-a", Answer: Fixed, Link: id}, proofhouse.Refused)
	refused(Maintainer("link-other"), Reply{Packet: "packet-a", Answer: Fixed, Link: "link-other"}, proofhouse.NotFound)
	refused(reader, Reply{Packet: "packet-a", Answer: "thanks", Link: id}, proofhouse.Invalid)
	refused(reader, Reply{Packet: "packet-a", Answer: NotABug, Link: id, Note: " "}, proofhouse.Invalid)
	refused(reader, Reply{Packet: "packet-a", Answer: Fixed, Link: id, Note: "in \u202e1.1"}, proofhouse.Invalid)
	refused(reader, EndLink{"packet-a", id}, proofhouse.Refused)
	refused(reader, Declare{}, proofhouse.Refused)
	take(reader, Reply{Packet: "packet-a", Answer: NotABug, Link: id, Note: "it cannot be reached"})
	if q := p.Packets[0]; q.Answer != NotABug || q.Note != "it cannot be reached" || p.Packets[1].Answer != "" {
		t.Errorf("answered: %+v", p.Packets)
	}
	refused(otto, Stop{"packet-a", id}, proofhouse.Refused)
	refused(otto, Stop{Packet: "packet-a"}, proofhouse.NotFound)
	refused(reader, Stop{"packet-b", id}, proofhouse.NotFound)
	now = now.Add(7 * 24 * time.Hour)
	refused(reader, Reply{Packet: "packet-a", Answer: Fixed, Link: id}, proofhouse.NotFound) // its time is over
	refused(reader, Stop{"packet-a", id}, proofhouse.NotFound)
	refused(otto, EndLink{"packet-a", id}, proofhouse.Conflict)

	second, again, _ := HashLink(NewLinkSecret())
	take(otto, GiveLink{"packet-a", second, again, now.Add(LinkLife)})
	if why := p.Blocked(now); why != "" {
		t.Errorf("blocked before anybody said so: %s", why)
	}
	take(Maintainer(second), Stop{"packet-a", second})
	if why := p.Blocked(now); !strings.Contains(why, "asked that nothing more is sent") {
		t.Errorf("after they asked for no more: %q", why)
	}
	refused(Maintainer(second), Stop{"packet-a", second}, proofhouse.Conflict)
	take(otto, Declare{Declaration{Capacity: 2}})
	if why := p.Blocked(now); why != "" {
		t.Errorf("after they declared anew: %s", why)
	}
	before := p
	refused(otto, EndLink{"packet-a", "link-other"}, proofhouse.NotFound)
	take(eve, EndLink{"packet-a", second}) // any coordinator may, in a hurry
	if opens(p, again, now) != "" || opens(before, again, now) != "packet-a" {
		t.Error("an ended link opens something, or it was ended in the case before")
	}
	refused(Maintainer(second), Reply{Packet: "packet-a", Answer: Fixed, Link: second}, proofhouse.NotFound)
	for range maxLinks {
		id, hash, _ := HashLink(NewLinkSecret())
		take(otto, GiveLink{"packet-a", id, hash, now.Add(time.Hour)})
	}
	refused(otto, GiveLink{"packet-a", id, hash, now.Add(time.Hour)}, proofhouse.Limit)
}
