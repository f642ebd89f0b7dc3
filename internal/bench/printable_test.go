package bench

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "heap-buffer-overflow in parse\n\tat 0x10 — ü 漢 🙂", "heap-buffer-overflow in parse\n\tat 0x10 — ü 漢 🙂"},
		{"ANSI", "\x1b[31mred\x1b]0;title\a", `\x1b[31mred\x1b]0;title\x07`},
		{"C1", "\u009b31m", `\u009b31m`},
		{"NUL and DEL", "a\x00b\x7f", `a\x00b\x7f`},
		{"not UTF-8", "\xff\xfe\xc3(", `\xff\xfe\xc3(`},
		{"bidi", "solved\u202e\u2066\u200f\u061c", `solved\u202e\u2066\u200f\u061c`},
		{"zero width", "so\u200blved\ufeff\u2060\u00ad", `so\u200blved\ufeff\u2060\u00ad`},
		{"tag characters", "x\U000e0041", `x\U000e0041`},
		{"separators", "a\u2028b\u2029c\u00a0d", `a\u2028b\u2029c\u00a0d`},
		{"private use", "\ue000", `\ue000`},
		{"blank letters", "\u3164\u2800", `\u3164\u2800`},
		{"marks", "e\u0301 Z\u0301\u0302\u0303\u0304", "e\u0301 Z\u0301\u0302" + `\u0303\u0304`},
		{"line ends", "a\r\nb\rc\n", "a\nb\\x0dc\n"},
	} {
		if got := Printable(c.in, 1000); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got, want := Printable(strings.Repeat("ä", 100), 31), strings.Repeat("ä", 10)+"\n… 170 bytes left out …\n"+strings.Repeat("ä", 5); got != want {
		t.Errorf("cut: %q, want %q", got, want)
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"", "\x1b[2J", "\xff\x00", "\u202eabc", "Z\u0301\u0302\u0303", "\r\n\r", "漢字", "\xe6\xbc"} {
		f.Add(s, 20)
	}
	f.Fuzz(func(t *testing.T, s string, max int) {
		max = 1 + (max&0x7fffffff)%500
		got := Printable(s, max)
		if !utf8.ValidString(got) {
			t.Fatalf("not UTF-8: %q", got)
		}
		if len(got) > 4*max+64 {
			t.Fatalf("%d bytes of at most %d", len(got), 4*max+64)
		}
		for _, r := range got {
			if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Co, unicode.Zl, unicode.Zp) {
				t.Fatalf("%U is left in %q", r, got)
			}
		}
		if again := Printable(got, len(got)); again != got {
			t.Fatalf("not stable: %q became %q", got, again)
		}
	})
}
