package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

// journalOf runs a small run and gives its journal and where frames end.
func journalOf(t testing.TB) (data []byte, ends []int) {
	t.Helper()
	setup := fixtureSetup(t, 1, submits("OTHER"))
	run(t, setup)
	data, err := os.ReadFile(filepath.Join(setup.Folder, journalName))
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(data); {
		off += frameHead + int(binary.LittleEndian.Uint32(data[off:]))
		ends = append(ends, off)
	}
	return data, ends
}

// read gives how many records are sound and how reading ended.
func read(data []byte) (n int, err error) {
	r := newJournalReader(bytes.NewReader(data))
	for {
		if _, err := r.next(); err != nil {
			return n, err
		}
		n++
	}
}

func TestEveryCutIsATornTail(t *testing.T) {
	data, ends := journalOf(t)
	for cut := range len(data) {
		n, err := read(data[:cut])
		whole, boundary := 0, cut == 0
		for _, end := range ends {
			if end <= cut {
				whole++
			}
			boundary = boundary || end == cut
		}
		if n != whole || boundary && !errors.Is(err, io.EOF) || !boundary && !errors.Is(err, errTorn) {
			t.Fatalf("cut at %d: %d records and %v; want %d", cut, n, err, whole)
		}
	}
}

// After a loss of power the end of a file may be zeros that were never
// written.
func TestUnwrittenEndIsATornTail(t *testing.T) {
	data, ends := journalOf(t)
	last := ends[len(ends)-2]
	for cut := last; cut < len(data); cut++ {
		if cut > last && data[cut-1] == '}' && json.Valid(data[last+min(frameHead, cut-last):cut]) {
			continue
		}
		for _, zeros := range []int{1, 7, 4096} {
			b := append(slices.Clone(data[:cut]), make([]byte, zeros)...)
			if n, err := read(b); n != len(ends)-1 || !errors.Is(err, errTorn) {
				t.Fatalf("cut at %d and %d zeros: %d records, %v", cut, zeros, n, err)
			}
		}
	}
}

// Any single changed byte is found, in the last record too.
func TestEveryChangedByteIsFound(t *testing.T) {
	data, ends := journalOf(t)
	for i := range data {
		b := slices.Clone(data)
		b[i] ^= 1 << (i % 8)
		n, err := read(b)
		if proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Fatalf("byte %d of %d changed: %d records, %v", i, len(data), n, err)
		}
		if n > slices.IndexFunc(ends, func(end int) bool { return i < end }) {
			t.Fatalf("byte %d changed and %d records believed", i, n)
		}
	}
}

// A record that is taken out, doubled or moved breaks the chain, even with
// sums that are right.
func TestRecordsCannotBeMoved(t *testing.T) {
	data, ends := journalOf(t)
	var frames [][]byte
	for i, end := range ends {
		start := 0
		if i > 0 {
			start = ends[i-1]
		}
		frames = append(frames, data[start:end])
	}
	for i := range frames[:len(frames)-1] {
		gone := slices.Concat(slices.Concat(frames[:i]...), slices.Concat(frames[i+1:]...))
		doubled := slices.Concat(slices.Concat(frames[:i+1]...), slices.Concat(frames[i:]...))
		swapped := slices.Clone(frames)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		for what, b := range map[string][]byte{"taken out": gone, "doubled": doubled, "swapped": slices.Concat(swapped...)} {
			if _, err := read(b); proofhouse.KindOf(err) != proofhouse.Integrity {
				t.Errorf("record %d %s: %v", i+1, what, err)
			}
		}
	}
}

// A forger who makes all sums and digests anew is found by results.json, and
// so is a journal that was cut at a record's end.
func TestJournalIsHeldToTheResult(t *testing.T) {
	setup := fixtureSetup(t, 2, submits("x"))
	run(t, setup)
	name := filepath.Join(setup.Folder, journalName)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	forged := t.TempDir()
	j, _, err := openJournal(filepath.Join(forged, journalName), JournalRef{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var records []Record
	for rec, err := range Records(setup.Folder) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec)
		if rec.Verdict != nil {
			rec.Verdict.Verdict.Outcome = "solved"
		}
		if _, err := j.append(rec); err != nil {
			t.Fatal(err)
		}
	}
	j.close()
	lie, err := os.ReadFile(filepath.Join(forged, journalName))
	if err != nil {
		t.Fatal(err)
	}
	last := len(data) - frameHead
	for what, b := range map[string][]byte{"forged": lie, "cut": data[:bytes.LastIndex(data[:last], []byte(`{"seq":`))-frameHead]} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadResult(setup.Folder); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: reading gives %v", what, err)
		}
		resume := setup
		resume.Resume = true
		if _, err := Run(t.Context(), resume); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: resuming gives %v", what, err)
		}
		if now, err := os.ReadFile(name); err != nil || !bytes.Equal(now, b) {
			t.Errorf("%s: resuming wrote to a journal that it refused", what)
		}
	}
	// The records are sound by themselves: folding them is not what fails.
	if _, err := Fold(slices.Values(records)); err != nil {
		t.Error(err)
	}
}

// An edit in the middle stops a run from being resumed and read.
func TestEditedJournalIsRefused(t *testing.T) {
	setup := fixtureSetup(t, 2, submits("x"))
	run(t, setup)
	name := filepath.Join(setup.Folder, journalName)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(data, []byte("no_break"))
	copy(data[i:], "solved  ")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = ReadResult(setup.Folder)
	if proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(err.Error(), "record") {
		t.Errorf("reading gives %v", err)
	}
	setup.Resume = true
	if _, err := Run(t.Context(), setup); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("resuming gives %v", err)
	}
	for _, err := range Watch(t.Context(), setup.Folder, 0) {
		if err != nil {
			if proofhouse.KindOf(err) != proofhouse.Integrity {
				t.Errorf("watching gives %v", err)
			}
			return
		}
	}
	t.Error("watching sees nothing")
}

func TestFoldRefusesNonsense(t *testing.T) {
	setup := fixtureSetup(t, 1, submits("REF"))
	run(t, setup)
	var records []Record
	for rec, err := range Records(setup.Folder) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec)
	}
	for i := range records {
		if records[i].Event != nil || records[i].Finish != nil || records[i].Probe != nil {
			continue
		}
		without := slices.Delete(slices.Clone(records), i, i+1)
		twice := slices.Insert(slices.Clone(records), i, records[i])
		for what, rs := range map[string][]Record{"without": without, "twice": twice} {
			if records[i].End != nil && what == "without" {
				continue // that is a run that was killed
			}
			if records[i].Verdict != nil && what == "without" {
				continue // so is that
			}
			if _, err := Fold(slices.Values(rs)); proofhouse.KindOf(err) != proofhouse.Integrity {
				t.Errorf("%s record %d: %v", what, i+1, err)
			}
		}
	}
}

// FuzzJournal feeds the reader arbitrary bytes, and a sound journal with an
// arbitrary edit, which is always seen.
func FuzzJournal(f *testing.F) {
	data, ends := journalOf(f)
	f.Add(data, uint16(0), []byte{})
	f.Add([]byte{}, uint16(9), []byte("x"))
	f.Add(data[:ends[2]+5], uint16(100), []byte(`{"seq":2}`))
	f.Fuzz(func(t *testing.T, any []byte, at uint16, patch []byte) {
		fold := folding{samples: map[sampleKey]*sampleState{}}
		r := newJournalReader(bytes.NewReader(any))
		for {
			rec, err := r.next()
			if err != nil {
				break
			}
			if fold.add(rec) != nil {
				break
			}
		}
		if len(fold.order) < 10000 {
			fold.result()
		}
		b := slices.Clone(data)
		if int(at) >= len(b) || len(patch) == 0 {
			return
		}
		copy(b[at:], patch)
		if bytes.Equal(b, data) {
			return
		}
		// A whole frame with a sum of its own may be believed, but nothing that
		// follows it: its digest is another.
		if n, err := read(b); errors.Is(err, io.EOF) {
			t.Errorf("an edit at %d is not seen: %d records", at, n)
		}
	})
}
