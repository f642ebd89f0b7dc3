package gate

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Syslog (RFC 5424) of exported events: no text, all in structured data.

const (
	syslogFacility = 13 // log audit
	syslogInfo     = 6
	syslogNotice   = 5
	// syslogNumber makes names of structured data our own. It is the one that
	// RFC 5612 keeps for documentation: the house has no number yet.
	syslogNumber = "32473"
)

// Syslog appends the event as one message and a line end. The names' first
// parts become elements of structured data and the rest a parameter, since a
// name has at most 32 characters there: gen_ai.usage.input_tokens is
// [gen_ai.usage@32473 input_tokens="…"].
func (e Exported) Syslog(b []byte) []byte {
	kind := exported[e.Kind]
	b = fmt.Appendf(b, "<%d>1 %s - proofhouse - %s ", syslogFacility*8+kind.severity, e.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), kind.name)
	var order []string
	elements := map[string][]byte{}
	for _, a := range e.Attrs {
		element, param := syslogName(a.Name)
		if _, ok := elements[element]; !ok {
			order = append(order, element)
		}
		p := append(append(append(elements[element], ' '), param...), `="`...)
		elements[element] = append(syslogEscape(p, syslogValue(a.Value)), '"')
	}
	for _, element := range order {
		b = append(append(append(b, '['), element+"@"+syslogNumber...), elements[element]...)
		b = append(b, ']')
	}
	if len(order) == 0 {
		b = append(b, '-')
	}
	return append(b, '\n')
}

// syslogName is a name's element, of one or two parts, and its parameter.
func syslogName(name string) (element, param string) {
	first, rest, _ := strings.Cut(name, ".")
	if second, last, ok := strings.Cut(rest, "."); ok {
		return first + "." + second, last
	}
	return first, rest
}

func syslogValue(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []string:
		return strings.Join(v, ",")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// syslogEscape appends a parameter's value: the three characters that RFC 5424
// names behind a backslash, what is no UTF-8 replaced, and control characters
// as # and three digits of their number (as its section 8.2 has it), so
// that no value ends a line or a message.
func syslogEscape(b []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '"' || r == '\\' || r == ']':
			b = append(b, '\\', byte(r))
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			b = fmt.Appendf(b, "#%03d", r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}
