package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// Conversation is the kept transcript of a sample, of which only where its steps lie is held in memory.
type Conversation struct {
	f     *os.File
	steps []stepPlace
}

type stepPlace struct {
	off, size int64
	at        time.Duration
}

// OpenConversation finds the steps of a transcript among a run's artifacts, reading it once and keeping none of it. One that does not
// have the recorded digest, or is not a transcript as this program writes it, is proofhouse.Integrity.
func OpenConversation(folder string, d proofhouse.Digest) (_ *Conversation, err error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(folder, artifactsName, d.Hex()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "artifact %s is not in the run's folder", d.Short())
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	sum := sha256.New()
	c := &Conversation{f: f}
	if c.steps, err = stepsIn(io.TeeReader(f, sum)); err != nil {
		return nil, err
	}
	if hex.EncodeToString(sum.Sum(nil)) != d.Hex() {
		return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "artifact %s was changed", d.Short())
	}
	return c, nil
}

// transcriptHead is how a transcript begins: json.Marshal writes it so.
const transcriptHead = `{"version":1,"steps":[`

// maxSteps bounds the steps of a conversation.
const maxSteps = 1 << 20

// stepsIn finds the steps in a transcript, in one pass.
func stepsIn(r io.Reader) (all []stepPlace, err error) {
	bad := func(cause error) error {
		return proofhouse.Errorf(proofhouse.Integrity, cause, "this is not a transcript as this program writes it")
	}
	in := bufio.NewReaderSize(r, 1<<20)
	head := make([]byte, len(transcriptHead))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != transcriptHead {
		return nil, bad(err)
	}
	var (
		off            = int64(len(head))
		depth          int
		quoted, escape bool
		start          []byte // of the step that is read
		begin          int64
		over           bool
	)
	for {
		chunk, err := in.Peek(max(1, in.Buffered()))
		if errors.Is(err, io.EOF) && len(chunk) == 0 {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		for i := 0; i < len(chunk); i++ {
			if quoted { // nearly all of it is text, so this is where the time goes
				if escape {
					escape = false
					continue
				}
				for i < len(chunk) && chunk[i] != '"' && chunk[i] != '\\' && len(start) >= stepHead {
					i++
				}
				if i < len(chunk) && len(start) < stepHead {
					if start = append(start, chunk[i]); chunk[i] != '"' && chunk[i] != '\\' {
						continue
					}
				}
				if i < len(chunk) {
					escape = chunk[i] == '\\'
					quoted = escape
				}
				continue
			}
			b := chunk[i]
			if depth > 0 && len(start) < stepHead {
				start = append(start, b)
			}
			switch {
			case b == '"':
				quoted = true
			case b == '{':
				if depth == 0 {
					if over || len(all) == maxSteps {
						return nil, bad(nil)
					}
					begin, start = off+int64(i), append(start[:0], b)
				}
				depth++
			case b == '}' && depth > 0:
				if depth--; depth == 0 {
					at, ok := stepTime(start)
					if !ok {
						return nil, bad(nil)
					}
					all = append(all, stepPlace{begin, off + int64(i) + 1 - begin, at})
				}
			case b == ']' && depth == 0:
				over = true
			}
		}
		off += int64(len(chunk))
		if _, err := in.Discard(len(chunk)); err != nil {
			return nil, err
		}
	}
	if !over || depth != 0 || quoted {
		return nil, bad(nil)
	}
	return all, nil
}

// stepHead is how much of a step has its time in it.
const stepHead = 32

// stepTime reads the time with which a step begins.
func stepTime(b []byte) (at time.Duration, ok bool) {
	rest, ok := bytes.CutPrefix(b, []byte(`{"at":`))
	if !ok {
		return 0, false
	}
	_, err := fmt.Sscanf(string(rest), "%d", (*int64)(&at))
	return at, err == nil && at >= 0
}

// Close lets go of the file.
func (c *Conversation) Close() error { return c.f.Close() }

// Len is how many steps there are.
func (c *Conversation) Len() int { return len(c.steps) }

// At is when step i was, since the sample's start.
func (c *Conversation) At(i int) time.Duration { return c.steps[i].at }

// Raw is step i as it stands in the transcript.
func (c *Conversation) Raw(i int) ([]byte, error) {
	if i < 0 || i >= len(c.steps) {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "the transcript has no such step")
	}
	p := c.steps[i]
	if p.size > maxRecord {
		return nil, proofhouse.Errorf(proofhouse.Limit, nil, "the step has %d bytes, which is too much for a page", p.size)
	}
	b := make([]byte, p.size)
	_, err := c.f.ReadAt(b, p.off)
	return b, err
}

// Step is step i.
func (c *Conversation) Step(i int) (s Step, err error) {
	b, err := c.Raw(i)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, proofhouse.Errorf(proofhouse.Integrity, err, "a step of the transcript cannot be read")
	}
	return s, nil
}

// Find is the first step from one on in which a text stands as it is written, case and all; -1 if none has it.
func (c *Conversation) Find(ctx context.Context, text string, from int) (int, error) {
	quoted, err := json.Marshal(text) // as it stands in the file
	if err != nil {
		return -1, err
	}
	want := quoted[1 : len(quoted)-1]
	for i := max(0, from); i < len(c.steps) && len(want) > 0; i++ {
		if err := ctx.Err(); err != nil {
			return -1, err
		}
		b, err := c.Raw(i)
		if err != nil {
			return -1, err
		}
		if !bytes.Contains(b, want) && !bytes.Contains(b, []byte(text)) { // arguments of calls are not quoted
			continue
		}
		// The names of fields are not what anybody said.
		s, err := c.Step(i)
		if err != nil {
			return -1, err
		}
		if s.says(text) {
			return i, nil
		}
	}
	return -1, nil
}

// says whether a text stands in what was said, called, answered or printed in a step.
func (s Step) says(text string) bool {
	var all []string
	message := func(m chat.Message) {
		all = append(all, m.Text)
		for _, r := range m.Reasoning {
			all = append(all, r.Text)
		}
		for _, c := range m.ToolCalls {
			all = append(all, c.Function, string(c.Arguments), c.Raw, c.ParseError)
		}
		if m.Error != nil {
			all = append(all, m.Error.Message)
		}
	}
	switch {
	case s.Said != nil:
		message(*s.Said)
	case s.Call != nil:
		message(s.Call.Output.Message)
		all = append(all, s.Call.Output.Refusal)
	case s.Tool != nil:
		message(s.Tool.Message)
		all = append(all, s.Tool.Call.Function, string(s.Tool.Call.Arguments))
	case s.Passed != nil:
		all = append(all, string(s.Passed.Body))
	}
	return slices.ContainsFunc(all, func(a string) bool { return strings.Contains(a, text) })
}

// Lines are the times of a sample's events in the journal, which Line reads. Samples are counted from 0, as in the result.
func (l *Live) Lines(sample int) (at []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sample < 0 || sample >= len(l.fold.order) {
		return nil
	}
	s := l.fold.order[sample]
	for _, p := range l.lines[sampleKey{s.Task, s.Epoch}] {
		at = append(at, p.at)
	}
	return at
}

// Line reads event i of a sample from the journal. One that tells of a survivor is without its text.
func (l *Live) Line(sample, i int) (Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	none := proofhouse.Errorf(proofhouse.NotFound, nil, "the sample has no such event")
	if sample < 0 || sample >= len(l.fold.order) || l.w.f == nil {
		return Event{}, none
	}
	s := l.fold.order[sample]
	lines := l.lines[sampleKey{s.Task, s.Epoch}]
	if i < 0 || i >= len(lines) {
		return Event{}, none
	}
	r := newJournalReader(io.NewSectionReader(l.w.f, lines[i].off, maxRecord+frameHead))
	r.prev, r.seq = lines[i].prev, lines[i].seq
	rec, err := r.next()
	if err != nil || rec.Event == nil {
		return Event{}, proofhouse.Errorf(proofhouse.Integrity, err, "the journal was changed since it was read")
	}
	e := *rec.Event
	e.Seq, e.At = rec.Seq, lines[i].at
	if tellsOfSurvivor(e) {
		return Event{Seq: e.Seq, At: e.At, Kind: e.Kind}, nil
	}
	return e, nil
}
