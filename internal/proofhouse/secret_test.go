package proofhouse

import (
	"strings"
	"testing"
)

// TestSecret: what New makes is known again, what was mistyped or is of another kind is not, and the
// form stays as it is: keys that are in use must go on working.
func TestSecret(t *testing.T) {
	k, other := SecretKind{"phk_", "proofhouse key"}, SecretKind{"phk_", "proofhouse code"}
	const old, hash = "phk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa5385d4", "1ebca2d6ca0cc27f6b40d12a5ed47dac9a0bc56de224c97b6be97989068f6d31"
	if got, ok := k.Hash(old); !ok || got != hash {
		t.Errorf("an old key: %s, %v", got, ok)
	}
	s := k.New()
	if len(s) != 4+32+6 || s == k.New() {
		t.Errorf("%q", s)
	}
	if _, ok := k.Hash(s); !ok {
		t.Error("a fresh secret is not known")
	}
	if _, ok := other.Hash(s); ok {
		t.Error("a secret of one kind is taken for one of another")
	}
	for i := range s {
		wrong := s[:i] + "x" + s[i+1:]
		if s[i] == 'x' {
			wrong = s[:i] + "y" + s[i+1:]
		}
		if _, ok := k.Hash(wrong); ok {
			t.Errorf("a slip at %d is not seen", i)
		}
	}
	for _, wrong := range []string{"", "phk_", "phk", s[1:], s + " ", s + s, strings.ToUpper(s), "phk_" + strings.Repeat("a", 1000)} {
		if _, ok := k.Hash(wrong); ok {
			t.Errorf("%q is taken for a secret", wrong)
		}
	}
}
