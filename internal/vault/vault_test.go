package vault

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"filippo.io/age"

	"proofhouse/internal/proofhouse"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("VAULT_TEST_SEAL"); dir != "" {
		sealForever(dir)
	}
	if dir := os.Getenv("VAULT_TEST_FILE"); dir != "" {
		fileForever(dir)
	}
	os.Exit(m.Run())
}

const canary = "canary-7f3a: what nobody may find on a disk"

func newVault(t *testing.T) *Vault {
	t.Helper()
	dir := t.TempDir()
	v := New(filepath.Join(dir, "vault"), filepath.Join(dir, "keys", "house.key"))
	t.Cleanup(func() { v.Close() })
	return v
}

func create(t *testing.T, v *Vault, compartment string) {
	t.Helper()
	if err := v.Create(compartment); err != nil {
		t.Fatal(err)
	}
}

func seal(t *testing.T, v *Vault, compartment, name, text string) {
	t.Helper()
	s, err := v.Seal(compartment, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, text); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
}

func unseal(v *Vault, compartment, name string) (string, error) {
	r, err := v.Open(compartment, name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

// checkDisk looks for the canary in every file below dir, and at every mode.
func checkDisk(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if name != dir && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(name)
		if bytes.Contains(b, []byte(canary)) {
			t.Errorf("%s holds the canary", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, what string, err error, kind proofhouse.Kind) {
	t.Helper()
	if err == nil || proofhouse.KindOf(err) != kind {
		t.Errorf("%s: %v, want %s", what, err, kind)
	}
}

func TestSealAndOpen(t *testing.T) {
	v := newVault(t)
	wantKind(t, "sealing in no compartment", func() error { _, err := v.Seal("case-1", "a"); return err }(), proofhouse.NotFound)
	create(t, v, "case-1")
	wantKind(t, "the compartment again", v.Create("case-1"), proofhouse.Conflict)
	create(t, v, "case-2")
	for i, n := range []int{0, 1, 1000, 64<<10 - 8, 64 << 10, 64<<10 + 1, 1 << 20} {
		name, text := fmt.Sprint("text-", i), strings.Repeat(canary, n/len(canary)+1)[:n]
		seal(t, v, "case-1", name, text)
		if got, err := unseal(v, "case-1", name); err != nil || got != text {
			t.Errorf("%d bytes became %d: %v", n, len(got), err)
		}
		_, err := unseal(v, "case-2", name)
		wantKind(t, "in another compartment", err, proofhouse.NotFound)
	}
	seal(t, v, "case-1", "text-1", canary) // replaces
	if got, err := unseal(New(v.dir, v.keyFile), "case-1", "text-1"); err != nil || got != canary {
		t.Errorf("%q, %v", got, err)
	}
	names, err := v.Names("case-1")
	if err != nil || len(names) != 7 {
		t.Errorf("%v, %v", names, err)
	}
	if bodies, _ := filepath.Glob(v.path("case-1", "*"+bodySuffix)); len(bodies) != len(names) {
		t.Errorf("%d bodies for %d names", len(bodies), len(names))
	}
	checkDisk(t, filepath.Dir(v.dir))

	if err := v.Destroy("case-1", "text-1"); err != nil {
		t.Fatal(err)
	}
	_, err = unseal(v, "case-1", "text-1")
	wantKind(t, "what was destroyed", err, proofhouse.NotFound)
	wantKind(t, "destroying it again", v.Destroy("case-1", "text-1"), proofhouse.NotFound)
	for _, bad := range []string{"", ".", "..", "../x", "a/b", "a\nb", "-a", strings.Repeat("a", 81)} {
		wantKind(t, "compartment "+bad, v.Create(bad), proofhouse.Invalid)
		_, err := v.Seal("case-1", bad)
		wantKind(t, "name "+bad, err, proofhouse.Invalid)
	}
}

// TestAgeOpensIt opens an artifact as docs/design/vault.md says, without this package.
func TestAgeOpensIt(t *testing.T) {
	v := newVault(t)
	create(t, v, "c")
	seal(t, v, "c", "a", canary)
	file := func(name string) []byte {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	decrypt := func(sealed, key []byte) []byte {
		ids, err := age.ParseIdentities(bytes.NewReader(key))
		if err != nil {
			t.Fatal(err)
		}
		r, err := age.Decrypt(bytes.NewReader(sealed), ids...)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	head := bytes.SplitN(file(v.path("c", "a.head")), []byte("\n"), 3)
	_, token, _ := bytes.Cut(head[1], []byte(" "))
	key := decrypt(file(v.path("c", "key.age")), file(v.keyFile))
	if got := decrypt(append(head[2], file(v.path("c", string(token)+".body"))...), key); string(got) != "c/a\n"+canary {
		t.Errorf("%q", got)
	}
}

// TestChanged changes what lies on the disk: nothing wrong is ever read to its end.
func TestChanged(t *testing.T) {
	v := newVault(t)
	create(t, v, "c")
	text := strings.Repeat(canary, 3000) // more than one piece
	seal(t, v, "c", "a", text)
	seal(t, v, "c", "b", canary)
	headName := v.path("c", "a.head")
	head, _ := os.ReadFile(headName)
	other, _ := os.ReadFile(v.path("c", "b.head"))
	token, _, _ := parseHead(head)
	bodyName := v.path("c", token+bodySuffix)
	body, _ := os.ReadFile(bodyName)
	flip := func(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 1; return b }
	piece := 64<<10 + 16
	for what, c := range map[string]struct{ head, body []byte }{
		"another artifact's head":  {other, body},
		"no head":                  {nil, body},
		"a head cut short":         {head[:len(head)-10], body},
		"a head of another format": {bytes.Replace(head, []byte("format 1"), []byte("format 2"), 1), body},
		"a head with a path":       {bytes.Replace(head, []byte(token), []byte("../../../../a.b."), 1), body},
		"a changed head":           {flip(head, len(head)-30), body},
		"no body":                  {head, nil},
		"a changed nonce":          {head, flip(body, 3)},
		"a changed first piece":    {head, flip(body, 100)},
		"a changed last piece":     {head, flip(body, len(body)-1)},
		"a body cut at a piece":    {head, body[:nonceSize+piece]},
		"a body cut in a piece":    {head, body[:nonceSize+piece+50]},
		"a longer body":            {head, append(bytes.Clone(body), 0)},
		"pieces in another order":  {head, append(append(bytes.Clone(body[:nonceSize]), body[nonceSize+piece:]...), body[nonceSize:nonceSize+piece]...)},
	} {
		os.WriteFile(headName, c.head, 0o600)
		os.WriteFile(bodyName, c.body, 0o600)
		got, err := unseal(v, "c", "a")
		wantKind(t, what, err, proofhouse.Integrity)
		if !strings.HasPrefix(text, got) {
			t.Errorf("%s: what was read was never sealed", what)
		}
	}
	os.WriteFile(headName, head, 0o600)
	os.WriteFile(bodyName, body, 0o600)
	if got, err := unseal(v, "c", "a"); err != nil || got != text {
		t.Errorf("as it was: %v", err)
	}
	// A public key that was exchanged is noticed by who can open.
	stranger, _ := age.GenerateHybridIdentity()
	os.WriteFile(v.path("c", recipientName), []byte(stranger.Recipient().String()), 0o600)
	_, err := unseal(v, "c", "a")
	wantKind(t, "an exchanged public key", err, proofhouse.Integrity)
}

func TestKeys(t *testing.T) {
	v := newVault(t)
	create(t, v, "c")
	seal(t, v, "c", "a", canary)
	key, _ := os.ReadFile(v.keyFile)
	if err := os.Remove(v.keyFile); err != nil {
		t.Fatal(err)
	}
	seal(t, v, "c", "b", canary) // sealing needs no key
	_, err := unseal(v, "c", "a")
	wantKind(t, "without the house's key", err, proofhouse.NotFound)
	wantKind(t, "a compartment without the house's key", v.Create("d"), proofhouse.NotFound)
	if _, err := os.Stat(v.keyFile); err == nil {
		t.Error("a vault with compartments got a second key")
	}
	if _, err := createKey(v.keyFile); err != nil {
		t.Fatal(err)
	}
	_, err = unseal(v, "c", "a")
	wantKind(t, "with another house's key", err, proofhouse.Refused)
	os.WriteFile(v.keyFile, key[:len(key)-5], 0o600)
	_, err = unseal(v, "c", "a")
	wantKind(t, "with a damaged key", err, proofhouse.Integrity)
	if strings.Contains(err.Error(), string(key[:40])) {
		t.Error("the error quotes the key")
	}
	os.WriteFile(v.keyFile, key, 0o600)
	os.Chmod(v.keyFile, 0o640)
	_, err = unseal(v, "c", "a")
	wantKind(t, "with a key that others can read", err, proofhouse.Refused)
	os.Chmod(v.keyFile, 0o600)
	for _, name := range []string{"a", "b"} {
		if got, err := unseal(v, "c", name); err != nil || got != canary {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestShred ends a compartment: nothing in it opens, not by this process, not
// by another, not with what somebody saved of it beside its key.
func TestShred(t *testing.T) {
	v := newVault(t)
	create(t, v, "c")
	create(t, v, "d")
	seal(t, v, "c", "a", canary)
	seal(t, v, "d", "a", canary)
	saved := map[string][]byte{}
	for _, name := range []string{keyName, recipientName, "a.head"} {
		saved[name], _ = os.ReadFile(v.path("c", name))
	}
	bodies, _ := filepath.Glob(v.path("c", "*"+bodySuffix))
	body, _ := os.ReadFile(bodies[0])
	links := map[string]string{} // as an undelete finds what was only deleted
	for _, name := range []string{keyName, "a.head"} {
		links[name] = filepath.Join(t.TempDir(), "link")
		if err := os.Link(v.path("c", name), links[name]); err != nil {
			t.Fatal(err)
		}
	}
	pending, err := v.Seal("c", "late")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Shred("c"); err != nil {
		t.Fatal(err)
	}
	for name, link := range links {
		if b, err := os.ReadFile(link); err != nil || len(bytes.Trim(b, "\x00")) != 0 {
			t.Errorf("of %s there is %.40q, %v", name, b, err)
		}
	}
	os.WriteFile(pending.bodyPath()+newSuffix, nil, 0o600) // as if it had begun after the shredding looked
	wantKind(t, "what was being sealed", pending.Commit(), proofhouse.NotFound)
	wantKind(t, "making it again", v.Create("c"), proofhouse.Conflict)
	_, err = v.Seal("c", "b")
	wantKind(t, "sealing", err, proofhouse.NotFound)
	for _, v := range []*Vault{v, New(v.dir, v.keyFile)} {
		_, err := unseal(v, "c", "a")
		wantKind(t, "opening", err, proofhouse.NotFound)
	}
	if left, _ := os.ReadDir(v.path("c")); len(left) != 1 || left[0].Name() != shreddedName {
		t.Errorf("left is %v", left)
	}
	if err := v.Shred("c"); err != nil {
		t.Errorf("again: %v", err)
	}
	wantKind(t, "shredding what never was", v.Shred("e"), proofhouse.NotFound)
	checkDisk(t, filepath.Dir(v.dir))
	if got, err := unseal(v, "d", "a"); err != nil || got != canary {
		t.Errorf("the other compartment: %q, %v", got, err)
	}
	// A saved copy without the compartment's key is noise; with it, it opens:
	// that is what docs/design/vault.md warns of.
	os.Remove(v.path("c", shreddedName))
	for _, name := range []string{recipientName, "a.head"} {
		os.WriteFile(v.path("c", name), saved[name], 0o600)
	}
	os.WriteFile(bodies[0], body, 0o600)
	_, err = unseal(v, "c", "a")
	wantKind(t, "a saved copy without its key", err, proofhouse.Integrity)
	os.WriteFile(v.path("c", keyName), saved[keyName], 0o600)
	if got, err := unseal(v, "c", "a"); err != nil || got != canary {
		t.Errorf("a saved copy with its key: %q, %v", got, err)
	}
}

// TestShredGoesOn cuts a shredding short after its mark: it is carried to its
// end by whoever comes next.
func TestShredGoesOn(t *testing.T) {
	v := newVault(t)
	create(t, v, "c")
	seal(t, v, "c", "a", canary)
	os.WriteFile(v.path("c", shreddedName), nil, 0o600)
	_, err := unseal(New(v.dir, v.keyFile), "c", "a")
	wantKind(t, "opening", err, proofhouse.NotFound)
	if left, _ := os.ReadDir(v.path("c")); len(left) != 1 {
		t.Errorf("left is %v", left)
	}
}

// TestAbort leaves nothing, and the former artifact as it was.
func TestAbort(t *testing.T) {
	v := newVault(t)
	create(t, v, "c")
	seal(t, v, "c", "a", "before")
	s, err := v.Seal("c", "a")
	if err != nil {
		t.Fatal(err)
	}
	s.Write(bytes.Repeat([]byte(canary), 5000))
	s.Abort()
	if _, err := s.Write([]byte("more")); err == nil {
		t.Error("it is written to after its end")
	}
	wantKind(t, "a commit after it", s.Commit(), proofhouse.Internal)
	if got, err := unseal(v, "c", "a"); err != nil || got != "before" {
		t.Errorf("%q, %v", got, err)
	}
	if left, _ := filepath.Glob(v.path("c", "*")); len(left) != 4 {
		t.Errorf("left is %v", left)
	}
}

// TestTogether seals the same and other names from many goroutines.
func TestTogether(t *testing.T) {
	v := newVault(t)
	create(t, v, "c")
	var work sync.WaitGroup
	for i := range 20 {
		work.Go(func() {
			name := fmt.Sprint("name-", i%5)
			s, err := v.Seal("c", name)
			if err == nil {
				_, err = io.WriteString(s, canary)
			}
			if err == nil {
				err = s.Commit()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	for i := range 5 {
		if got, err := unseal(v, "c", fmt.Sprint("name-", i)); err != nil || got != canary {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// TestKilled kills a process that seals, again and again: what it committed is
// there and whole, and of the rest nothing is left once another one seals.
func TestKilled(t *testing.T) {
	v := newVault(t)
	create(t, v, "c")
	v.Close()
	committed := map[string]bool{}
	for round := range 8 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "VAULT_TEST_SEAL="+v.dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			committed[lines.Text()] = true
			if n == 3+2*round {
				cmd.Process.Signal(syscall.SIGKILL)
			}
		}
		_ = cmd.Wait()
	}
	seal(t, v, "c", "last", canary)
	if left, _ := filepath.Glob(v.path("*", "*"+newSuffix)); len(left) != 0 {
		t.Errorf("left is %v", left)
	}
	if len(committed) < 8 {
		t.Fatalf("only %d were committed", len(committed))
	}
	names, _ := v.Names("c")
	for _, name := range names {
		if got, err := unseal(v, "c", name); err != nil || got != strings.Repeat(canary, 2000) && got != canary {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		delete(committed, name)
	}
	if len(committed) != 0 {
		t.Errorf("lost: %v", committed)
	}
	checkDisk(t, filepath.Dir(v.dir))
}

// sealForever is what TestKilled kills.
func sealForever(dir string) {
	v := New(dir, filepath.Join(filepath.Dir(dir), "keys", "house.key"))
	for i := 0; ; i++ {
		name := fmt.Sprintf("p%d-%d", os.Getpid(), i)
		s, err := v.Seal("c", name)
		for range 2000 {
			if err == nil {
				_, err = io.WriteString(s, canary)
			}
		}
		if err == nil {
			err = s.Commit()
		}
		if err != nil {
			panic(err)
		}
		fmt.Println(name)
	}
}

// TestSweepWaits does not take away what another process is writing.
func TestSweepWaits(t *testing.T) {
	v := newVault(t)
	create(t, v, "c")
	s, err := v.Seal("c", "slow")
	if err != nil {
		t.Fatal(err)
	}
	other := New(v.dir, v.keyFile)
	defer other.Close()
	seal(t, other, "c", "quick", "")
	io.WriteString(s, canary)
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, err := unseal(v, "c", "slow"); err != nil || got != canary {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSecret(t *testing.T) {
	s := Secret(canary)
	type holder struct{ Key Secret }
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", holder{s}, holder{s}, holder{s}, s, s), fmt.Sprint(errors.New(s.String()))} {
		if strings.Contains(text, canary) {
			t.Error(text)
		}
	}
}

// FuzzHead holds the parser of heads to the writer's one spelling.
func FuzzHead(f *testing.F) {
	f.Add(formatHead("abcdefghij234567", []byte("age-encryption.org/v1\n")))
	f.Add([]byte(headMagic + bodyField))
	f.Add([]byte(headMagic + bodyField + "../../../../etc/\nx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		body, header, ok := parseHead(b)
		if !ok {
			return
		}
		if !bytes.Equal(formatHead(body, header), b) || !plainName.MatchString(body) || strings.Contains(body, ".") {
			t.Errorf("%q was read as %q and %q", b, body, header)
		}
	})
}

// FuzzOpen gives what lies on a disk to the opener: an error or the truth.
func FuzzOpen(f *testing.F) {
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := sealBytes([]byte("c/a\n"+canary), identity.Recipient())
	if err != nil {
		f.Fatal(err)
	}
	header, err := age.ExtractHeader(bytes.NewReader(sealed))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(header, sealed[len(header):])
	f.Add([]byte("age-encryption.org/v1\n-> X25519 a\nb\n--- c\n"), []byte{})
	f.Fuzz(func(t *testing.T, header, body []byte) {
		o, err := open(header, io.NopCloser(bytes.NewReader(body)), identity, "c/a\n")
		var got []byte
		if err == nil {
			got, err = io.ReadAll(o)
		}
		if err == nil && string(got) != canary || err != nil && proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%q, %v", got, err)
		}
	})
}
