package gate

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestEvents(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		want         []string
	}{
		{"line feeds", "data: a\n\ndata: b\n\n", []string{"data: a\n\n", "data: b\n\n"}},
		{"carriage returns and line feeds", "event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", []string{"event: x\r\ndata: a\r\n\r\n", "data: b\r\n\r\n"}},
		{"carriage returns", "data: a\r\rdata: b\r\rx", []string{"data: a\r\r", "data: b\r\r", "x"}},
		{"mixed", "data: a\n\r\ndata: b\r\n\n", []string{"data: a\n\r\n", "data: b\r\n\n"}},
		{"a comment", ": ping\n\n", []string{": ping\n\n"}},
		{"no end", "data: a\n\ndata: b\n", []string{"data: a\n\n", "data: b\n"}},
		{"nothing", "", nil},
		{"blank lines alone", "\n\n\n\n", []string{"\n\n", "\n\n"}},
	} {
		for _, slow := range []bool{false, true} {
			var r io.Reader = strings.NewReader(c.stream)
			if slow {
				r = iotest.OneByteReader(r)
			}
			got, err := readEvents(r)
			if !errors.Is(err, io.EOF) || strings.Join(got, "|") != strings.Join(c.want, "|") {
				t.Errorf("%s, slow %v: %q, %v", c.name, slow, got, err)
			}
		}
	}
}

func readEvents(r io.Reader) (all []string, err error) {
	e := newEvents(r, &share{})
	for {
		b, err := e.next()
		if len(b) > 0 {
			all = append(all, string(b))
		}
		if err != nil {
			return all, err
		}
	}
}

// FuzzEvents cuts streams in two ways, which agree and lose no byte.
func FuzzEvents(f *testing.F) {
	f.Add("data: a\n\r\n\rdata\r\r\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		whole, _ := readEvents(strings.NewReader(s))
		slow, _ := readEvents(iotest.OneByteReader(strings.NewReader(s)))
		if strings.Join(whole, "") != s || strings.Join(whole, "|") != strings.Join(slow, "|") {
			t.Errorf("%q, byte by byte %q, of %q", whole, slow, s)
		}
	})
}

// TestEventsShare: what is counted of a stream is what its buffer is, once it has grown.
func TestEventsShare(t *testing.T) {
	var m memory
	m.left.Store(1 << 30)
	e := newEvents(strings.NewReader("data: "+strings.Repeat("x", 1<<20)+"\n\ndata: y\n\n"), &share{of: &m})
	if event, err := e.next(); len(event) < 1<<20 || err != nil {
		t.Fatal(len(event), err)
	}
	if took := 1<<30 - m.left.Load(); took != int64(cap(e.buf)) {
		t.Errorf("%d bytes are counted of %d", took, cap(e.buf))
	}
	e.room.drop()
	if m.left.Load() != 1<<30 {
		t.Errorf("%d are left", m.left.Load())
	}
}
