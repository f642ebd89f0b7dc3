package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

var (
	alice = proofhouse.Actor{Organisation: "body", Person: "alice", Role: proofhouse.Registrar}
	bob   = proofhouse.Actor{Organisation: "body", Person: "bob", Role: proofhouse.SecurityOfficer}
	order = Order{Approvals: [2]Approval{{alice, noon.Add(-time.Hour)}, {bob, noon.Add(-time.Minute)}}, At: noon}
)

// due is the custody of artifacts whose terms are over.
func due(t testing.TB, ids ...proofhouse.Digest) Custody {
	t.Helper()
	var c Custody
	for _, id := range ids {
		c = apply(t, c, CustodyEvent{Retain: &Retention{id, Term{noon.AddDate(0, -1, 0), noon.AddDate(0, 0, -1)}}})
	}
	return c
}

func apply(t testing.TB, c Custody, e CustodyEvent) Custody {
	t.Helper()
	e.At, e.Actor, e.Reason = noon, alice, "the terms of the case"
	c, err := c.Apply(e)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// copyAll copies the files below one folder to another, as a backup does.
func copyAll(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// restore puts back what is missing in dir.
func restore(t *testing.T, backup, dir string) {
	t.Helper()
	for _, name := range files(t, backup) {
		rel, _ := filepath.Rel(backup, name)
		b, err := os.ReadFile(name)
		if err == nil {
			err = errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, rel)), 0o700), os.WriteFile(filepath.Join(dir, rel), b, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestOldBackup: what was destroyed does not open from an old backup of the
// bodies, with the house's key and all that is left of the heads; what was
// not, does.
func TestOldBackup(t *testing.T) {
	a := newArtifacts(t)
	for _, c := range []string{"c", "d"} {
		if err := a.Create(c); err != nil {
			t.Fatal(err)
		}
	}
	gone, kept, other := file(t, a, "c", canary+" 1"), file(t, a, "c", canary+" 2"), file(t, a, "d", canary+" 3")
	backup := filepath.Join(t.TempDir(), "backup")
	copyAll(t, a.bodies, backup)
	if _, err := a.Destroy("c", []proofhouse.Digest{gone.ID}, due(t, gone.ID), order); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(a.bodies) // the disk is lost, and the backup put back
	restore(t, backup, a.bodies)
	b := another(t, a)
	_, err := read(b, "c", gone.ID)
	wantKind(t, "an artifact that was destroyed", err, proofhouse.NotFound)
	for c, x := range map[string]Artifact{"c": kept, "d": other} {
		if got, err := read(b, c, x.ID); err != nil || !strings.HasPrefix(got, canary) {
			t.Errorf("what was not destroyed: %q, %v", got, err)
		}
	}
	if _, err := b.Shred("c", due(t, kept.ID), order); err != nil {
		t.Fatal(err)
	}
	restore(t, backup, a.bodies)
	c := another(t, a)
	for _, x := range []Artifact{gone, kept} {
		_, err := read(c, "c", x.ID)
		wantKind(t, "an artifact of a compartment that was shredded", err, proofhouse.NotFound)
	}
	_, err = c.Seal("c", "", "")
	wantKind(t, "sealing in it", err, proofhouse.NotFound)
	wantKind(t, "making it again", c.Create("c"), proofhouse.Conflict)
	// With the house's key and every file that is left, whatever somebody tries:
	// no key of the compartment is among them.
	house, err := openKey(a.vault.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files(t, a.head("c")), files(t, a.body("c"))...) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openBytes(b, house); err == nil {
			t.Errorf("%s opens with the house's key", filepath.Base(name))
		}
		if h, err := os.ReadFile(a.head("d", recipientName)); err == nil && bytes.Contains(b, bytes.TrimSpace(h)) {
			t.Error("the keys of compartments are one")
		}
	}
	if got, err := read(c, "d", other.ID); err != nil || got != canary+" 3" {
		t.Errorf("the other compartment: %q, %v", got, err)
	}
}

// TestNothingOfAKeyIsLeft looks, as an undelete would, at what lay where.
func TestNothingOfAKeyIsLeft(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	x, y := file(t, a, "c", canary), file(t, a, "c", canary)
	links := map[string]string{}
	for what, name := range map[string]string{"head": a.headOf("c", x.ID), "other head": a.headOf("c", y.ID), "key": a.head("c", keyName)} {
		links[what] = filepath.Join(t.TempDir(), "link")
		if err := os.Link(name, links[what]); err != nil {
			t.Fatal(err)
		}
	}
	zeros := func(what string) {
		t.Helper()
		if b, err := os.ReadFile(links[what]); err != nil || len(b) == 0 || len(bytes.Trim(b, "\x00")) != 0 {
			t.Errorf("of the %s there is %.40q, %v", what, b, err)
		}
	}
	if _, err := a.Destroy("c", []proofhouse.Digest{x.ID}, due(t, x.ID), order); err != nil {
		t.Fatal(err)
	}
	zeros("head")
	if _, err := a.Shred("c", due(t, y.ID), order); err != nil {
		t.Fatal(err)
	}
	zeros("key")
	zeros("other head")
	if there(a.body("c")) {
		t.Error("the bodies are there")
	}
}

// TestCertificates say what was destroyed and by whom, and no name of it.
func TestCertificates(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	x, y := file(t, a, "c", canary), file(t, a, "c", strings.Repeat(canary, 3))
	size := map[proofhouse.Digest]int64{}
	held, _ := a.List("c")
	for _, h := range held {
		size[h.ID] = h.Bytes
	}
	one, err := a.Destroy("c", []proofhouse.Digest{x.ID}, due(t, x.ID), order)
	if err != nil || one.Whole || one.Count != 1 || one.Bytes != size[x.ID] || one.Destroyed[0] != (Held{x.ID, size[x.ID]}) || one.Order != order {
		t.Fatalf("%+v, %v", one, err)
	}
	whole, err := a.Shred("c", due(t, y.ID), order)
	if err != nil || !whole.Whole || whole.Count != 1 || whole.Destroyed[0].ID != y.ID || whole.Subject() == one.Subject() {
		t.Fatalf("%+v, %v", whole, err)
	}
	again, err := another(t, a).Shred("c", Custody{}, Order{})
	if err != nil || again.Subject() != whole.Subject() || again.Order != order {
		t.Errorf("again: %+v, %v", again, err)
	}
	all, err := another(t, a).Certificates("c")
	if err != nil || len(all) != 2 || all[0].Subject() != one.Subject() || all[1].Subject() != whole.Subject() {
		t.Errorf("%+v, %v", all, err)
	}
	b, _ := json.Marshal(all)
	for _, secret := range []string{canary, x.Name, x.Plain.Hex(), "text/plain", "\"c\""} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("the certificates tell of %q", secret)
		}
	}
	if !bytes.Contains(b, []byte("alice")) || !bytes.Contains(b, []byte("bob")) {
		t.Error("the certificates do not say who approved")
	}
	_, err = a.Certificates("e")
	wantKind(t, "of no compartment", err, proofhouse.NotFound)
}

// TestRefusedDestruction: nothing goes then.
func TestRefusedDestruction(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	x, y := file(t, a, "c", canary), file(t, a, "c", canary)
	free := due(t, x.ID, y.ID)
	with := func(change func(*Order)) Order {
		o := order
		change(&o)
		return o
	}
	strange := proofhouse.DigestOf(nil)
	for what, c := range map[string]struct {
		ids     []proofhouse.Digest
		custody Custody
		order   Order
		kind    proofhouse.Kind
	}{
		"nothing":                 {nil, free, order, proofhouse.Invalid},
		"what is not here":        {[]proofhouse.Digest{x.ID, strange}, free, order, proofhouse.NotFound},
		"without a term":          {[]proofhouse.Digest{x.ID, y.ID}, due(t, x.ID), order, proofhouse.Refused},
		"under a hold":            {[]proofhouse.Digest{x.ID, y.ID}, apply(t, free, CustodyEvent{Hold: &Hold{ID: "h", Artifacts: []proofhouse.Digest{y.ID}}}), order, proofhouse.Refused},
		"under a hold of all":     {[]proofhouse.Digest{x.ID}, apply(t, free, CustodyEvent{Hold: &Hold{ID: "h"}}), order, proofhouse.Refused},
		"before its time":         {[]proofhouse.Digest{x.ID}, free, with(func(o *Order) { o.At = noon.AddDate(-1, 0, 0); o.Approvals[0].At, o.Approvals[1].At = o.At, o.At }), proofhouse.Refused},
		"one approver":            {[]proofhouse.Digest{x.ID}, free, with(func(o *Order) { o.Approvals[1] = Approval{} }), proofhouse.Invalid},
		"one approver twice":      {[]proofhouse.Digest{x.ID}, free, with(func(o *Order) { o.Approvals[1] = o.Approvals[0] }), proofhouse.Refused},
		"one in two roles":        {[]proofhouse.Digest{x.ID}, free, with(func(o *Order) { o.Approvals[1].Actor = alice; o.Approvals[1].Actor.Role = proofhouse.Authority }), proofhouse.Refused},
		"an approval of tomorrow": {[]proofhouse.Digest{x.ID}, free, with(func(o *Order) { o.Approvals[1].At = noon.AddDate(0, 0, 1) }), proofhouse.Invalid},
	} {
		_, err := a.Destroy("c", c.ids, c.custody, c.order)
		wantKind(t, what, err, c.kind)
		if c.kind == proofhouse.Refused || c.kind == proofhouse.Invalid && len(c.ids) > 0 {
			if what == "without a term" {
				c.custody = due(t, x.ID)
			}
			_, err := a.Shred("c", c.custody, c.order)
			wantKind(t, what+", the whole", err, c.kind)
		}
		for _, id := range []proofhouse.Digest{x.ID, y.ID} {
			if got, err := read(a, "c", id); err != nil || got != canary {
				t.Fatalf("%s: %q, %v", what, got, err)
			}
		}
	}
	_, err := a.Shred("e", Custody{}, order)
	wantKind(t, "no compartment", err, proofhouse.NotFound)
}

// TestDestructionGoesOn from wherever it was cut short, and its certificate is there then.
func TestDestructionGoesOn(t *testing.T) {
	for _, whole := range []bool{false, true} {
		for cut := range 5 {
			a := newArtifacts(t)
			if err := a.Create("c"); err != nil {
				t.Fatal(err)
			}
			x, y := file(t, a, "c", canary), file(t, a, "c", canary)
			a.Close()
			mark, certificate := "abc"+orderSuffix, Certificate{Order: order, Count: 1, Destroyed: []Held{{x.ID, 1}}}
			if whole {
				mark, certificate = shreddedName, Certificate{Order: order, Count: 2, Whole: true, Destroyed: []Held{{x.ID, 1}, {y.ID, 1}}}
			}
			b, _ := json.Marshal(certificate)
			os.WriteFile(a.head("c", mark), b, 0o600)
			done := []string{a.headOf("c", x.ID), a.bodyOf("c", x.ID)} // in the order of the effects
			if whole {
				done = []string{a.head("c", keyName), a.headOf("c", x.ID), a.headOf("c", y.ID), a.bodyOf("c", y.ID)}
			}
			for _, name := range done[:min(cut, len(done))] {
				os.Remove(name)
			}
			b2 := another(t, a)
			if err := b2.Create("d"); err != nil { // anything that writes
				t.Fatal(err)
			}
			all, err := b2.Certificates("c")
			if err != nil || len(all) != 1 || all[0].Subject() != certificate.Subject() {
				t.Errorf("cut after %d: %+v, %v", cut, all, err)
			}
			if left := append(files(t, a.head("c")), files(t, a.body("c"))...); whole && len(left) != 1 {
				t.Errorf("cut after %d: left is %v", cut, left)
			}
			for _, name := range done {
				if there(name) {
					t.Errorf("cut after %d: %s is there", cut, filepath.Base(name))
				}
			}
			if got, err := read(b2, "c", y.ID); !whole && (err != nil || got != canary) {
				t.Errorf("the other artifact: %q, %v", got, err)
			}
		}
	}
}

// TestShreddingMeetsSealing: what was committed is in the certificate, and what
// was not is nowhere.
func TestShreddingMeetsSealing(t *testing.T) {
	for range 5 {
		a := newArtifacts(t)
		if err := a.Create("c"); err != nil {
			t.Fatal(err)
		}
		b := another(t, a)
		var mu sync.Mutex
		committed := map[proofhouse.Digest]bool{}
		var work sync.WaitGroup
		for range 8 {
			work.Go(func() {
				for range 4 {
					s, err := b.Seal("c", "", "")
					if err == nil {
						var x Artifact
						if x, err = s.Commit(); err == nil {
							mu.Lock()
							committed[x.ID] = true
							mu.Unlock()
						}
					}
					if err != nil && proofhouse.KindOf(err) != proofhouse.NotFound && there(a.head("c", recipientName)) {
						t.Error(err)
					}
				}
			})
		}
		var whole Certificate
		for {
			held, err := a.List("c")
			if err != nil {
				t.Fatal(err)
			}
			var ids []proofhouse.Digest
			for _, h := range held {
				ids = append(ids, h.ID)
			}
			if whole, err = a.Shred("c", due(t, ids...), order); err == nil {
				break
			}
			if proofhouse.KindOf(err) != proofhouse.Refused { // one more came, without a term
				t.Fatal(err)
			}
		}
		work.Wait()
		for _, h := range whole.Destroyed {
			if !committed[h.ID] {
				t.Errorf("%s is in the certificate and was never there", h.ID.Short())
			}
			delete(committed, h.ID)
		}
		if len(committed) > 0 || len(files(t, a.head("c"))) != 1 || len(files(t, a.bodies)) != 0 {
			t.Errorf("%d not in the certificate, left %v, %v", len(committed), files(t, a.head("c")), files(t, a.bodies))
		}
	}
}

// TestKilledFiling kills a process that seals and destroys, again and again:
// what it committed is there and whole, or destroyed with a certificate.
func TestKilledFiling(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	a.Close()
	committed := map[proofhouse.Digest]bool{}
	for round := range 8 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "VAULT_TEST_FILE="+filepath.Dir(a.bodies))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(100+30*round)*time.Millisecond, func() { cmd.Process.Signal(syscall.SIGKILL) })
		b, _ := io.ReadAll(out)
		timer.Stop()
		_ = cmd.Wait()
		for line := range strings.Lines(string(b)) {
			if strings.HasSuffix(line, "\n") {
				committed[proofhouse.Digest(strings.TrimSpace(line))] = true
			}
		}
	}
	b := another(t, a)
	last := file(t, b, "c", canary)
	committed[last.ID] = true
	held, err := b.List("c")
	if err != nil || len(committed) < 8 {
		t.Fatalf("%d committed, %v", len(committed), err)
	}
	certificates, err := b.Certificates("c")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range held {
		if got, err := read(b, "c", h.ID); err != nil || strings.ReplaceAll(got, canary, "") != "" {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		delete(committed, h.ID)
	}
	for _, c := range certificates {
		for _, h := range c.Destroyed {
			if there(b.headOf("c", h.ID)) || there(b.bodyOf("c", h.ID)) {
				t.Errorf("%s is destroyed by its certificate and still there", h.ID.Short())
			}
			delete(committed, h.ID)
		}
	}
	if len(committed) != 0 || len(certificates) == 0 {
		t.Errorf("lost: %v; %d certificates", committed, len(certificates))
	}
	for _, name := range append(files(t, a.bodies), files(t, a.heads)...) {
		if strings.HasSuffix(name, newSuffix) || strings.HasSuffix(name, orderSuffix) {
			t.Errorf("%s is left", filepath.Base(name))
		}
	}
	if n := len(files(t, a.bodies)); n != len(held) {
		t.Errorf("%d bodies for %d heads", n, len(held))
	}
	checkDisk(t, filepath.Dir(a.bodies))
}

// fileForever is what TestKilledFiling kills.
func fileForever(dir string) {
	a := New(filepath.Join(dir, "vault"), filepath.Join(dir, "keys", "house.key")).Artifacts(filepath.Join(dir, "artifacts"), filepath.Join(dir, "keys", "artifacts"))
	for i := 0; ; i++ {
		s, err := a.Seal("c", "x", "")
		for range 500 {
			if err == nil {
				_, err = io.WriteString(s, canary)
			}
		}
		var x Artifact
		if err == nil {
			x, err = s.Commit()
		}
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(string(x.ID) + "\n")
		if i%3 == 2 {
			c, err := Custody{}.Apply(CustodyEvent{At: noon, Actor: alice, Reason: "x", Retain: &Retention{Artifact: x.ID}})
			if err == nil {
				_, err = a.Destroy("c", []proofhouse.Digest{x.ID}, c, order)
			}
			if err != nil {
				panic(err)
			}
		}
	}
}
