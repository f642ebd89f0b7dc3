package clearing

import (
	"context"
	"sync"
	"time"

	"proofhouse/internal/proofhouse"
)

// memory keeps projects and files in memory, and every event as its record, so that what is replayed is what is read.
type memory struct {
	mu      sync.Mutex
	records map[string][][]byte
	done    map[string]doneAt
	files   map[string][]byte // by project and digest
}

// doneAt is a request that was taken.
type doneAt struct {
	purl   string
	digest proofhouse.Digest
	seq    int
}

func newMemory() *memory {
	return &memory{records: map[string][][]byte{}, done: map[string]doneAt{}, files: map[string][]byte{}}
}

// Project implements Store.
func (m *memory) Project(_ context.Context, purl string) (Project, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.project(purl)
}

func (m *memory) project(purl string) (Project, error) {
	p := Project{Purl: purl}
	for _, b := range m.records[purl] {
		r, err := ParseRecord(b)
		if err == nil {
			p, err = p.Replay(r)
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// Change implements Store.
func (m *memory) Change(_ context.Context, purl string, request Request, decide func(Project) (Event, error), now time.Time) (Project, int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.project(purl)
	if err != nil {
		return p, 0, err
	}
	key := string(request.By.Organisation) + "/" + string(request.By.Person) + "/" + request.Key
	if request.Key != "" {
		if d, ok := m.done[key]; ok {
			if d.digest != request.Digest || d.purl != purl {
				return p, 0, proofhouse.Errorf(proofhouse.Conflict, nil, "another request came under this key")
			}
			return p, d.seq, nil
		}
	}
	e, err := decide(p)
	if err != nil || e.Act == nil {
		return p, 0, err
	}
	after, err := p.Apply(e, now)
	if err != nil {
		return p, 0, err
	}
	b, err := after.Record(e).Encode()
	if err != nil {
		return p, 0, err
	}
	m.records[purl] = append(m.records[purl], b)
	if request.Key != "" {
		m.done[key] = doneAt{purl, request.Digest, after.Version}
	}
	return after, after.Version, nil
}

// Put implements Shelf.
func (m *memory) Put(_ context.Context, purl string, b []byte) (proofhouse.Digest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := proofhouse.DigestOf(b)
	m.files[purl+"\n"+string(d)] = append([]byte{}, b...)
	return d, nil
}

// Open implements Shelf.
func (m *memory) Open(_ context.Context, purl string, d proofhouse.Digest) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.files[purl+"\n"+string(d)]
	if !ok {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such file")
	}
	return append([]byte{}, b...), nil
}
