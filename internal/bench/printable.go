package bench

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable is s fit for a person's eyes, on a terminal or a page: what a
// submission, a crash report or an agent wrote may try to move the cursor,
// colour the screen, reverse the reading order or hide letters. Every byte
// that is no UTF-8 and every control, format, private or blank-looking
// character becomes a visible escape such as \x1b or \u202e; line feeds and
// tabs stay, and CR LF becomes LF. More than two combining marks on end are
// escaped too. Of a longer s the first two thirds of max bytes and the last
// third are kept, with a note of how much is missing between. The result is
// at most 4*max+64 bytes. It is not escaped for HTML or for any shell.
func Printable(s string, max int) string {
	if len(s) <= max {
		return printable(s)
	}
	tail := max / 3
	head := max - tail
	// Not to cut a character in two, which would show as bytes.
	for i := 0; i < utf8.UTFMax && head > 0 && !utf8.RuneStart(s[head]); i++ {
		head--
	}
	from := len(s) - tail
	for i := 0; i < utf8.UTFMax && from < len(s) && !utf8.RuneStart(s[from]); i++ {
		from++
	}
	return fmt.Sprintf("%s\n… %d bytes left out …\n%s", printable(s[:head]), from-head, printable(s[from:]))
}

func printable(s string) string {
	if visible(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	marks := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\r' && strings.HasPrefix(s[i+1:], "\n"):
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r < 0x80 && unicode.IsControl(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case marks > 2, hidden(r):
			if r > 0xffff {
				fmt.Fprintf(&b, `\U%08x`, r)
			} else {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// visible says whether s is visible ASCII, which most text is.
func visible(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' || c > '~') && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// hidden says whether r shows nothing, or changes how its neighbours show.
func hidden(r rune) bool {
	switch r {
	case 0x115f, 0x1160, 0x3164, 0xffa0, // Hangul fillers: letters that are blank
		0x2800,         // the empty Braille pattern
		0x034f, 0x180b: // joiners among the marks
		return true
	case ' ', utf8.RuneError:
		return false
	}
	return !unicode.IsGraphic(r) || unicode.In(r, unicode.Zs, unicode.Variation_Selector)
}
