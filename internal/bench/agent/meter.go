package agent

import (
	"bytes"
	"regexp"
	"strconv"
	"sync"
)

// meter counts the inputs that a fuzzer says it has tried, from its output.
// It is informative only: a fuzzer's output is not trusted.
type meter struct {
	mu       sync.Mutex // owns what follows
	line     []byte
	before   int64 // rounds that are over
	now      int64 // this round
	executed int64 // both; read by read
}

// count finds the number in a line of libFuzzer, of Go's fuzzer and of ours.
var count = regexp.MustCompile(`^#(\d{1,15})[:\s]|\bexecs: (\d{1,15})\b`)

// maxLine bounds what is kept of a line, in bytes.
const maxLine = 4096

// begin opens a round.
func (m *meter) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before, m.now, m.line = m.before+m.now, 0, nil
}

// Write takes in a piece of the output; it never fails.
func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		piece := p
		if i >= 0 {
			piece, p = p[:i], p[i+1:]
		} else {
			p = nil
		}
		m.line = append(m.line, piece[:min(len(piece), maxLine-len(m.line))]...)
		if i >= 0 {
			m.count(m.line)
			m.line = m.line[:0]
		}
	}
	return n, nil
}

func (m *meter) count(line []byte) {
	found := count.FindSubmatch(line)
	if found == nil {
		return
	}
	for _, digits := range found[1:] {
		if v, err := strconv.ParseInt(string(digits), 10, 64); err == nil {
			m.now = max(m.now, v)
		}
	}
	m.executed = m.before + m.now
}

// read is the number of inputs tried in all rounds.
func (m *meter) read() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.executed
}
