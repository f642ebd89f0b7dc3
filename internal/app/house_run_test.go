package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/benchtest"
	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// liveRun is a run under way that a case's page shows.
type liveRun struct {
	begun  chan bool   // a sample's agent has started
	submit chan string // what the next one that works submits; "" ends its sample
	result chan bench.Result
}

// runs begins the run run-1 of a case as `run --case` does in its own process, with tasks of which two go on side by side.
func (s *served) runs(t *testing.T, id proofhouse.CaseID, agent string, tasks int) *liveRun {
	t.Helper()
	r := &liveRun{make(chan bool), make(chan string), make(chan bench.Result, 1)}
	setup := benchtest.Setup(t.TempDir(), "run-1", tasks, benchtest.Agent{Called: agent, Do: func(ctx context.Context, x *bench.Session) error {
		if err := x.Log("exec", hostile, map[string]any{"stdout": "\x1b[2J\u202egnp.exe" + hostile}); err != nil {
			return err
		}
		r.begun <- true
		for {
			select {
			case text := <-r.submit:
				if text == "" {
					return nil
				}
				if _, err := x.Submit(ctx, []byte(text)); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}})
	if err := s.app.place(placed{"run-1", id, setup.Folder}); err != nil {
		t.Fatal(err)
	}
	ready := make(chan bool)
	setup.Steered = func(ctx context.Context, steer func(bench.Steering) error) {
		close(ready)
		s.app.helm("run-1")(ctx, steer)
	}
	go func() {
		got, err := bench.Run(t.Context(), setup)
		if err != nil {
			t.Error(err)
		}
		r.result <- got
	}()
	<-ready
	for s.app.askRun(t.Context(), "run-1", nil) != nil {
		if t.Context().Err() != nil {
			t.Fatal("the run does not answer")
		}
	}
	return r
}

// TestRunPage watches a run, pauses it, lets it go on and stops it, as each person of the house.
func TestRunPage(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.review(t)
	path := "/cases/" + string(id) + "/runs/run-1"
	eve := s.browser(t, "eve")
	if p := eve.get(path); p.status != http.StatusOK || !p.says("its journal is not in this house") || p.form(path+"/steer") != nil {
		t.Errorf("a run that lies elsewhere: %d %s", p.status, p.text)
	}
	r := s.runs(t, id, hostile, 5)
	<-r.begun
	<-r.begun
	r.submit <- "BREAK it"
	r.submit <- "SURVIVE secretly"
	r.submit <- ""
	<-r.begun // the first is over, and the next begins

	readers, steerers := strings.Fields("rita eve otto"), strings.Fields("eve")
	for _, who := range []string{"ann", "rita", "eve", "otto", "ada", "bob", "carl", "pat", "al", "trudy"} {
		b := s.browser(t, who)
		p := b.get(path)
		want := http.StatusNotFound
		if slices.Contains(readers, who) {
			want = http.StatusOK
		}
		if p.status != want || (p.status == http.StatusNotFound && p.says("run-1")) {
			t.Errorf("%s reads the run: %d, want %d", who, p.status, want)
		}
		if c := b.get("/cases/" + string(id)); c.says(`href="`+path+`"`) != slices.Contains(readers, who) {
			t.Errorf("%s is led to the run, or is not: %d", who, c.status)
		}
		if may := p.form(path+"/steer") != nil; may != slices.Contains(steerers, who) {
			t.Errorf("%s is offered to steer: %v", who, may)
		}
		if slices.Contains(steerers, who) {
			continue
		}
		if slices.Contains(readers, who) {
			want = http.StatusForbidden
		}
		if p := b.post(path+"/steer", url.Values{"what": {"pause"}}, nil); p.status != want {
			t.Errorf("%s pauses the run: %d, want %d", who, p.status, want)
		}
		if p := b.post(path+"/stop", url.Values{"confirm": {"yes"}}, nil); p.status != want {
			t.Errorf("%s stops the run: %d, want %d", who, p.status, want)
		}
		if want == http.StatusNotFound { // for the others it goes on
			if p := b.get(path + "/stream"); p.status != want {
				t.Errorf("%s hears of the run: %d", who, p.status)
			}
		}
	}
	if p := s.browser(t, "").get(path); p.path == path {
		t.Error("nobody in particular reads a run")
	}

	p := eve.get(path)
	if !p.says("1 of 5 samples scored", "2 under way, 2 to come", "under way", `aria-sort="ascending"`) {
		t.Errorf("under way: %s", p.text)
	}
	if p.says("urviv") && !p.says(`<b>0</b><span>Inputs that also break the fixed build`) {
		t.Error("a run under way tells of a survivor")
	}
	p = eve.send(p, path+"/steer", url.Values{"what": {"pause"}})
	if p.status != http.StatusOK || !p.says("The run is paused", "It was in the run&#39;s journal after", "no sample begins", "eve@institute asked it to pause") {
		t.Errorf("paused: %d %s", p.status, p.text)
	}
	r.submit <- ""
	r.submit <- "" // the two under way come to their end, and no other begins
	for p = eve.get(path); !p.says("3 of 5 samples scored"); p = eve.get(path) {
	}
	if !p.says("0 under way, 2 to come") {
		t.Errorf("in a pause: %s", p.text)
	}
	p = eve.send(p, path+"/steer", url.Values{"what": {"go on"}})
	if !p.says("The run goes on.") {
		t.Errorf("going on: %s", p.text)
	}
	<-r.begun
	<-r.begun
	p = eve.get(path)
	if refused := eve.post(path+"/stop", nil, nil); refused.status != http.StatusUnprocessableEntity {
		t.Errorf("stopped without a tick: %d", refused.status)
	}
	if refused := eve.post(path+"/steer", url.Values{"what": {"explode"}}, nil); refused.status != http.StatusUnprocessableEntity {
		t.Errorf("asked for anything: %d", refused.status)
	}
	p = eve.send(p, path+"/stop", url.Values{"confirm": {"yes"}})
	if !p.says("The run stops.") {
		t.Errorf("stopped: %s", p.text)
	}
	got := <-r.result
	if got.Status != "cancelled" || got.Summary.Scored != 3 || got.Summary.Cancelled != 2 {
		t.Errorf("stopped: %s, %+v", got.Status, got.Summary)
	}
	p = eve.get(path)
	if !p.says("3 of 5 samples scored", "2 cancelled", "<strong>stopped</strong>") || p.form(path+"/steer") != nil {
		t.Errorf("at its end: %s", p.text)
	}
	if stream := eve.get(path + "/stream"); stream.status != http.StatusOK || !stream.says("event: over\ndata: ") {
		t.Errorf("the stream of a run that is over: %d %q", stream.status, stream.text)
	}
	for _, query := range []string{"?sort=took&down=1", "?show=solved", "?show=error", "?sort=nothing&page=99", "?page=-1&show=%22%3E%3Cscript%3E"} {
		if p := eve.get(path + query); p.status != http.StatusOK || len(p.text) > 300<<10 {
			t.Errorf("%s: %d, %d bytes", query, p.status, len(p.text))
		}
	}
	if p := eve.get("/static/report.css"); !strings.HasPrefix(p.text, "@scope (.report) {") {
		t.Errorf("the report's style: %.80q", p.text)
	}
	if p := eve.post(path+"/steer", url.Values{"what": {"pause"}}, nil); p.status != http.StatusServiceUnavailable {
		t.Errorf("steering a run that is over: %d", p.status)
	}
}

// TestBigRun reads pages of a run of many samples, each as light as the page of a few. SAMPLES=5000 in the environment makes as many, and with -v it says how
// long the house took from the question to the last byte of the page, at the first look and at the second.
func TestBigRun(t *testing.T) {
	samples := 250
	if n, err := strconv.Atoi(os.Getenv("SAMPLES")); err == nil {
		samples = n
	}
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.review(t)
	setup := benchtest.Setup(t.TempDir(), "run-1", samples, benchtest.Agent{Called: "quick", Do: func(ctx context.Context, x *bench.Session) error {
		_, err := x.Submit(ctx, []byte("BREAK it"))
		return err
	}})
	if err := s.app.place(placed{"run-1", id, setup.Folder}); err != nil {
		t.Fatal(err)
	}
	if r, err := bench.Run(t.Context(), setup); err != nil || r.Status != "success" || len(r.Samples) != samples {
		t.Fatal(r.Status, len(r.Samples), err)
	}
	path, eve := "/cases/"+string(id)+"/runs/run-1", s.browser(t, "eve")
	for _, q := range []string{"", "", "?sort=task&down=1", "?page=2", fmt.Sprintf("?page=%d", (samples-1)/100), "/samples/1"} {
		began := time.Now()
		p := eve.get(path + q)
		took := time.Since(began)
		rows := strings.Count(p.text, "/samples/")
		if p.status != http.StatusOK || len(p.text) > 300_000 || q != "/samples/1" && (rows == 0 || rows > 2*100) {
			t.Errorf("%q: %d, %d bytes, %d links to samples", q, p.status, len(p.text), rows)
		}
		t.Logf("%d samples, page %q: %d bytes in %.1f ms", samples, q, len(p.text), took.Seconds()*1000)
	}
}

// TestLongSample reads pages of a long conversation, each as light as the page of a short one. STEPS=10000 in the environment makes one of 100 MB, and with -v it
// says how long the house took from the question to the last byte of a page: the first of that sample, one in the middle, the last, and what a search finds.
func TestLongSample(t *testing.T) {
	steps := 200
	if n, err := strconv.Atoi(os.Getenv("STEPS")); err == nil {
		steps = n
	}
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.review(t)
	setup := benchtest.Setup(t.TempDir(), "run-1", 1, benchtest.Agent{Called: "talker", Do: func(ctx context.Context, x *bench.Session) error {
		for i := range steps {
			text := fmt.Sprintf("output %d of the command\n", i) + strings.Repeat("a line of output\n", 590)
			if err := x.Say(chat.Message{Role: chat.User, Text: text}); err != nil {
				return err
			}
		}
		_, err := x.Submit(ctx, []byte("BREAK it"))
		return err
	}})
	setup.Model, setup.Config.Model = &benchtest.Script{}, &bench.ModelConfig{Name: "heron", Protocol: "script"}
	if err := s.app.place(placed{"run-1", id, setup.Folder}); err != nil {
		t.Fatal(err)
	}
	r, err := bench.Run(t.Context(), setup)
	if err != nil || r.Status != "success" || r.Samples[0].Transcript == "" {
		t.Fatal(r, err)
	}
	path, eve := "/cases/"+string(id)+"/runs/run-1/samples/1", s.browser(t, "eve")
	for _, q := range []struct {
		ask   string
		shows int // the step whose words stand there
	}{{"", 10}, {"", 10}, {fmt.Sprintf("?from=%d", steps/2), steps/2 + 10}, {fmt.Sprintf("?from=%d", steps-20), steps - 1}, {fmt.Sprintf("?find=output+%d+of", steps-1), steps - 1}} {
		began := time.Now()
		p := eve.get(path + q.ask)
		took := time.Since(began)
		if p.status != http.StatusOK || len(p.text) > 300_000 || !p.says(fmt.Sprintf("output %d of the command", q.shows)) {
			t.Errorf("%q: %d, %d bytes", q.ask, p.status, len(p.text))
		}
		t.Logf("%d steps, page %q: %d bytes in %.1f ms", steps, q.ask, len(p.text), took.Seconds()*1000)
	}
}

// TestSamplePage reads what was said in a sample, whatever a model wrote, in every role.
func TestSamplePage(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.review(t)
	words := hostile + "\x1b[2J\u202egnp.exe http://evil.example/"
	script := &benchtest.Script{Answers: []benchtest.Answer{{Text: words, Calls: []chat.ToolCall{benchtest.Call("1", words, map[string]string{"command": words})}}}}
	setup := benchtest.Setup(t.TempDir(), "run-1", 2, benchtest.Agent{Called: "talker", Do: func(ctx context.Context, x *bench.Session) error {
		all := []chat.Message{{Role: chat.System, Text: "find it"}}
		if err := x.Say(all[0]); err != nil {
			return err
		}
		for i := range 120 {
			m := chat.Message{Role: chat.User, Text: fmt.Sprintf("line %d of the prompt", i)}
			if err := x.Say(m); err != nil {
				return err
			}
			all = append(all, m)
		}
		if _, err := x.Generate(ctx, chat.Request{Messages: all}); err != nil {
			return err
		}
		if err := x.Log("exec", words, map[string]any{words: words}); err != nil {
			return err
		}
		_, err := x.Submit(ctx, []byte("BREAK "+words))
		return err
	}})
	setup.Model, setup.Config.Model = script, &bench.ModelConfig{Name: "heron", Protocol: "script"}
	if err := s.app.place(placed{"run-1", id, setup.Folder}); err != nil {
		t.Fatal(err)
	}
	if r, err := bench.Run(t.Context(), setup); err != nil || r.Status != "success" || r.Samples[0].Transcript == "" {
		t.Fatal(r, err)
	}
	path := "/cases/" + string(id) + "/runs/run-1/samples/1"
	for _, who := range []string{"rita", "eve", "otto", "ann", "ada", "carl", "pat", "al", "trudy"} {
		want := http.StatusNotFound
		if slices.Contains([]string{"rita", "eve", "otto"}, who) {
			want = http.StatusOK
		}
		b := s.browser(t, who)
		for _, at := range []string{path, path + "/steps/121"} {
			if p := b.get(at); p.status != want {
				t.Errorf("%s reads %s: %d, want %d", who, at, p.status, want)
			}
		}
	}
	eve := s.browser(t, "eve")
	p := eve.get(path)
	if !p.says("solved", "Lines 1 to 50 of 125", "said to the model (system)", "line 48 of the prompt", "To the first crash", "proofhouse oracle check demo/t0 OUT/artifacts/") || p.says("line 49 of the prompt") {
		t.Errorf("the first page: %s", p.text)
	}
	last := eve.get(path + "?from=100")
	if !last.says("100 tokens in and 10 out", `\x1b[2J\u202egnp.exe`, "submission 1: solved", "panic: runtime error") || strings.ContainsAny(last.text, "\x1b\u202e") {
		t.Errorf("the last page: %s", last.text)
	}
	for n := range last.Descendants() { // an address that a model wrote leads nowhere
		if n.Data == "a" && strings.Contains(attr(n, "href"), "evil") {
			t.Errorf("leads to %s", attr(n, "href"))
		}
	}
	if found := eve.get(path + "?find=line+77+of"); !found.says("It stands in the first line below", "line 77 of the prompt") || found.says("line 76 of the prompt") {
		t.Errorf("found: %s", found.text)
	}
	if lost := eve.get(path + "?find=nowhere"); !lost.says("It stands nowhere further on.") {
		t.Errorf("not found: %s", lost.text)
	}
	raw := eve.get(path + "/steps/121")
	if raw.header.Get("Content-Disposition") != `attachment; filename="step-121.json"` || raw.header.Get("Content-Type") != "application/octet-stream" || !raw.says(`"stop_reason":"tool_calls"`) {
		t.Errorf("as JSON: %v %s", raw.header, raw.text)
	}
	for _, at := range []string{"/samples/0", "/samples/3", "/samples/x", "/samples/1/steps/999", "/samples/1/steps/-1"} {
		if p := eve.get("/cases/" + string(id) + "/runs/run-1" + at); p.status != http.StatusNotFound {
			t.Errorf("%s: %d", at, p.status)
		}
	}
}
