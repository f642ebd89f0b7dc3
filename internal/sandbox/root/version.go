package root

import "strings"

// compareVersions orders two Debian versions: negative if a is older than b.
// The rules are those of deb-version(7).
func compareVersions(a, b string) int {
	ea, ua, ra := splitVersion(a)
	eb, ub, rb := splitVersion(b)
	if c := compareDigits(ea, eb); c != 0 {
		return c
	}
	if c := comparePart(ua, ub); c != 0 {
		return c
	}
	return comparePart(ra, rb)
}

// splitVersion cuts [epoch:]upstream[-revision].
func splitVersion(v string) (epoch, upstream, revision string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		epoch, v = e, rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

// comparePart compares alternating runs of other characters and of digits.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		i, j := runOf(a, false), runOf(b, false)
		if c := compareOther(a[:i], b[:j]); c != 0 {
			return c
		}
		a, b = a[i:], b[j:]
		i, j = runOf(a, true), runOf(b, true)
		if c := compareDigits(a[:i], b[:j]); c != 0 {
			return c
		}
		a, b = a[i:], b[j:]
	}
	return 0
}

// runOf is the length of the run of digits, or of other bytes, that s starts with.
func runOf(s string, digits bool) int {
	for i := range len(s) {
		if isDigit(s[i]) != digits {
			return i
		}
	}
	return len(s)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// compareOther orders runs without digits: a tilde before the end, the end
// before letters, letters before the rest.
func compareOther(a, b string) int {
	for i := 0; i < len(a) || i < len(b); i++ {
		if d := weight(a, i) - weight(b, i); d != 0 {
			return d
		}
	}
	return 0
}

func weight(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z':
		return int(s[i])
	default:
		return int(s[i]) + 256
	}
}

// compareDigits orders two runs of digits by value, however long.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
