package policy

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"proofhouse/internal/proofhouse"
)

// maxTitle bounds what people and organisations are called, in bytes.
const maxTitle = 200

// scripts are those that living languages are commonly written in: the recommended
// ones of Unicode Standard Annex 31, table 5. Others, such as Cherokee, have
// letters that are drawn as Latin ones.
var scripts = []string{
	"Latin", "Cyrillic", "Greek", "Armenian", "Hebrew", "Arabic", "Thaana", "Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu",
	"Kannada", "Malayalam", "Sinhala", "Thai", "Lao", "Tibetan", "Myanmar", "Georgian", "Ethiopic", "Khmer", "Hangul", "Hiragana", "Katakana", "Bopomofo", "Han",
}

// together are the scripts that one name may have beside one another: the
// level "highly restrictive" of Unicode Technical Standard 39.
var together = [][]string{
	{"Latin", "Han", "Hiragana", "Katakana"}, {"Latin", "Han", "Bopomofo"}, {"Latin", "Han", "Hangul"},
}

// alike are letters that are drawn as another one, most of them Latin. It is
// a part of Unicode's table of confusables: what common fonts do not tell apart.
var alike = map[rune]rune{
	'а': 'a', 'в': 'b', 'е': 'e', 'ё': 'e', 'к': 'k', 'м': 'm', 'н': 'h', 'о': 'o', 'р': 'p', 'с': 'c', 'т': 't', 'у': 'y', 'х': 'x', 'ѕ': 's', 'і': 'i', 'ї': 'i', 'ј': 'j',
	'ԁ': 'd', 'ԛ': 'q', 'ԝ': 'w', 'һ': 'h', 'ү': 'y', 'ғ': 'f', 'ь': 'b', 'г': 'r', 'п': 'n',
	'α': 'a', 'β': 'b', 'ε': 'e', 'η': 'n', 'ι': 'i', 'κ': 'k', 'ν': 'v', 'ο': 'o', 'ρ': 'p', 'τ': 't', 'υ': 'u', 'χ': 'x', 'γ': 'y', 'ζ': 'z', 'μ': 'm', 'ω': 'w',
	'օ': 'o', 'ո': 'n', 'ս': 'u', 'հ': 'h', 'ց': 'g', 'զ': 'q', 'ա': 'w',
	'ı': 'i', 'ł': 'l', 'ø': 'o', 'đ': 'd', 'ð': 'd', 'ħ': 'h', 'ŋ': 'n', 'þ': 'p',
	'0': 'o', '1': 'l', '|': 'l', 'i': 'l', '5': 's',
}

// ownLatin are the Latin letters besides a to z, and those with marks, that
// names of living languages have. Others are drawn as these are.
const ownLatin = "æøłđðþßœıŋħ"

// ValidTitle says whether s can be what people call an organisation or a
// person: in any living script, but only such that readers see what stands there.
// what begins the sentence of the error, which is proofhouse.Invalid and says
// what to change.
func ValidTitle(what, s string) error {
	wrong := func(format string, args ...any) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, what+" "+format, args...)
	}
	switch {
	case s == "":
		return wrong("is missing")
	case len(s) > maxTitle:
		return wrong("is longer than %d bytes", maxTitle)
	case !utf8.ValidString(s):
		return wrong("is not UTF-8")
	case strings.TrimSpace(s) != s || strings.Contains(s, "  "):
		return wrong("has spaces that do not show: write one between words and none around them")
	}
	for _, r := range s {
		if hidden(r) {
			return wrong("has a character that does not show (U+%04X): leave it out", r)
		}
	}
	if !norm.NFKC.IsNormalString(s) {
		return wrong("has letters in a form of their own, such as full width or a ligature: write %q", norm.NFKC.String(s))
	}
	var used []string
	marks := 0
	for i, r := range s {
		switch {
		case r == ' ' || r < utf8.RuneSelf && strings.ContainsRune("'-.,&()/+:", r) || '0' <= r && r <= '9':
			marks = 0
		case unicode.Is(unicode.M, r) && i > 0:
			if marks++; marks > 2 {
				return wrong("has too many marks on one letter")
			}
		case unicode.IsLetter(r):
			marks = 0
			script := scriptOf(r)
			if script == "" {
				return wrong("has the letter %q (U+%04X), which is of no common script: write it in another", r, r)
			}
			if script == "Latin" && !plainLatin(r) {
				return wrong("has the letter %q (U+%04X), which looks like another one: write that", r, r)
			}
			if !slices.Contains(used, script) {
				used = append(used, script)
			}
		default:
			return wrong("has the character %q (U+%04X): use letters, digits, spaces and ' - . , & ( ) / + :", r, r)
		}
	}
	if first, _ := utf8.DecodeRuneInString(s); !unicode.IsLetter(first) && !unicode.IsDigit(first) {
		return wrong("begins with neither a letter nor a digit")
	}
	if len(used) > 1 && !slices.ContainsFunc(together, func(ok []string) bool {
		return !slices.ContainsFunc(used, func(s string) bool { return !slices.Contains(ok, s) })
	}) {
		return wrong("mixes letters of the scripts %s, which can look alike: use one", strings.Join(used, " and "))
	}
	if len(used) == 1 && slices.Contains([]string{"Cyrillic", "Greek", "Armenian"}, used[0]) && drawnAsLatin(s) {
		return wrong("is in %s letters all of which look like Latin ones: write it in Latin letters, or add a word that shows the script", used[0])
	}
	return nil
}

// hidden says whether r does not show, or changes how others do.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
		unicode.Is(unicode.Zs, r) && r != ' ' || r == '\u2800' || r == utf8.RuneError
}

func scriptOf(r rune) string {
	if r == 'ー' { // which Hiragana has as well
		return "Katakana"
	}
	for _, s := range scripts {
		if unicode.Is(unicode.Scripts[s], r) {
			return s
		}
	}
	return ""
}

// plainLatin says whether r is a to z, or that with marks, or in ownLatin.
func plainLatin(r rune) bool {
	base, _ := utf8.DecodeRuneInString(norm.NFD.String(string(unicode.ToLower(r))))
	return 'a' <= base && base <= 'z' || strings.ContainsRune(ownLatin, base)
}

// drawnAsLatin says whether every letter of s is drawn as a Latin one.
func drawnAsLatin(s string) bool {
	for _, r := range norm.NFD.String(strings.ToLower(s)) {
		if unicode.IsLetter(r) && alike[r] == 0 {
			return false
		}
	}
	return true
}

// Look is what a title or an id looks like at a glance: two that have the same
// are taken for each other. Case, marks, spaces and punctuation do not count.
func Look(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(s)) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			continue
		}
		for a, ok := alike[r]; ok; a, ok = alike[r] { // to i, and then to l
			r = a
		}
		b.WriteRune(r)
	}
	look := strings.ReplaceAll(b.String(), "rn", "m")
	return strings.ReplaceAll(look, "vv", "w")
}
