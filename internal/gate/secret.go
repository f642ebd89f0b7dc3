package gate

import (
	"bytes"
	"net"
	"slices"
	"strings"
)

// SecretKind is what a name that must not reach a caller is a name of.
type SecretKind string

// The kinds of secret names.
const (
	ModelName  SecretKind = "model"
	HostName   SecretKind = "host"
	SecretWord SecretKind = "word" // one of Upstream.Secrets
	SecretKey  SecretKind = "key"  // the upstream's, which some quote in their errors
)

// secrets are the names that must not reach the caller of one grant. They are
// found whatever the case of their ASCII letters.
type secrets struct {
	words   []secret // longest first, so that no name is found by its half
	begins  [256]bool
	longest int
	code    string // stands in their place
}

type secret struct {
	kind SecretKind
	word []byte // in lower case
}

// newSecrets are those of a grant; others are the models that other grants of
// the same upstream are for, which its errors can name.
func newSecrets(model, code string, up Upstream, others ...string) *secrets {
	s := &secrets{code: code}
	for _, name := range append([]string{model}, others...) {
		if name != model && hasName(code, name) {
			continue // of an older record: masking it would mask the codename
		}
		s.add(ModelName, name)
		if i := strings.LastIndexByte(name, '/'); i >= 0 && len(name)-i > 4 && !hasName(code, name[i+1:]) {
			s.add(ModelName, name[i+1:]) // "owner/name" is often told by its name alone
		}
	}
	if host := up.Base.Hostname(); host != "localhost" && !net.ParseIP(host).IsLoopback() { // which tell nothing
		s.add(HostName, host)
	}
	for _, word := range up.Secrets {
		s.add(SecretWord, word)
	}
	s.add(SecretKey, string(up.Key))
	slices.SortStableFunc(s.words, func(a, b secret) int { return len(b.word) - len(a.word) })
	return s
}

// hasName says whether a codename gives a model's name away.
func hasName(code, model string) bool {
	return strings.Contains(strings.ToLower(code), strings.ToLower(model))
}

func (s *secrets) add(kind SecretKind, word string) {
	if word == "" {
		return
	}
	s.words = append(s.words, secret{kind, lower([]byte(word))})
	if strings.Contains(word, "/") { // as some writers of JSON write it
		s.words = append(s.words, secret{kind, lower([]byte(strings.ReplaceAll(word, "/", `\/`)))})
	}
	s.begins[lower([]byte(word))[0]] = true
	s.begins[upper(lower([]byte(word))[0])] = true
	s.longest = max(s.longest, len(s.words[len(s.words)-1].word))
}

// find is the first name in b: where it begins, how long it is and what it
// names. It begins at -1 if there is none.
func (s *secrets) find(b []byte) (at, length int, kind SecretKind) {
	for i, c := range b {
		if !s.begins[c] {
			continue
		}
		for _, w := range s.words {
			if hasFold(b[i:], w.word) {
				return i, len(w.word), w.kind
			}
		}
	}
	return -1, 0, ""
}

// mask puts the codename in the place of each name in b. Without any it is b itself.
func (s *secrets) mask(b []byte) []byte {
	var out []byte
	for {
		at, n, _ := s.find(b)
		if at < 0 {
			break
		}
		out = append(append(out, b[:at]...), s.code...)
		b = b[at+n:]
	}
	if out == nil {
		return b
	}
	return append(out, b...)
}

// maskAnswer masks the names in an answer's protocol fields. Generated text
// stays as it is, and so does what the caller wrote.
func (s *secrets) maskAnswer(body []byte) []byte {
	if at, _, _ := s.find(body); at < 0 {
		return body
	}
	root, ok := Document(body)
	if !ok {
		return s.mask(body) // no protocol's answer, so it is some server's page
	}
	return bytes.Join(splice(body, s.fields(root)...), nil)
}

// maskEvent is maskAnswer for one event of a stream: comments and names of
// events are protocol as well.
func (s *secrets) maskEvent(event []byte) []byte {
	if at, _, _ := s.find(event); at < 0 {
		return event
	}
	e := SplitSSE(event)
	root, ok := Document(e.Data)
	if !ok {
		return s.mask(event)
	}
	edits := s.fields(root)
	for i := range edits {
		edits[i].Span = e.InEvent(edits[i].Span)
	}
	for at := 0; at < len(event); {
		line := event[at:]
		if i := bytes.IndexAny(line, "\r\n"); i >= 0 {
			line = line[:i+1]
		}
		if found, _, _ := s.find(line); found >= 0 && !bytes.HasPrefix(bytes.TrimPrefix(line, []byte("\ufeff")), []byte("data:")) {
			edits = append(edits, Splice{Span{at, len(line)}, s.mask(line)})
		}
		at += len(line)
	}
	return bytes.Join(splice(event, edits...), nil)
}

// fields are the edits that mask the protocol's own strings in an answer: ids
// and the like wherever they stand, and all that an error says.
func (s *secrets) fields(root Value) (edits []Splice) {
	faulty := false
	for _, name := range []string{"type", "object"} {
		word, _ := Field(root, name).Text()
		faulty = faulty || word == "error"
	}
	Walk(root, func(path []string, v Value) bool {
		if len(path) == 0 {
			return true
		}
		name := path[len(path)-1]
		if v.Kind() == '{' && (name == "input" || name == "metadata") {
			return false // the model's, or the caller's
		}
		if v.Kind() == '"' && (faulty || slices.Contains(path, "error") || label(name)) {
			inner := v.Raw[1 : len(v.Raw)-1]
			if at, _, _ := s.find(inner); at >= 0 {
				edits = append(edits, Splice{Span{v.At + 1, len(inner)}, s.mask(inner)})
			}
		}
		return true
	})
	return edits
}

// label says whether a field names things instead of telling something.
func label(name string) bool {
	return name == "id" || strings.HasSuffix(name, "_id") || name == "system_fingerprint" || name == "provider"
}

// sightings counts the names in generated text, also those that lie across
// the pieces of one thread.
type sightings struct {
	secrets *secrets
	tails   []tail
	next    int // the tail that gives way when there are too many
	counts  map[SecretKind]int64
}

// tail is the end of a thread, one byte short of the longest name.
type tail struct {
	of   Thread
	text []byte
}

// maxTails bounds the threads that are remembered at once. More of them are
// searched piece by piece.
const maxTails = 64

func (g *sightings) look(pieces []Piece) {
	for _, p := range pieces {
		t, keep := g.tail(p.Thread), g.secrets.longest-1
		rest, seen := p.Text, len(t.text)
		t.text = append(t.text, rest[:min(len(rest), keep)]...)
		for from := 0; ; { // those that lie across
			at, n, kind := g.secrets.find(t.text[from:])
			if at < 0 || from+at >= seen {
				break
			}
			if from += at + n; from > seen {
				g.count(kind)
				rest = rest[from-seen:]
				break
			}
		}
		for {
			at, n, kind := g.secrets.find(rest)
			if at < 0 {
				break
			}
			g.count(kind)
			rest = rest[at+n:]
		}
		if len(p.Text) > keep {
			t.text = append(t.text[:0], p.Text[len(p.Text)-keep:]...)
		} else if len(t.text) > keep {
			t.text = t.text[:copy(t.text, t.text[len(t.text)-keep:])]
		}
	}
}

func (g *sightings) count(kind SecretKind) {
	if g.counts == nil {
		g.counts = map[SecretKind]int64{}
	}
	g.counts[kind]++
}

func (g *sightings) tail(of Thread) *tail {
	for i := range g.tails {
		if g.tails[i].of == of {
			return &g.tails[i]
		}
	}
	if len(g.tails) < maxTails {
		g.tails = append(g.tails, tail{of: of})
		return &g.tails[len(g.tails)-1]
	}
	t := &g.tails[g.next]
	g.next = (g.next + 1) % maxTails
	t.of, t.text = of, t.text[:0]
	return t
}

// hasFold says whether b begins with word, which is in lower case.
func hasFold(b, word []byte) bool {
	if len(b) < len(word) {
		return false
	}
	for i, c := range word {
		if b[i] != c && b[i] != upper(c) {
			return false
		}
	}
	return true
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// lower maps ASCII letters only, so that lengths stay.
func lower(b []byte) []byte {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c - 'A' + 'a'
		}
	}
	return b
}
