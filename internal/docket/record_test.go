package docket

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// story is a case with an act of most kinds, really signed, and its records as
// they are kept.
func story(t testing.TB) (Case, []Record) {
	t.Helper()
	keys := map[proofhouse.Actor]*ledger.Key{}
	dir := t.TempDir()
	for _, a := range []proofhouse.Actor{dev, authority, consultee} {
		k, err := ledger.CreateKey(dir, string(a.Person))
		if err != nil {
			t.Fatal(err)
		}
		keys[a] = k
	}
	names := func(a proofhouse.Actor) step {
		pem, err := keys[a].PublicKey().PEM()
		if err != nil {
			t.Fatal(err)
		}
		return step{a, NameKey{Key: string(pem)}, 0}
	}
	c, now := New("case-1", profile(t, "institute")), start
	var records []Record
	for _, s := range append(opened(everyoneJoins...), names(dev), names(authority), names(consultee),
		step{dev, Ask{}, 0}, step{registrar, Register{criteria(), salt}, time.Hour}, step{dev, Countersign{Version: 1}, time.Hour},
		step{dev, Lend{"body", "institute"}, 0}, step{evaluator, StartRun{"run-a", 1, criteria().As(cell)}, time.Hour},
		step{evaluator, FinishRun{Run: "run-a", Evidence: digestOf("run"), Tally: Tally{Solved: 80, Samples: 100}, Tokens: 7}, time.Hour},
		step{evaluator, FileReport{tieredReport(), salt}, time.Hour}, step{registrar, PublishReport{1}, 0},
		step{registrar, Consult{"cyber-centre"}, 0}, step{consultee, Answer{View: Dissents, Reason: "the tasks are public"}, day},
		step{dev, MoveWindow{End: start.Add(20 * day)}, 0}, step{dev, Announce{Date: start.Add(40 * day), Note: "on the fortieth day"}, 0},
	) {
		now = now.Add(s.after)
		act, err := c.Sign(Event{s.by, s.act}, keys[s.by])
		if err != nil {
			t.Fatal(err)
		}
		e := Event{s.by, act}
		next, err := c.Take(e, now)
		if err != nil {
			t.Fatalf("%s: %v", s.act.Kind(), err)
		}
		c = next
		records = append(records, c.Record(e))
	}
	return c, records
}

// TestReplay keeps a story, reads it again, and plants what an operator might
// change in it.
func TestReplay(t *testing.T) {
	want, records := story(t)
	var lines [][]byte
	for i, r := range records {
		line, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
		if records[i], err = ParseRecord(line); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	empty := New("case-1", want.Rules)
	got, err := empty.Replay(records...)
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != want.Version || abstract(got, got.Changed) != abstract(want, want.Changed) {
		t.Error("the case is another one after it was kept")
	}
	for i, line := range lines {
		for _, bad := range [][]byte{
			append(bytes.Clone(line), ' '), bytes.Replace(line, []byte(`"seq":`), []byte(`"seq": `), 1),
			bytes.Replace(line, []byte(`"says":{`), []byte(`"says":{"more":1,`), 1), line[:len(line)-1],
		} {
			if _, err := ParseRecord(bad); proofhouse.KindOf(err) != proofhouse.Integrity {
				t.Errorf("record %d was taken in another spelling: %v", i+1, err)
			}
		}
	}
	other := func(i int, change func(*Record)) []Record {
		all := append([]Record{}, records...)
		change(&all[i])
		return all
	}
	last := len(records) - 1
	find := func(k Kind) int {
		for i, r := range records {
			if r.Event.Act.Kind() == k {
				return i
			}
		}
		t.Fatalf("the story has nobody who would %s", k)
		return 0
	}
	for name, bad := range map[string][]Record{
		"one left out":                  append(append([]Record{}, records[:3]...), records[4:]...),
		"two exchanged":                 append([]Record{records[1], records[0]}, records[2:]...),
		"an earlier time":               other(last, func(r *Record) { r.At = start }),
		"another case":                  other(last, func(r *Record) { r.Case = "case-2" }),
		"other rules":                   other(0, func(r *Record) { r.Rules = digestOf("other") }),
		"another consultee's signature": other(find(KindAnswer), func(r *Record) { r.Event.By = sister }),
		"a view that was not signed": other(find(KindAnswer), func(r *Record) {
			a := r.Event.Act.(Answer)
			a.View = Agrees
			r.Event.Act = a
		}),
		"a forged signature": other(find(KindCountersign), func(r *Record) {
			a := r.Event.Act.(Countersign)
			a.Signed.Bytes = bytes.Repeat([]byte{1}, 64)
			r.Event.Act = a
		}),
		"criteria that were countersigned otherwise": other(find(KindRegister), func(r *Record) {
			a := r.Event.Act.(Register)
			a.Criteria.Threshold = 900_000
			r.Event.Act = a
		}),
	} {
		if _, err := empty.Replay(bad...); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := empty.Replay(other(0, func(r *Record) { r.Seq = 2 })...); err == nil || !strings.Contains(err.Error(), "record 1") {
		t.Errorf("the wrong record is named: %v", err)
	}
}

// TestNames holds the names of acts to the acts.
func TestNames(t *testing.T) {
	for _, k := range Kinds {
		if a, ok := acts[k.Name()]; !ok || a.Kind() != k {
			t.Errorf("to %s has no name", k)
		}
	}
	if len(acts) != len(Kinds) {
		t.Errorf("there are %d names and %d kinds", len(acts), len(Kinds))
	}
}

func FuzzParseRecord(f *testing.F) {
	_, records := story(f)
	for _, r := range records {
		line, err := r.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := ParseRecord(line)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, line) {
			t.Errorf("%s was read and is written %s, %v", line, again, err)
		}
		_, _ = New(r.Case, nil).Replay(r)
	})
}
