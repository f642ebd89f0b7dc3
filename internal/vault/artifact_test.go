package vault

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"proofhouse/internal/proofhouse"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func newArtifacts(t *testing.T) *Artifacts {
	t.Helper()
	dir := t.TempDir()
	a := New(filepath.Join(dir, "vault"), filepath.Join(dir, "keys", "house.key")).Artifacts(filepath.Join(dir, "artifacts"), filepath.Join(dir, "keys", "artifacts"))
	t.Cleanup(func() { a.Close() })
	return a
}

// another is the same artifacts in another process.
func another(t *testing.T, a *Artifacts) *Artifacts {
	b := New(a.vault.dir, a.vault.keyFile).Artifacts(a.bodies, a.heads)
	t.Cleanup(func() { b.Close() })
	return b
}

func file(t testing.TB, a *Artifacts, compartment, text string) Artifact {
	t.Helper()
	s, err := a.Seal(compartment, "report of "+canary, "text/plain")
	if err == nil {
		_, err = io.WriteString(s, text)
	}
	var x Artifact
	if err == nil {
		x, err = s.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// read opens an artifact by the keys of custodians, in that order.
func read(a *Artifacts, compartment string, id proofhouse.Digest, keys ...string) (string, error) {
	layer, err := a.Unwrap(compartment, id)
	for _, key := range keys {
		if err == nil {
			layer, err = layer.UnwrapBy(Secret(key))
		}
	}
	if err != nil {
		return "", err
	}
	o, err := a.Open(compartment, id, layer)
	if err != nil {
		return "", err
	}
	defer o.Close()
	b, err := io.ReadAll(o.Reader())
	return string(b), err
}

// TestArtifacts of many sizes: named by their sealed bodies, and nothing that
// says what they are lies open.
func TestArtifacts(t *testing.T) {
	a := newArtifacts(t)
	_, err := a.Seal("case-1", "x", "")
	wantKind(t, "no compartment", err, proofhouse.NotFound)
	for _, c := range []string{"case-1", "case-2"} {
		if err := a.Create(c); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, "the compartment again", a.Create("case-1"), proofhouse.Conflict)
	wantKind(t, "a name that leaves", a.Create("../x"), proofhouse.Invalid)
	var all []Artifact
	for _, n := range []int{0, 1, 1000, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20} {
		text := strings.Repeat(canary, n/len(canary)+1)[:n]
		x := file(t, a, "case-1", text)
		all = append(all, x)
		body, err := os.ReadFile(a.bodyOf("case-1", x.ID))
		if err != nil || proofhouse.DigestOf(body) != x.ID || x.Plain != proofhouse.DigestOf([]byte(text)) || x.Bytes != int64(n) {
			t.Errorf("%d bytes: %v, %+v", n, err, x)
		}
		if got, err := read(another(t, a), "case-1", x.ID); err != nil || got != text {
			t.Errorf("%d bytes became %d: %v", n, len(got), err)
		}
		if err := a.Check("case-1", x.ID); err != nil {
			t.Error(err)
		}
		_, err = read(a, "case-2", x.ID)
		wantKind(t, "in another compartment", err, proofhouse.NotFound)
	}
	if twice := file(t, a, "case-1", ""); twice.ID == all[0].ID || twice.Plain != all[0].Plain {
		t.Error("the same text sealed twice has one name")
	}
	held, err := a.List("case-1")
	if err != nil || len(held) != len(all)+1 {
		t.Errorf("%v, %v", held, err)
	}
	checkDisk(t, filepath.Dir(a.bodies))
	for _, x := range all {
		for _, root := range []string{a.bodies, a.heads} {
			err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(name)
				if strings.Contains(name, x.Plain.Hex()) || bytes.Contains(b, []byte(x.Plain.Hex())) {
					t.Errorf("%s tells that a known file is held", filepath.Base(name))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestArtifactByHand opens one as docs/design/vault.md says, with age alone.
func TestArtifactByHand(t *testing.T) {
	a, keys := guarded(t)
	x := file(t, a, "case-1", "what was said")
	house, err := openKey(a.vault.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := os.ReadFile(a.head("case-1", keyName))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := openBytes(sealed, house)
	if err != nil {
		t.Fatal(err)
	}
	compartment, err := age.ParseIdentities(bytes.NewReader(secret)) // as age -i reads it
	if err != nil || len(compartment) != 1 {
		t.Fatal(err)
	}
	head, err := os.ReadFile(a.headOf("case-1", x.ID))
	if err != nil {
		t.Fatal(err)
	}
	_, inner, _ := bytes.Cut(head, []byte("\n"))
	for _, key := range []string{string(secret), keys[0], keys[1]} {
		ids, err := age.ParseIdentities(strings.NewReader(key))
		if err != nil {
			t.Fatal(err)
		}
		if inner, err = openBytes(inner, ids[0]); err != nil {
			t.Fatal(err)
		}
	}
	_, header, _ := bytes.Cut(inner, []byte("\n"))
	body, err := os.ReadFile(a.bodyOf("case-1", x.ID))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := openBytes(append(header, body...), compartment[0]); err != nil || string(got) != "what was said" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestRandomAccess reads a ZIP where it lies sealed.
func TestRandomAccess(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.CreateHeader(&zip.FileHeader{Name: "in", Method: zip.Store})
	w.Write(bytes.Repeat([]byte(canary), 10000))
	z.Close()
	x := file(t, a, "c", b.String())
	layer, err := a.Unwrap("c", x.ID)
	if err != nil {
		t.Fatal(err)
	}
	o, err := a.Open("c", x.ID, layer)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	r, err := zip.NewReader(o, o.Bytes)
	if err != nil || len(r.File) != 1 || r.File[0].Name != "in" {
		t.Fatalf("%v, %+v", err, r)
	}
	got := make([]byte, len(canary))
	if _, err := o.ReadAt(got, o.Bytes-int64(len(canary))-200); err != nil {
		t.Error(err)
	}
}

func TestChangedArtifacts(t *testing.T) {
	a := newArtifacts(t)
	for _, c := range []string{"c", "d"} {
		if err := a.Create(c); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Repeat(canary, 5000)
	x, y := file(t, a, "c", text), file(t, a, "c", text[1:])
	z := file(t, a, "d", text)
	raw := func(name string) []byte {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	head, body := raw(a.headOf("c", x.ID)), raw(a.bodyOf("c", x.ID))
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	for what, c := range map[string]struct{ head, body []byte }{
		"an empty head":                 {nil, body},
		"another format":                {bytes.Replace(head, []byte("format 1"), []byte("format 2"), 1), body},
		"a changed head":                {flip(head, len(head)-3), body},
		"another's head":                {raw(a.headOf("c", y.ID)), body},
		"another's head and body":       {raw(a.headOf("c", y.ID)), raw(a.bodyOf("c", y.ID))},
		"another compartment's":         {raw(a.headOf("d", z.ID)), raw(a.bodyOf("d", z.ID))},
		"another's body":                {head, raw(a.bodyOf("c", y.ID))},
		"a changed nonce":               {head, flip(body, 1)},
		"a changed first piece":         {head, flip(body, 100)},
		"a changed last piece":          {head, flip(body, len(body)-1)},
		"a cut body":                    {head, body[:len(body)-10]},
		"a body cut at a piece":         {head, body[:nonceSize+64<<10+16]},
		"a longer body":                 {head, append(bytes.Clone(body), 0)},
		"no body":                       {head, []byte{}},
		"a head that was never written": {[]byte(artifactMagic + "age-encryption.org/v1\n"), body},
	} {
		os.WriteFile(a.headOf("c", x.ID), c.head, 0o600)
		os.WriteFile(a.bodyOf("c", x.ID), c.body, 0o600)
		got, err := read(a, "c", x.ID)
		wantKind(t, what, err, proofhouse.Integrity)
		if !strings.HasPrefix(text, got) {
			t.Errorf("%s: what was read was never sealed", what)
		}
		if !bytes.Equal(c.body, body) {
			wantKind(t, what+", by its digest", a.Check("c", x.ID), proofhouse.Integrity)
		}
	}
	os.WriteFile(a.headOf("c", x.ID), head, 0o600)
	os.WriteFile(a.bodyOf("c", x.ID), body, 0o600)
	if got, err := read(a, "c", x.ID); err != nil || got != text {
		t.Errorf("as it was: %v", err)
	}
	stranger, _ := age.GenerateHybridIdentity()
	os.WriteFile(a.head("c", custodiansName), []byte(stranger.Recipient().String()+"\n"+x.ID.Hex()+"\n"), 0o600)
	_, err := read(a, "c", x.ID)
	wantKind(t, "custodians that were added", err, proofhouse.Integrity)
	os.Remove(a.head("c", custodiansName))
	os.WriteFile(a.head("c", recipientName), []byte(stranger.Recipient().String()+"\n"), 0o600)
	_, err = read(a, "c", x.ID)
	wantKind(t, "an exchanged public key", err, proofhouse.Integrity)
}

// TestWrongPlainDigest: what says of itself that it is another text is found at its end.
func TestWrongPlainDigest(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	s, err := a.Seal("c", "", "")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(s, canary)
	s.plain.Write([]byte("and more"))
	x, err := s.Commit()
	if err != nil {
		t.Fatal(err)
	}
	_, err = read(a, "c", x.ID)
	wantKind(t, "another text than it says", err, proofhouse.Integrity)
	if s, err = a.Seal("c", "", ""); err != nil {
		t.Fatal(err)
	}
	io.WriteString(s, canary)
	s.about.Bytes -= 4
	s.plain.Reset()
	s.plain.Write([]byte(canary[:len(canary)-4]))
	if x, err = s.Commit(); err != nil {
		t.Fatal(err)
	}
	_, err = read(a, "c", x.ID)
	wantKind(t, "a longer text than it says", err, proofhouse.Integrity)
}

// TestBodyThatGoesAway while it is open.
func TestBodyThatGoesAway(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	x := file(t, a, "c", canary)
	layer, err := a.Unwrap("c", x.ID)
	if err != nil {
		t.Fatal(err)
	}
	o, err := a.Open("c", x.ID, layer)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := os.Truncate(a.bodyOf("c", x.ID), 0); err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(o.Reader())
	wantKind(t, "a body that was cut while it was open", err, proofhouse.Integrity)
}

// guarded is a compartment of two custodians, and their secret keys.
func guarded(t *testing.T) (*Artifacts, [2]string) {
	t.Helper()
	a := newArtifacts(t)
	var keys [2]string
	var public []string
	for i := range keys {
		k, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		keys[i], public = k.String(), append(public, k.Recipient().String())
	}
	if err := a.Create("case-1", public...); err != nil {
		t.Fatal(err)
	}
	return a, keys
}

// TestCustodians: what two keep opens with the keys of both, one after the other, and not otherwise.
func TestCustodians(t *testing.T) {
	a, keys := guarded(t)
	stranger, _ := age.GenerateHybridIdentity()
	other := stranger.String()
	x := file(t, a, "case-1", canary)
	for what, c := range map[string]struct {
		keys []string
		kind proofhouse.Kind
		says string
	}{
		"nobody":              {nil, proofhouse.Refused, "both must"},
		"the first alone":     {keys[:1], proofhouse.Refused, "both must"},
		"the second alone":    {keys[1:], proofhouse.Refused, "in the order"},
		"the wrong order":     {[]string{keys[1], keys[0]}, proofhouse.Refused, "in the order"},
		"the first twice":     {[]string{keys[0], keys[0]}, proofhouse.Refused, "in the order"},
		"the first one lost":  {[]string{other, keys[1]}, proofhouse.Refused, "a key that is lost"},
		"the second one lost": {[]string{keys[0], other}, proofhouse.Refused, "a key that is lost"},
		"one too many":        {[]string{keys[0], keys[1], keys[0]}, proofhouse.Invalid, "no custodian is needed"},
		"no key":              {[]string{"age1pq1" + other[20:]}, proofhouse.Invalid, "one line that begins"},
	} {
		_, err := read(a, "case-1", x.ID, c.keys...)
		wantKind(t, what, err, c.kind)
		if err != nil && (!strings.Contains(proofhouse.PublicOf(err), c.says) || strings.Contains(err.Error(), other[30:])) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := read(a, "case-1", x.ID, keys[0], keys[1]); err != nil || got != canary {
		t.Errorf("both: %q, %v", got, err)
	}
	// The custodians without the house open nothing, and see the head alone.
	head, _ := os.ReadFile(a.headOf("case-1", x.ID))
	_, err := Layer(head[len(artifactMagic):]).UnwrapBy(Secret(keys[0]))
	wantKind(t, "a custodian round the house", err, proofhouse.Refused)
	public := stranger.Recipient().String()
	for what, custodians := range map[string][]string{
		"one": {public}, "the same twice": {public, public}, "three": {public, public + "x", "y"}, "no key": {"alice", "bob"},
	} {
		wantKind(t, what, a.Create("case-2", custodians...), proofhouse.Invalid)
	}
	first, _ := os.ReadFile(a.head("case-1", custodiansName))
	lines := strings.Fields(string(first))
	os.WriteFile(a.head("case-1", custodiansName), []byte(public+"\n"+lines[1]+"\n"), 0o600)
	_, err = read(a, "case-1", x.ID, keys[0], keys[1])
	wantKind(t, "an exchanged custodian", err, proofhouse.Integrity)
}

func TestLostKeys(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	x := file(t, a, "c", canary)
	key, _ := os.ReadFile(a.vault.keyFile)
	os.Remove(a.vault.keyFile)
	file(t, a, "c", "sealing needs no key")
	_, err := read(a, "c", x.ID)
	wantKind(t, "without the house's key", err, proofhouse.NotFound)
	wantKind(t, "another compartment", a.Create("d"), proofhouse.NotFound)
	if there(a.vault.keyFile) {
		t.Error("artifacts whose key is lost got another")
	}
	stranger, _ := age.GenerateHybridIdentity()
	os.WriteFile(a.vault.keyFile, []byte(stranger.String()), 0o600)
	_, err = read(a, "c", x.ID)
	wantKind(t, "with another house's key", err, proofhouse.Refused)
	os.WriteFile(a.vault.keyFile, key, 0o600)
	if got, err := read(a, "c", x.ID); err != nil || got != canary {
		t.Errorf("%q, %v", got, err)
	}
	os.Remove(a.head("c", keyName))
	_, err = read(a, "c", x.ID)
	wantKind(t, "without the compartment's key", err, proofhouse.Integrity)
}

// TestArtifactsTogether files from many goroutines and two processes.
func TestArtifactsTogether(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	b := another(t, a)
	var work sync.WaitGroup
	for i := range 20 {
		work.Go(func() {
			s, err := []*Artifacts{a, b}[i%2].Seal("c", "", "")
			if err == nil {
				_, err = io.WriteString(s, canary)
			}
			if err == nil {
				_, err = s.Commit()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	held, err := a.List("c")
	if err != nil || len(held) != 20 {
		t.Errorf("%d, %v", len(held), err)
	}
	for _, h := range held {
		if got, err := read(a, "c", h.ID); err != nil || got != canary {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// TestCutSealing: of what was being sealed when a process died nothing is left once
// the next one seals, and what lies there for another reason stays.
func TestCutSealing(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	x := file(t, a, "c", canary)
	a.Close()
	half := proofhouse.DigestOf([]byte("half"))
	foreign := proofhouse.DigestOf([]byte("of a backup that was put back"))
	for _, name := range []string{a.headOf("c", half) + newSuffix, a.bodyOf("c", half), a.body("c", "abc"+newSuffix), a.bodyOf("c", foreign), a.headOf("c", x.ID) + newSuffix} {
		os.WriteFile(name, []byte("x"), 0o600)
	}
	b := another(t, a)
	file(t, b, "c", canary)
	for _, name := range []string{a.headOf("c", half) + newSuffix, a.bodyOf("c", half), a.body("c", "abc"+newSuffix), a.headOf("c", x.ID) + newSuffix} {
		if there(name) {
			t.Errorf("%s is left", filepath.Base(name))
		}
	}
	if !there(a.bodyOf("c", foreign)) {
		t.Error("a body without a head was deleted")
	}
	if got, err := read(b, "c", x.ID); err != nil || got != canary {
		t.Errorf("%q, %v", got, err)
	}
	// Heads on a medium that is not there: nothing of the bodies goes.
	if err := os.Rename(a.heads, a.heads+"-away"); err != nil {
		t.Fatal(err)
	}
	c := another(t, a)
	if err := c.Create("d"); err != nil && proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Error(err)
	}
	c.Close()
	os.RemoveAll(a.heads)
	if err := os.Rename(a.heads+"-away", a.heads); err != nil {
		t.Fatal(err)
	}
	if got, err := read(another(t, a), "c", x.ID); err != nil || got != canary {
		t.Errorf("after the heads were away: %q, %v", got, err)
	}
}

// TestAbortedFiling leaves nothing.
func TestAbortedFiling(t *testing.T) {
	a := newArtifacts(t)
	if err := a.Create("c"); err != nil {
		t.Fatal(err)
	}
	s, err := a.Seal("c", "", "")
	if err != nil {
		t.Fatal(err)
	}
	s.Write(bytes.Repeat([]byte(canary), 50000))
	s.Abort()
	if _, err := s.Write([]byte("more")); err == nil {
		t.Error("it is written to after its end")
	}
	if _, err := s.Commit(); err == nil {
		t.Error("it is committed after its end")
	}
	if left := files(t, a.bodies); len(left) != 0 {
		t.Errorf("left is %v", left)
	}
	for _, bad := range []string{strings.Repeat("x", maxAbout+1), "\xff"} {
		_, err := a.Seal("c", bad, "")
		wantKind(t, "a bad name", err, proofhouse.Invalid)
	}
}

// files are all below dir, but for locks.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != lockName {
			all = append(all, name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

// FuzzInner holds the parser of innermost layers to the writer's one spelling.
func FuzzInner(f *testing.F) {
	f.Add([]byte(`{"compartment":"c","id":"sha256:00","plain":"sha256:00","bytes":1,"name":"","media":""}` + "\nage"))
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"compartment":"c", "id":"", "plain":"","bytes":1,"name":"","media":""}` + "\nage"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		about, header, err := parseInner(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(about)
		if err != nil || about.Bytes < 0 || !bytes.Equal(append(append(again, '\n'), header...), b) {
			t.Errorf("%q was read as %+v", b, about)
		}
	})
}

func ExampleArtifacts() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	a := New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Artifacts(filepath.Join(dir, "artifacts"), filepath.Join(dir, "keys"))
	defer a.Close()
	_ = a.Create("case-1")
	s, _ := a.Seal("case-1", "red team report", "text/plain")
	_, _ = io.WriteString(s, "nothing was found")
	x, _ := s.Commit()
	layer, _ := a.Unwrap("case-1", x.ID)
	o, _ := a.Open("case-1", x.ID, layer)
	defer o.Close()
	b, _ := io.ReadAll(o.Reader())
	fmt.Printf("%s: %s\n", o.Name, b)
	// Output: red team report: nothing was found
}
