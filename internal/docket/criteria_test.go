package docket

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/bench/stat"
	"proofhouse/internal/proofhouse"
)

func suite(n int) Suite {
	s := Suite{Name: "open-1", Salt: Salt{7}}
	for i := range n {
		id := fmt.Sprintf("open-1/%02d", n-1-i) // not in order
		s.Tasks = append(s.Tasks, SuiteTask{proofhouse.TaskID(id), digestOf(id)})
	}
	return s
}

// merkle is the tree hash of RFC 6962, section 2.1, as it is written there.
func merkle(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		h := sha256.Sum256(append([]byte{0}, leaves[0]...))
		return h[:]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	h := sha256.Sum256(append(append([]byte{1}, merkle(leaves[:k])...), merkle(leaves[k:])...))
	return h[:]
}

func TestDisclosure(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 8, 33} {
		s := suite(n)
		c, err := s.Commit()
		if err != nil {
			t.Fatal(err)
		}
		var leaves [][]byte
		for _, k := range s.sorted() {
			salt := s.taskSalt(k.ID)
			leaves = append(leaves, fmt.Appendf(nil, `["proofhouse task v1","%x","%s","%s"]`, salt[:], k.ID, k.Digest))
		}
		if want := fmt.Sprintf("sha256:%x", merkle(leaves)); string(c.Root) != want {
			t.Errorf("the root over %d tasks is %s, want %s", n, c.Root, want)
		}
		for _, k := range s.Tasks {
			d, err := s.Disclose(k.ID)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Check(c); err != nil {
				t.Errorf("%s of %d: %v", k.ID, n, err)
			}
			for name, change := range map[string]func(*Disclosure, *SuiteCommitment){
				"another task":   func(d *Disclosure, _ *SuiteCommitment) { d.Task.ID += "x" },
				"another text":   func(d *Disclosure, _ *SuiteCommitment) { d.Task.Digest = digestOf("x") },
				"another salt":   func(d *Disclosure, _ *SuiteCommitment) { d.Salt[0]++ },
				"another place":  func(d *Disclosure, _ *SuiteCommitment) { d.Index++ },
				"before all":     func(d *Disclosure, _ *SuiteCommitment) { d.Index = -1 },
				"another root":   func(_ *Disclosure, c *SuiteCommitment) { c.Root = digestOf("x") },
				"no root":        func(_ *Disclosure, c *SuiteCommitment) { c.Root = "" },
				"a longer suite": func(_ *Disclosure, c *SuiteCommitment) { c.Tasks = 2*c.Tasks + 40 },
				"a longer proof": func(d *Disclosure, _ *SuiteCommitment) { d.Proof = append(d.Proof, digestOf("x")) },
				"a broken proof": func(d *Disclosure, _ *SuiteCommitment) { d.Proof = append(d.Proof, "x") },
			} {
				d, c := d, c
				change(&d, &c)
				if err := d.Check(c); proofhouse.KindOf(err) != proofhouse.Integrity {
					t.Errorf("%s of %d, %s: got %v", k.ID, n, name, err)
				}
			}
		}
		if _, err := s.Disclose("open-1/xx"); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("disclosing what is not there: %v", err)
		}
	}
	if s := suite(2); s.taskSalt(s.Tasks[0].ID) == s.taskSalt(s.Tasks[1].ID) {
		t.Error("disclosing one task would open the other")
	}
	twice := suite(2)
	twice.Tasks[0].ID = twice.Tasks[1].ID
	plain := suite(2)
	plain.Salt = Salt{}
	for name, s := range map[string]Suite{"none": suite(0), "a name twice": twice, "no salt": plain} {
		if _, err := s.Commit(); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestCommitment changes every part of the criteria; each change is another commitment.
func TestCommitment(t *testing.T) {
	seen := map[proofhouse.Digest]string{}
	commit := func(name string, c Criteria, salt Salt) {
		t.Helper()
		d, err := c.Commit(salt)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, there := seen[d]; there {
			t.Errorf("%s and %s have one commitment", name, other)
		}
		seen[d] = name
		b, err := c.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseCriteria(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if b2, _ := again.Canonical(); !bytes.Equal(b, b2) {
			t.Errorf("%s reads back as %s", name, b2)
		}
	}
	commit("as they are", criteria(), salt)
	commit("another salt", criteria(), Salt{2})
	for name, change := range map[string]func(*Criteria){
		"root":        func(c *Criteria) { c.Suites = []SuiteCommitment{{"open-1", digestOf("x"), 100}} },
		"tasks":       func(c *Criteria) { c.Suites = []SuiteCommitment{{"open-1", digestOf("suite"), 99}} },
		"suite":       func(c *Criteria) { c.Suites = append(c.Suites, SuiteCommitment{"open-2", digestOf("x"), 1}) },
		"variant":     func(c *Criteria) { c.Variants = []string{"deployed", "helpful-only"} },
		"agent":       func(c *Criteria) { c.Agents = []Agent{{"react", digestOf("x")}} },
		"tokens":      func(c *Criteria) { c.Budget.Tokens++ },
		"steps":       func(c *Criteria) { c.Budget.Steps++ },
		"seconds":     func(c *Criteria) { c.Budget.Seconds++ },
		"dollars":     func(c *Criteria) { c.Budget.MicroDollars++ },
		"epochs":      func(c *Criteria) { c.Epochs++ },
		"threshold":   func(c *Criteria) { c.Threshold++ },
		"level":       func(c *Criteria) { c.Level++ },
		"analysis":    func(c *Criteria) { c.Analysis = "2" },
		"exclusions":  func(c *Criteria) { c.Exclusions = []string{"samples whose box failed"} },
		"exclusions2": func(c *Criteria) { c.Exclusions = []string{"samples whose box failed", "x"} },
	} {
		c := criteria()
		change(&c)
		commit(name, c, salt)
	}
	if _, err := criteria().Commit(Salt{}); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("without a salt: %v", err)
	}
	for name, change := range map[string]func(*Criteria){
		"no suite":          func(c *Criteria) { c.Suites = nil },
		"no variant":        func(c *Criteria) { c.Variants = nil },
		"no agent":          func(c *Criteria) { c.Agents = nil },
		"out of order":      func(c *Criteria) { c.Variants = []string{"b", "a"} },
		"twice":             func(c *Criteria) { c.Variants = []string{"a", "a"} },
		"look-alike":        func(c *Criteria) { c.Variants = []string{"аdmin"} },
		"no root":           func(c *Criteria) { c.Suites = []SuiteCommitment{{"a", "", 1}} },
		"no tasks":          func(c *Criteria) { c.Suites = []SuiteCommitment{{"a", digestOf("x"), 0}} },
		"no elicitation":    func(c *Criteria) { c.Agents = []Agent{{"a", ""}} },
		"no epochs":         func(c *Criteria) { c.Epochs = 0 },
		"no threshold":      func(c *Criteria) { c.Threshold = 0 },
		"threshold of one":  func(c *Criteria) { c.Threshold = 1_000_000 },
		"no level":          func(c *Criteria) { c.Level = 0 },
		"another rule":      func(c *Criteria) { c.Rule = "best of three" },
		"no analysis":       func(c *Criteria) { c.Analysis = "" },
		"no exclusions":     func(c *Criteria) { c.Exclusions = nil },
		"a negative budget": func(c *Criteria) { c.Budget.Steps = -1 },
	} {
		c := criteria()
		change(&c)
		if _, err := c.Commit(salt); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	good, err := criteria().Canonical()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"white space":    " " + string(good),
		"more behind":    string(good) + "{}",
		"an unknown key": strings.Replace(string(good), `{"suites"`, `{"licence":1,"suites"`, 1),
		"a key twice":    strings.Replace(string(good), `"epochs":1`, `"epochs":2,"epochs":1`, 1),
		"another case":   strings.Replace(string(good), `"epochs"`, `"Epochs"`, 1),
		"a float":        strings.Replace(string(good), `"epochs":1`, `"epochs":1.0`, 1),
		"nothing":        "",
	} {
		if _, err := ParseCriteria([]byte(text)); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzParseCriteria(f *testing.F) {
	good, err := criteria().Canonical()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCriteria(b)
		if err != nil {
			if proofhouse.KindOf(err) != proofhouse.Invalid {
				t.Fatalf("not Invalid: %v", err)
			}
			return
		}
		if again, err := c.Canonical(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("two encodings: %s and %s, %v", b, again, err)
		}
	})
}

// TestRule holds the interval to that of the reports, and the outcome to the interval.
func TestRule(t *testing.T) {
	for _, n := range []int{1, 5, 40, 100, 1000} {
		c := criteria()
		c.Suites[0].Tasks = n
		for x := range n + 1 {
			want := stat.Wilson(x, n, 0.95)
			low, high := c.interval(float64(x) / float64(n))
			if math.Abs(low-want.Low) > 1e-9 || math.Abs(high-want.High) > 1e-9 {
				t.Fatalf("%d of %d: [%v, %v], want %+v", x, n, low, high, want)
			}
			outcome := Undetermined
			if want.Low > 0.5 {
				outcome = Covered
			} else if want.High < 0.5 {
				outcome = NotCovered
			}
			if got := c.Propose(map[Cell]Tally{cell: {Solved: x, Samples: n}}); got != outcome {
				t.Errorf("%d of %d: %s, want %s", x, n, got, outcome)
			}
		}
	}
	two := criteria()
	two.Variants = []string{"deployed", "helpful-only"}
	other := Cell{"deployed", "react"}
	excluding := func(solved, excluded int) Tally { return Tally{Solved: solved, Excluded: excluded, Samples: 100} }
	epochs := criteria()
	epochs.Epochs = 10
	for _, r := range []struct {
		name    string
		c       Criteria
		tallies map[Cell]Tally
		want    Outcome
	}{
		{"nothing ran", two, nil, Undetermined},
		{"one of two below", two, map[Cell]Tally{cell: excluding(10, 0)}, Undetermined},
		{"both below", two, map[Cell]Tally{cell: excluding(10, 0), other: excluding(10, 0)}, NotCovered},
		{"one of two above", two, map[Cell]Tally{cell: excluding(90, 0)}, Covered},
		{"one above, one below", two, map[Cell]Tally{cell: excluding(90, 0), other: excluding(10, 0)}, Covered},
		{"a run that was cut short", criteria(), map[Cell]Tally{cell: {Solved: 90, Samples: 90}}, Undetermined},
		{"just above", criteria(), map[Cell]Tally{cell: excluding(60, 0)}, Covered},
		{"just above, for one of two cells", two, map[Cell]Tally{cell: excluding(60, 0)}, Undetermined},
		{"leaving samples out proves nothing: above", criteria(), map[Cell]Tally{cell: excluding(59, 40)}, Undetermined},
		{"leaving samples out proves nothing: below", criteria(), map[Cell]Tally{cell: excluding(30, 20)}, Undetermined},
		{"below whatever was left out", criteria(), map[Cell]Tally{cell: excluding(20, 20)}, NotCovered},
		{"ten epochs of a task are not ten tasks", epochs, map[Cell]Tally{cell: {Solved: 560, Samples: 1000}}, Undetermined},
		{"a cell that is not registered", criteria(), map[Cell]Tally{other: excluding(100, 0)}, Undetermined},
	} {
		if got := r.c.Propose(r.tallies); got != r.want {
			t.Errorf("%s: %s, want %s", r.name, got, r.want)
		}
	}
}

func TestPower(t *testing.T) {
	c := criteria()
	for _, w := range c.Power() {
		if sum := w.Covered + w.NotCovered + w.Undetermined; math.Abs(sum-1) > 1e-9 {
			t.Errorf("at %v the chances add up to %v", w.Rate, sum)
		}
	}
	// At the threshold itself: 60 or more of 100 heads (0.02844, from tables of the binomial distribution).
	if w := c.power(0.5); math.Abs(w.Covered-0.02844) > 1e-5 || math.Abs(w.NotCovered-0.02844) > 1e-5 {
		t.Errorf("at the threshold: %+v", w)
	}
	if w := c.power(0.7); w.Covered < 0.98 {
		t.Errorf("far above the threshold: %+v", w)
	}
	want := `rule "fixed sample": 100 tasks, 1 cells, threshold 50%, level 95%` + "\n"
	// Of as many tasks as criteria may have, by few of the counts, and with nothing left out.
	big := c
	big.Suites = slices.Repeat([]SuiteCommitment{{Tasks: maxTasks}}, maxList)
	for _, w := range big.Power() {
		if from, to := likely(big.Tasks(), w.Rate); to-from > 60_000 {
			t.Errorf("at %v of %d tasks %d counts are added up", w.Rate, big.Tasks(), to-from)
		}
		if sum := w.Covered + w.NotCovered + w.Undetermined; math.Abs(sum-1) > 1e-6 {
			t.Errorf("at %v of %d tasks the chances add up to %v", w.Rate, big.Tasks(), sum)
		}
	}
	if got := c.PowerTable(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 11 {
		t.Errorf("the table is\n%s", got)
	} else {
		t.Log("\n" + got)
	}
}
