package planted

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"

	"proofhouse/internal/target"
)

// A template is a text of lines. A line that begins with [a&!b] is there only
// where switch a is on and switch b is not; [~a] asks a coin, thrown once for
// each module. $x_name is a name that is drawn when it is first seen; x says
// what it names:
//
//	f  function        F  exported function       t  type      T  exported type
//	m  member          v  local variable          c  constant  g  global
//	w  word of the output                         k  number that the module sets
//	P  function of the project, whichever module names it
var (
	condition = regexp.MustCompile(`^\[([~!&a-z0-9]+)\]`)
	symbol    = regexp.MustCompile(`\$([a-zA-Z])_([a-z0-9]+)`)
)

// naming is how a project makes names; no two of its names are equal.
type naming struct {
	rng      *rand.Rand
	language target.Language
	prefix   string // of C functions, with "_"; or ""
	camel    bool   // C functions in camel case
	used     map[string]bool
}

func (n *naming) noun() string { return nouns[n.rng.IntN(len(nouns))] }
func (n *naming) verb() string { return verbs[n.rng.IntN(len(verbs))] }

// unique draws until draw gives a name that is free.
func (n *naming) unique(draw func() string) string {
	for {
		name := draw()
		if key := strings.ToLower(name); !n.used[key] {
			n.used[key] = true
			return name
		}
	}
}

// of draws a name of one sort.
func (n *naming) of(sort byte) string {
	return n.unique(func() string {
		switch {
		case sort == 'm' || sort == 'v' || sort == 'w':
			return n.noun()
		case sort == 'c' && n.language == target.C:
			return strings.ToUpper(n.noun() + "_" + n.noun())
		case (sort == 't' || sort == 'g') && n.language == target.C:
			return n.noun() + "_" + n.noun()
		case n.language == target.C && n.camel:
			return n.prefix + n.verb() + title(n.noun())
		case n.language == target.C:
			return n.prefix + n.verb() + "_" + n.noun()
		case sort == 'f' || sort == 'P':
			return n.verb() + title(n.noun())
		case sort == 'F':
			return title(n.verb()) + title(n.noun())
		case sort == 'T':
			return title(n.noun()) + title(n.noun())
		}
		return n.noun() + title(n.noun())
	})
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// scope holds what a module has drawn.
type scope struct {
	names *naming
	set   map[string]string // by sort and key
	coins map[string]bool
	order map[string][]int // of the parts of a section
	// project has what all modules share: the names of sort P.
	project map[string]string
}

func newScope(n *naming, project map[string]string) scope {
	return scope{names: n, set: map[string]string{}, coins: map[string]bool{}, order: map[string][]int{}, project: project}
}

func (s scope) name(sort byte, key string) string {
	id := string(sort) + "_" + key
	if sort == 'P' {
		s.set = s.project
	}
	if _, ok := s.set[id]; !ok {
		if sort == 'k' {
			panic("planted: no number " + key)
		}
		s.set[id] = s.names.of(sort)
	}
	return s.set[id]
}

func (s scope) coin(key string) bool {
	if _, ok := s.coins[key]; !ok {
		s.coins[key] = s.names.rng.IntN(2) == 0
	}
	return s.coins[key]
}

func (s scope) number(key string, n int) int {
	s.set["k_"+key] = strconv.Itoa(n)
	return n
}

// render is a template with the switches of on, by their bare names.
func (s scope) render(text string, on map[string]bool) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		m := condition.FindStringSubmatch(line)
		if m != nil {
			if !s.holds(m[1], on) {
				continue
			}
			line = line[len(m[0]):]
		}
		out.WriteString(symbol.ReplaceAllStringFunc(line, func(v string) string { return s.name(v[1], v[3:]) }))
	}
	return out.String()
}

func (s scope) holds(condition string, on map[string]bool) bool {
	for term := range strings.SplitSeq(condition, "&") {
		term, not := strings.CutPrefix(term, "!")
		value := on[term]
		if coin, ok := strings.CutPrefix(term, "~"); ok {
			value = s.coin(coin)
		}
		if value == not {
			return false
		}
	}
	return true
}

// section is the part of a template between "=== name" and the next such line.
func section(text, name string) string {
	_, rest, ok := strings.Cut("\n"+text, "\n=== "+name+"\n")
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "\n=== ")
	return strings.TrimRight(rest, "\n") + "\n"
}

// parts are the pieces of a section, which "====" lines divide. The first stays
// first; the order of the rest is drawn once.
func (s scope) parts(text, name string) []string {
	all := strings.Split(section(text, name), "====\n")
	if s.order[name] == nil {
		s.order[name] = s.names.rng.Perm(len(all) - 1)
	}
	out := []string{all[0]}
	for _, i := range s.order[name] {
		out = append(out, all[i+1])
	}
	return out
}
