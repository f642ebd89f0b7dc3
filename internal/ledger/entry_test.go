package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// TestCommitment makes one commitment by hand, from the page, and shows that
// each part of an entry is in it.
func TestCommitment(t *testing.T) {
	e := Entry{Stream: "case-1", Seq: 258, Body: []byte(`{"a":1}`)}
	for i := range e.Salt {
		e.Salt[i] = byte(i)
	}
	salt, _ := hex.DecodeString("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	by := "proofhouse entry, format 1\n" + string(salt) + "\x00\x00\x00\x00\x00\x00\x00\x06case-1" + "\x00\x00\x00\x00\x00\x00\x01\x02" + `{"a":1}`
	if got, want := e.Commitment(), sha256.Sum256([]byte(by)); got != want {
		t.Errorf("got %x, by hand %x", got, want)
	}
	seen := map[[32]byte]string{e.Commitment(): "the entry"}
	for name, alter := range map[string]func(*Entry){
		"stream": func(e *Entry) { e.Stream = "case-2" },
		"seq":    func(e *Entry) { e.Seq = 259 },
		"body":   func(e *Entry) { e.Body = []byte(`{"a":2}`) },
		"salt":   func(e *Entry) { e.Salt[31]++ },
	} {
		other := e
		alter(&other)
		if same, ok := seen[other.Commitment()]; ok {
			t.Errorf("another %s gives the commitment of %s", name, same)
		}
		seen[other.Commitment()] = name
	}
}
