package sandbox

import "io"

// Capture keeps the head and the tail of a stream, and passes it on to a
// second writer if there is one. The zero Capture keeps nothing. It is not
// safe for concurrent use.
type Capture struct {
	Max  int64     // bytes kept; half at the head, half at the tail
	Pass io.Writer // may be nil; its errors are ignored

	head []byte
	ring []byte
	next int // in ring, once it is full
	lost int64
}

// Write never fails and never keeps more than Max bytes.
func (c *Capture) Write(p []byte) (int, error) {
	if c.Pass != nil {
		_, _ = c.Pass.Write(p) // progress is a courtesy
	}
	n := len(p)
	head := int(c.Max - c.Max/2)
	if room := head - len(c.head); room > 0 {
		take := min(room, len(p))
		c.head = append(c.head, p[:take]...)
		p = p[take:]
	}
	tail := int(c.Max / 2)
	if over := len(p) - tail; over > 0 { // none of these can stay
		c.lost += int64(over)
		p = p[over:]
	}
	if room := min(tail-len(c.ring), len(p)); room > 0 {
		c.ring = append(c.ring, p[:room]...)
		p = p[room:]
	}
	for len(p) > 0 {
		k := copy(c.ring[c.next:], p)
		c.next = (c.next + k) % len(c.ring)
		c.lost += int64(k)
		p = p[k:]
	}
	return n, nil
}

// Output is what was kept so far.
func (c *Capture) Output() Output {
	tail := append(append([]byte{}, c.ring[c.next:]...), c.ring[:c.next]...)
	if c.lost == 0 {
		return Output{Head: append(append([]byte{}, c.head...), tail...)}
	}
	return Output{Head: append([]byte{}, c.head...), Tail: tail, Dropped: c.lost}
}
