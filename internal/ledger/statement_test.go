package ledger

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"proofhouse/internal/proofhouse"
)

func statement() Statement {
	return Statement{
		Subject: "submission", Digest: proofhouse.DigestOf([]byte("x")), PredicateType: "urn:test:1",
		Predicate: map[string]any{"outcome": "solved", "cpu": int64(1234567890123456)},
	}
}

func TestSealOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	key, err := CreateKey(dir, "local")
	if err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(filepath.Join(dir, "local.key")); st.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %v", st.Mode())
	}
	if _, err := CreateKey(dir, "local"); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a second key of the name: %v", err)
	}
	again, err := OpenKey(dir, "local")
	if err != nil {
		t.Fatal(err)
	}
	env, err := Seal(t.Context(), statement(), again)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Seal(t.Context(), statement(), again)
	if err != nil || !bytes.Equal(env, second) {
		t.Errorf("the same statement sealed twice differs: %v", err)
	}
	pem, err := os.ReadFile(filepath.Join(dir, "local.pub"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParsePublicKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(t.Context(), env, public)
	if err != nil || !got.Signed || got.Digest != statement().Digest || got.KeyIDs[0] != key.PublicKey().ID() {
		t.Fatalf("opened %+v, %v", got, err)
	}
	var p struct{ CPU int64 }
	if err := json.Unmarshal(got.Predicate, &p); err != nil || p.CPU != 1234567890123456 {
		t.Errorf("the predicate lost digits: %s, %v", got.Predicate, err)
	}

	stranger, err := CreateKey(dir, "stranger")
	if err != nil {
		t.Fatal(err)
	}
	var e dsse.Envelope
	if err := json.Unmarshal(env, &e); err != nil {
		t.Fatal(err)
	}
	unsigned, err := Seal(t.Context(), statement(), nil)
	if err != nil {
		t.Fatal(err)
	}
	other := statement()
	other.Predicate = map[string]any{"outcome": "no_break"}
	swapped, err := Seal(t.Context(), other, nil)
	if err != nil {
		t.Fatal(err)
	}
	var s dsse.Envelope
	if err := json.Unmarshal(swapped, &s); err != nil {
		t.Fatal(err)
	}
	s.Signatures = e.Signatures
	forged, _ := json.Marshal(s)
	for name, c := range map[string]struct {
		env []byte
		key *PublicKey
	}{
		"a stranger's key":       {env, stranger.PublicKey()},
		"no signature":           {unsigned, public},
		"another payload":        {forged, public},
		"not an envelope":        {[]byte("{}"), nil},
		"not JSON":               {[]byte("x"), nil},
		"another payload type":   {[]byte(strings.Replace(string(env), "in-toto", "out-toto", 1)), nil},
		"a payload that is not ": {[]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[]}`), nil},
	} {
		if _, err := Open(t.Context(), c.env, c.key); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := Open(t.Context(), unsigned, nil); err != nil || got.Signed || len(got.KeyIDs) != 0 {
		t.Errorf("unsigned: %+v, %v", got, err)
	}
	if err := os.Chmod(filepath.Join(dir, "local.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKey(dir, "local"); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("a key that others may read: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	env, err := Seal(f.Context(), statement(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(env)
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := Open(t.Context(), b, nil); err == nil && o.Digest.Validate() != nil {
			t.Errorf("opened %+v", o)
		}
	})
}
