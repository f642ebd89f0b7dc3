package report

import (
	"strings"
	"testing"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/benchtest"
	"proofhouse/internal/chat"
)

// withModel is a made-up run of a model with a hostile name.
func withModel(k benchtest.Kept) bench.Result {
	r := benchtest.Result("ladder", 1, k)
	zero := 0.0
	r.Config.Model = &bench.ModelConfig{
		Name: "violet<script>", Protocol: "openai-chat", Generate: chat.Config{MaxTokens: 4096, Temperature: &zero}, Told: true,
		Prices: chat.Prices{Version: "table 7", Input: 3000, Output: 15000}, Sample: bench.Budget{Turns: 30, NanoDollars: 2e9}, Run: bench.Budget{Tokens: 9_000_000},
	}
	s := bench.Spent{
		Turns: 12, Usage: chat.Usage{Input: 1_234_567, CacheRead: 1000, Output: 45_678}, NanoDollars: 4_388_871_001, Retries: 2, Failures: 1, Refusals: 3,
		Took: time.Minute, Waited: 30 * time.Second, Queued: 20 * time.Second,
	}
	r.Samples[0].Model, r.Summary.Model = &s, &s
	return r
}

// TestModelFigures shows what a model used, what it cost, and whose fault what was.
func TestModelFigures(t *testing.T) {
	k := benchtest.Kept{}
	page := string(written(t, Input{Runs: []bench.Result{withModel(k)}, Artifact: k.Read}))
	for _, want := range []string{
		"Turns of the model", "1\u202f235\u202f567", "45\u202f678", "$4.3889", "violet&lt;script&gt;", "30 turns, $2.0000", "9000000 tokens", "table 7", "yes, of each submission",
		"Failures of the provider", "Waited for a place", "20 s", "10 s",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(page, "<script>") {
		t.Error("a model's name is a script")
	}
	without := string(written(t, Input{Runs: []bench.Result{benchtest.Result("ladder", 1, k)}, Artifact: k.Read}))
	if strings.Contains(without, "Turns of the model") || strings.Contains(without, "Protocol") {
		t.Error("a run without a model has figures of one")
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]word{0: "0", 999: "999", 1000: "1\u202f000", 1234567: "1\u202f234\u202f567", -1000: "-1\u202f000"} {
		if got := count(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}
