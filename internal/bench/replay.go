package bench

import (
	"bytes"
	"io"
	"net/http"

	"proofhouse/internal/proofhouse"
)

// maxReplayed bounds a request whose answer can be given again, in bytes.
const maxReplayed = 4 << 20

// requestDigest reads a request's body, which can be read again afterwards, and
// names what it asks for; "" if it is too large.
func requestDigest(r *http.Request) (proofhouse.Digest, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReplayed+1))
	if err != nil {
		return "", proofhouse.Errorf(proofhouse.Invalid, err, "the request's body did not arrive whole")
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	if len(body) > maxReplayed {
		return "", nil
	}
	return proofhouse.DigestOf(append([]byte(r.URL.RequestURI()+"\x00"), body...)), nil
}

// given takes an answer of an earlier attempt to the same request, once; nil if
// there is none.
func (s *Session) given(request proofhouse.Digest) (*Passed, error) {
	o := &s.outside
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.earlier == nil {
		if err := s.takeUp(); err != nil {
			return nil, err
		}
	}
	all := o.earlier[request]
	if len(all) == 0 {
		return nil, nil
	}
	o.earlier[request] = all[1:]
	return all[0], nil
}

// takeUp gathers the answers of earlier attempts, and counts those that a kill
// kept from being counted. s.outside.mu is held.
func (s *Session) takeUp() error {
	s.outside.earlier = map[proofhouse.Digest][]*Passed{}
	counted := map[proofhouse.Digest]int{}
	for _, e := range s.sample.past.Events {
		if e.Model != nil && e.Model.Turn > 0 {
			counted[e.Model.Request]++
		}
	}
	steps := s.talk.steps
	s.talk.next = len(steps) // what follows is new
	for _, step := range steps {
		p := step.Passed
		if p == nil {
			continue
		}
		s.outside.earlier[p.Request] = append(s.outside.earlier[p.Request], p)
		if counted[p.Request]--; counted[p.Request] >= 0 {
			continue
		}
		if err := s.called(OutsideCall{Request: p.Request, Answered: true, Usage: p.Usage, NanoDollars: p.NanoDollars, Took: p.Took}); err != nil {
			return err
		}
	}
	return nil
}

// answer gives it again.
func (p *Passed) answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", p.Type)
	_, _ = w.Write(p.Body) // a program that does not read it is told by its own connection
}

// kept is an answer on its way to a program, and what of it can be given again.
type kept struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	over   bool // too much to keep
}

// Unwrap lets the connection's own methods through.
func (k *kept) Unwrap() http.ResponseWriter { return k.ResponseWriter }

func (k *kept) WriteHeader(status int) {
	k.status = status
	k.ResponseWriter.WriteHeader(status)
}

func (k *kept) Write(b []byte) (int, error) {
	if k.status == 0 {
		k.status = http.StatusOK
	}
	if k.over = k.over || k.body.Len()+len(b) > maxAnswer; !k.over {
		k.body.Write(b)
	}
	return k.ResponseWriter.Write(b)
}

// passed is the answer as a step, or nil if it is none that can be given again.
func (k *kept) passed(c OutsideCall) *Passed {
	if !c.Answered || k.status != http.StatusOK || k.over || c.Request == "" {
		return nil
	}
	return &Passed{Request: c.Request, Type: k.Header().Get("Content-Type"), Body: k.body.Bytes(), Usage: c.Usage, NanoDollars: c.NanoDollars, Took: c.Took}
}
