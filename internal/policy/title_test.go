package policy

import (
	"strings"
	"testing"
	"unicode/utf8"

	"proofhouse/internal/proofhouse"
)

func TestValidTitle(t *testing.T) {
	for name, c := range map[string]struct{ title, says string }{
		"nothing":                  {"", "is missing"},
		"too long":                 {strings.Repeat("a", 201), "longer than"},
		"not UTF-8":                {"a\xff", "not UTF-8"},
		"space around":             {" NIST", "spaces"},
		"two spaces":               {"a  b", "spaces"},
		"a Cyrillic a":             {"N\u0430tional Lab", "Latin and Cyrillic"},
		"a Greek o":                {"N\u03bfvel", "Latin and Greek"},
		"all Cyrillic, as Latin":   {"\u0410\u0440\u0440\u0435\u043e", "look like Latin ones"},
		"all Greek, as Latin":      {"\u0391\u03a4\u039f\u039c", "look like Latin ones"},
		"a zero-width joiner":      {"NI\u200dST", "U+200D"},
		"a zero-width space":       {"NI\u200bST", "U+200B"},
		"a right-to-left override": {"NIST \u202egnp", "U+202E"},
		"a soft hyphen":            {"NI\u00adST", "U+00AD"},
		"a no-break space":         {"A\u00a0B", "U+00A0"},
		"a variation selector":     {"A\ufe0f", "U+FE0F"},
		"a Hangul filler":          {"A\u3164", "U+3164"},
		"a grapheme joiner":        {"A\u034fB", "U+034F"},
		"a Braille blank":          {"A\u2800B", "U+2800"},
		"a line end":               {"A\nB", "U+000A"},
		"full width":               {"\uff2e\uff29\uff33\uff34", "write \"NIST\""},
		"a ligature":               {"\ufb01rm", "write \"firm\""},
		"not composed":             {"Cafe\u0301", "write \"Caf\u00e9\""},
		"a Latin alpha":            {"N\u0251tional", "U+0251"},
		"a click that is a bar":    {"A\u01c0B", "U+01C0"},
		"Cherokee":                 {"\u13aa\u13aa", "no common script"},
		"mathematical letters":     {"\U0001d40d\U0001d408", "write \"NI\""},
		"an emoji":                 {"A \U0001f600", "U+1F600"},
		"other digits":             {"A \u0661", "U+0661"},
		"marks in a heap":          {"Z\u0300\u0301\u0302\u0303", "too many marks"},
		"a mark first":             {"\u0301a", "U+0301"},
		"punctuation first":        {"-a", "begins with"},
		"markup":                   {"<b>", "U+003C"},
		"Hebrew and Latin":         {"\u05d0b", "mixes"},
	} {
		err := ValidTitle("the title", c.title)
		if proofhouse.KindOf(err) != proofhouse.Invalid || !strings.Contains(proofhouse.PublicOf(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, title := range []string{
		"NIST", "AT&T (Labs), Inc.", "Łódź University", "Müller-Lüdenscheidt", "O'Brien", "Институт безопасности", "Αθήνα Ινστιτούτο", "東京AI研究所", "ソニー株式会社",
		"삼성 Research", "معهد الأمان", "מכון הביטחון", "सुरक्षा संस्थान", "Đặng Văn", "Viện Nghiên cứu", "3M", "საქართველო",
	} {
		if err := ValidTitle("the title", title); err != nil {
			t.Error(err)
		}
	}
}

func TestLook(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"Paypal", "PayPa1", true},
		{"nist", "n1st", true},
		{"Modern Lab", "Modem-Lab", true},
		{"Bänk", "bank", true},
		{"lab", "1ab", true},
		{"Ministry", "\u041c\u0456nistry", true},
		{"nist", "nasa", false},
		{"Институт", "Институт 2", false},
		{"lab", "lab/product", false},
		{"a", "b", false},
	} {
		if same := Look(c.a) == Look(c.b); same != c.same {
			t.Errorf("%q looks as %q, and %q as %q", c.a, Look(c.a), c.b, Look(c.b))
		}
	}
}

// FuzzTitle: a title that is taken shows every character, is in one form, and
// its look does not depend on that.
func FuzzTitle(f *testing.F) {
	for _, s := range []string{"NIST", "N\u0430", "東京AI", "a\u200db", "Łódź"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ValidTitle("x", s) != nil {
			return
		}
		if !utf8.ValidString(s) || strings.ContainsFunc(s, hidden) {
			t.Errorf("%q is taken", s)
		}
		if Look(s) != Look(strings.ToUpper(s)) && Look(strings.ToLower(s)) != Look(s) {
			t.Errorf("%q looks as %q", s, Look(s))
		}
	})
}
