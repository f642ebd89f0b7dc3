package gate

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// errMemory says that there is no room for a body now.
var errMemory = errors.New("no room for more bytes in flight")

// smallBody is the length, in bytes, up to which a body is not counted: the
// number of connections bounds those, and they pass when there is no room for
// larger ones.
const smallBody = 64 << 10

// memory is what is left of Config.Memory.
type memory struct{ left atomic.Int64 }

// share is what one body, answer or stream has taken of it. It belongs to one
// goroutine. Without a memory it is without bound.
type share struct {
	of *memory
	n  int64
}

// hold makes the share n bytes, if there is room for them.
func (s *share) hold(n int64) bool {
	if n <= smallBody {
		n = 0
	}
	more := n - s.n
	if more != 0 && s.of != nil && s.of.left.Add(-more) < 0 && more > 0 {
		s.of.left.Add(more)
		return false
	}
	s.n = n
	return true
}

func (s *share) drop() { s.hold(0) }

// readBody reads r to its end, or to one byte past most. length is what it is
// said to be, or -1; a body of that length is in memory once. Its bytes are in s.
func readBody(r io.Reader, length, most int64, s *share) ([]byte, error) {
	size := int64(4 << 10)
	if length >= 0 {
		size = min(length, most) + 1 // in the last byte the end is read
	}
	if !s.hold(size) {
		return nil, errMemory
	}
	b := make([]byte, 0, size)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		if len(b) < cap(b) {
			continue
		}
		size = min(2*int64(cap(b)), max(most, int64(cap(b)))+1)
		if !s.hold(int64(cap(b)) + size) {
			return nil, errMemory
		}
		b = append(make([]byte, 0, size), b...)
		s.hold(size)
	}
}

// sending is a request's body on its way: pieces that are read one after
// another and let go of, since the transport keeps a request for as long as
// its answer lasts.
type sending struct {
	mu     sync.Mutex // guards pieces: the transport may close while it reads
	pieces [][]byte
}

func (s *sending) Read(b []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pieces) > 0 && n < len(b) {
		k := copy(b[n:], s.pieces[0])
		n += k
		if s.pieces[0] = s.pieces[0][k:]; len(s.pieces[0]) == 0 {
			s.pieces = s.pieces[1:]
		}
	}
	if n == 0 && len(s.pieces) == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *sending) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pieces = nil
	return nil
}
