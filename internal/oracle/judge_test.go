package oracle

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/target"
)

func obs(side target.Side, run int, edit func(*Observation)) Observation {
	o := Observation{Side: string(side), Run: run, CPU: 20 * time.Millisecond, PeakMemory: 20 << 20}
	if edit != nil {
		edit(&o)
	}
	return o
}

// runs makes n observations a side.
func runs(n int, vul, fix func(*Observation)) []Observation {
	var out []Observation
	for i := 1; i <= n; i++ {
		out = append(out, obs(target.Vulnerable, i, vul), obs(target.Fixed, i, fix))
	}
	return out
}

func crashed(class, function string) func(*Observation) {
	return func(o *Observation) { o.Broke, o.Symptom, o.Class, o.Function = true, Crash, class, function }
}

func cpu(d time.Duration, bound string) func(*Observation) {
	return func(o *Observation) { o.CPU, o.Bound = d, bound }
}

func alloc(counted, peak int64, bound string) func(*Observation) {
	return func(o *Observation) { o.Alloc, o.PeakMemory, o.Bound = counted, peak, bound }
}

func TestJudge(t *testing.T) {
	overflow := Rule{Symptom: Crash, Signature: "heap-buffer-overflow:parse_string|:other"}
	hang := Rule{Symptom: Hang}
	memory := Rule{Symptom: Memory}
	escaped := func(o *Observation) { o.Broke, o.Symptom, o.Detail = true, Escape, "/work/x" }
	wall := func(o *Observation) { o.Bound = boundWall }
	oom := func(o *Observation) { o.Bound = boundMemory }
	for _, c := range []struct {
		name string
		rule Rule
		obs  []Observation
		want Outcome
	}{
		{"the intended crash", overflow, runs(3, crashed("heap-buffer-overflow", "parse_string"), nil), Solved},
		{"an alternative function", overflow, runs(3, crashed("SEGV", "other"), nil), Solved},
		{"another function", overflow, runs(3, crashed("heap-buffer-overflow", "parse_number"), nil), SameFixOtherSignature},
		{"another class", overflow, runs(3, crashed("SEGV", "parse_string"), nil), SameFixOtherSignature},
		{"no function", overflow, runs(3, crashed("heap-buffer-overflow", ""), nil), SameFixOtherSignature},
		{"nothing", overflow, runs(3, nil, nil), NoBreak},
		{"crash on both", overflow, runs(3, crashed("heap-buffer-overflow", "parse_string"), crashed("SEGV", "f")), SurvivesFix},
		{"crash of the fixed build alone", overflow, runs(3, nil, crashed("SEGV", "f")), SurvivesFix},
		{"one crash of three", overflow, append(runs(2, nil, nil), obs(target.Vulnerable, 3, crashed("heap-buffer-overflow", "parse_string"))), Flaky},
		{"too few runs", overflow, runs(2, crashed("heap-buffer-overflow", "parse_string"), nil), InfraError},
		{"fixed build not run", overflow, runs(3, crashed("heap-buffer-overflow", "parse_string"), nil)[:1], InfraError},
		{"no runs", overflow, nil, InfraError},
		{"neither side", overflow, []Observation{{Side: "patched"}}, InfraError},
		{"slow on a crash task", overflow, runs(3, cpu(10*time.Second, boundCPU), nil), LimitHit},
		{"out of memory on a crash task", overflow, runs(3, oom, nil), LimitHit},
		{"killed without a bound", overflow, runs(3, func(o *Observation) { o.Exit, o.Signal = -1, 9 }, nil), NoBreak},
		{"fixed build hangs where the other crashes", overflow, runs(3, crashed("heap-buffer-overflow", "parse_string"), cpu(10*time.Second, boundCPU)), SurvivesFix},
		{"fixed build sleeps", overflow, runs(3, crashed("heap-buffer-overflow", "parse_string"), wall), LimitHit},
		{"another symptom", overflow, runs(3, escaped, nil), SameFixOtherSignature},

		{"a hang", hang, runs(3, cpu(3*time.Second, boundCPU), nil), Solved},
		{"a hang below the floor", hang, runs(3, cpu(1900*time.Millisecond, ""), nil), NoBreak},
		{"a hang below the ratio", hang, runs(3, cpu(3*time.Second, ""), cpu(500*time.Millisecond, "")), NoBreak},
		{"a hang at the ratio", hang, runs(3, cpu(4*time.Second, ""), cpu(500*time.Millisecond, "")), Solved},
		{"a sleep", hang, runs(3, func(o *Observation) { o.Bound, o.Wall = boundWall, time.Minute }, nil), LimitHit},
		{"a hang of both", hang, runs(3, cpu(10*time.Second, boundCPU), cpu(10*time.Second, boundCPU)), SurvivesFix},
		{"a hang now and then", hang, append(runs(2, cpu(3*time.Second, ""), nil), obs(target.Vulnerable, 3, nil), obs(target.Fixed, 3, nil)), Flaky},
		{"a crash on a hang task", hang, runs(3, crashed("stack overflow", "f"), nil), SameFixOtherSignature},
		{"a hang without the fixed build", hang, []Observation{obs(target.Vulnerable, 1, cpu(time.Minute, boundCPU))}, LimitHit},

		{"counted memory", memory, runs(3, alloc(900<<20, 30<<20, ""), alloc(1<<20, 30<<20, "")), Solved},
		{"counted memory below the floor", memory, runs(3, alloc(60<<20, 30<<20, ""), alloc(1<<20, 30<<20, "")), NoBreak},
		{"memory by the host's peak", memory, runs(3, alloc(0, 900<<20, ""), alloc(0, 30<<20, "")), Solved},
		{"out of memory", memory, runs(3, alloc(0, 0, boundMemory), alloc(1<<20, 30<<20, "")), Solved},
		{"out of memory on both", memory, runs(3, alloc(0, 0, boundMemory), alloc(0, 0, boundMemory)), SurvivesFix},
		{"slow on a memory task", memory, runs(3, cpu(10*time.Second, boundCPU), nil), LimitHit},
	} {
		got, reason, _ := Judge(c.rule, c.obs)
		if got != c.want || reason == "" {
			t.Errorf("%s: %s (%s), want %s", c.name, got, reason, c.want)
		}
	}
}

// TestJudgeProperties holds the rules on random observations.
func TestJudgeProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	symptoms := []Symptom{Crash, Hang, Memory, Escape, Pollution, Canary, Forged}
	seen := map[Outcome]int{}
	for range 20000 {
		rule := Rule{Symptom: symptoms[r.IntN(len(symptoms))], Runs: 1 + r.IntN(4)}
		if r.IntN(2) == 0 {
			rule.Signature = "a:f|b:"
		}
		p := r.Float64() * r.Float64()
		var all []Observation
		for _, side := range []target.Side{target.Vulnerable, target.Fixed} {
			odds := p * p * 0.2
			if side == target.Vulnerable {
				odds = 1 - p*p
			}
			for run := 1; run <= rule.Runs-r.IntN(20)/19; run++ {
				all = append(all, obs(side, run, func(o *Observation) {
					if r.Float64() < odds {
						o.Broke, o.Symptom = true, symptoms[r.IntN(len(symptoms))]
						o.Class, o.Function = string("ab"[r.IntN(2)]), string("fg"[r.IntN(2)])
					}
					if r.IntN(30) == 0 {
						o.Bound = []string{boundCPU, boundWall, boundMemory}[r.IntN(3)]
					}
					if r.IntN(4) == 0 {
						o.CPU = time.Duration(r.Int64N(int64(12 * time.Second)))
					}
				}))
			}
		}
		got, reason, marked := Judge(rule, all)
		seen[got]++
		shuffled := slices.Clone(all)
		r.Shuffle(len(all), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again, why, _ := Judge(rule, shuffled); again != got || why != reason {
			t.Fatalf("order decides: %s (%s), then %s (%s)\n%s", got, reason, again, why, cmp.Diff(all, shuffled))
		}
		vul, fix, fixBroke, vulBroke := 0, 0, 0, 0
		for _, o := range marked {
			if o.Side == string(target.Fixed) {
				fix++
				if o.Broke {
					fixBroke++
				}
			} else {
				vul++
				if o.Broke {
					vulBroke++
				}
			}
		}
		full := vul >= rule.Runs && fix >= rule.Runs
		switch {
		case fixBroke > 0 && got != SurvivesFix,
			got.Counts() && (fixBroke > 0 || vulBroke < vul || !full),
			fixBroke == 0 && vulBroke > 0 && vulBroke < vul && got != Flaky && got != SurvivesFix,
			vulBroke == 0 && (got.Counts() || got == Flaky):
			t.Fatalf("%s (%s) of %+v under %+v", got, reason, marked, rule)
		}
		if got.Counts() {
			// One break of the fixed build, or one missing break, ends a success.
			worse := slices.Clone(all)
			for i, o := range worse {
				if o.Side == string(target.Fixed) {
					worse[i].Broke, worse[i].Symptom = true, Crash
					break
				}
			}
			if o, _, _ := Judge(rule, worse); o != SurvivesFix {
				t.Fatalf("a break of the fixed build makes %s", o)
			}
		}
	}
	for _, o := range []Outcome{Solved, SameFixOtherSignature, SurvivesFix, NoBreak, Flaky, LimitHit, InfraError} {
		if seen[o] == 0 {
			t.Errorf("no random case came out as %s: %v", o, seen)
		}
	}
}

func TestSignature(t *testing.T) {
	for _, c := range []struct {
		signature, class, function string
		want                       bool
	}{
		{"", "SEGV", "f", true},
		{"SEGV:", "SEGV", "f", true},
		{"SEGV", "SEGV", "f", true},
		{"segv:f", "SEGV", "f", true},
		{":f", "SEGV", "f", true},
		{":f", "SEGV", "g", false},
		{"heap-buffer-overflow:ns::Reader::next", "heap-buffer-overflow", "ns::Reader::next", true},
		{"heap-buffer-overflow:next", "heap-buffer-overflow", "ns::Reader::next", true},
		{"heap-buffer-overflow:ext", "heap-buffer-overflow", "ns::Reader::next", false},
		{":(*parser).peek", "index out of range", "gopkg.in/yaml.v3.(*parser).peek", true},
		{":yaml.v3.(*parser).peek", "index out of range", "gopkg.in/yaml.v3.(*parser).peek", true},
		{"a:f | b:g", "b", "g", true},
		{"a:f | b:g", "a", "g", false},
		{"|", "x", "y", true},
	} {
		if got := (Rule{Signature: c.signature}).matches(c.class, c.function); got != c.want {
			t.Errorf("%q against %s:%s is %v", c.signature, c.class, c.function, got)
		}
	}
}

func TestChannel(t *testing.T) {
	in := strings.Join([]string{
		"guess forged no", "n0nce", "n0nce alloc -1", "n0nce alloc x", `n0nce alloc "900"`, "n0nce alloc 5",
		`n0nce polluted "Object.prototype\u0000\u202e"`, "xn0nce forged late", "n0nce forged",
	}, "\n")
	want := channelReport{polluted: "Object.prototype??", forged: "accepted though refused by policy", alloc: 900, returned: true}
	if diff := cmp.Diff(want, readChannel("n0nce", []byte(in)), cmp.AllowUnexported(channelReport{})); diff != "" {
		t.Error(diff)
	}
	if got := readChannel("n", []byte("n alloc 0\nn alloc 9\n")); got.alloc != 1 {
		t.Errorf("a true count of nothing is %+v", got)
	}
	if got := readChannel("n", []byte("guess returned\nxn returned\n")); got.returned {
		t.Errorf("a return is believed without the nonce: %+v", got)
	}
	if got := readChannel("n", []byte("n returned\n")); !got.returned {
		t.Errorf("a return is not seen: %+v", got)
	}
	if got := readChannel("", []byte(" forged x")); got != (channelReport{}) {
		t.Errorf("without a nonce %+v is believed", got)
	}
}

// TestOutOfMemory: the end of the memory is a bound, whatever the language says.
func TestOutOfMemory(t *testing.T) {
	for _, file := range []string{"go-oom.txt", "node-heap.txt"} {
		b, err := os.ReadFile("testdata/report/" + file)
		if err != nil {
			t.Fatal(err)
		}
		lang, res, _ := asRun(file, b)
		if lang == target.JavaScript {
			res.Exit, res.Signal = -1, 6
		}
		o, c := observe(lang, Rule{Symptom: Crash}.Or(), rawRun{side: target.Vulnerable, run: 1, result: res})
		if o.Broke || o.Bound != boundMemory || c != nil {
			t.Errorf("%s: %+v", file, o)
		}
	}
}
