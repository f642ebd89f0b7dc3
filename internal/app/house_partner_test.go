package app

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"proofhouse/internal/docket"
	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/proofhouse"
)

// streams has a partner type what its portal shows, with the official clients, until both read a model's words. What it gives has the developer end the
// access in its page, and holds both streams to end then.
func (j *journeys) streams(t *testing.T, id proofhouse.CaseID, grant docket.GrantID, partner *person) (revoked func()) {
	t.Helper()
	python := os.Getenv("PROOFHOUSE_SDK_PYTHON")
	if python == "" {
		t.Fatal("PROOFHOUSE_SDK_PYTHON is a Python that has OpenAI's and Anthropic's clients: .ci/browser sets it")
	}
	long := strings.Repeat("word ", 6000) // ten minutes of it
	up := gatetest.Start(func(r gatetest.Request) gatetest.Answer {
		a := gatetest.ChatStream("titan-7", long, 12, 6000)
		if r.Path == "/v1/messages" {
			a = gatetest.MessageStream("titan-7", long, 12, 6000)
		}
		a.Pace = 100 * time.Millisecond
		return a
	})
	t.Cleanup(up.Close)
	lent := j.runGate(t, GateRequest{Database: j.app.database(), Upstream: up.Base().String(), Grant: GrantRequest{For: time.Hour, Terms: gate.Grant{
		Model: "titan-7", Codename: "meadow", Case: string(id), Subject: docket.Subject(id, grant), Limits: gate.Limits{Requests: 10, Output: 10_000, OutputCap: 4000}, Reason: "a journey",
	}}})

	partner.goes("/")
	partner.follows("Your access")
	partner.reads("lark", "until the developer ends it", "the developer's own choice", "10", lent.URL)
	partner.misses("titan-7", lent.Key)
	j.isPictured(partner, "partner-access")
	programs := []*program{}
	for _, vendor := range []string{"OPENAI", "ANTHROPIC"} {
		p := partner.typesIn(python, strings.ReplaceAll(partner.shows("pre", vendor+"_BASE_URL"), "KEY=KEY", "KEY="+lent.Key))
		partner.until(vendor+"'s client reads what the model says", func() bool { return strings.HasPrefix(p.out.String(), "word word ") || p.over() })
		if p.over() {
			t.Fatalf("what the portal shows for %s ends with: %v, %s", vendor, p.err, &p.errors)
		}
		programs = append(programs, p)
	}
	partner.goes("/access")
	partner.reads("2 calls under way")
	j.isPictured(partner, "partner-streams")

	return func() {
		t.Helper()
		for _, p := range programs {
			if p.over() || up.Left() != 0 {
				t.Fatalf("it ended before access did: %s", &p.errors)
			}
		}
		ada := j.person(t, "ada")
		ada.goes("/cases/" + string(id))
		ada.opens("End a partner's access")
		ada.types("Grant", string(grant))
		ada.presses("End a partner's access")
		ada.reads("ends at once, calls under way included")
		j.isPictured(ada, "partner-is-ended")
		before := time.Now()
		ada.presses("Yes, end a partner's grant")
		for _, p := range programs {
			partner.until("the stream has ended", p.over)
			t.Logf("%s after the developer began to press, a stream had ended", time.Since(before).Round(time.Millisecond))
			if text := p.errors.String(); p.err == nil || !strings.Contains(text, "access was revoked while this answer was under way") {
				t.Errorf("a client that is cut off says: %v, %s", p.err, text)
			}
		}
		partner.until("the model's server is left", func() bool { return up.Left() == 2 })
		for _, who := range []*person{ada, partner} {
			who.goes("/cases/" + string(id) + "/use")
			who.reads("ended", "revoked", "in force at the gate", "2 calls under way cut", "0 calls under way")
			who.misses("titan-7", lent.Key)
		}
		j.isPictured(ada, "partner-use")
		again := partner.typesIn(python, programs[0].typed)
		partner.until("a key that was revoked opens nothing", again.over)
		if text := again.errors.String(); again.err == nil || !strings.Contains(text, "this key was revoked") {
			t.Errorf("a client that comes again: %v, %s", again.err, text)
		}
		partner.goes("/access")
		partner.reads("lark", "ended", "revoked")
		partner.misses("until the developer ends it")
		j.isPictured(partner, "partner-revoked")
	}
}

// shows is the text of what can be seen of a kind and has a word.
func (p *person) shows(kind, word string) (text string) {
	p.t.Helper()
	doing(p.t, p.ctx, p.who+" copies "+word, chromedp.Evaluate(fmt.Sprintf(`[...document.querySelectorAll(%q)].filter(e => e.checkVisibility()).map(e => e.innerText).find(t => t.includes(%q)) || ""`, kind, word), &text))
	if text == "" {
		p.t.Fatalf("%s finds no %s with %s", p.who, kind, word)
	}
	return text
}

// program is what somebody runs, and what it says.
type program struct {
	typed       string
	out, errors said
	ended       chan struct{}
	err         error // after ended
}

// said is what a program wrote so far.
type said struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// over says whether it has ended.
func (p *program) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// typesIn runs what somebody typed in a shell whose python3 has the clients, and that has nothing of this process's environment.
func (p *person) typesIn(python, typed string) *program {
	p.t.Helper()
	r := &program{typed: typed, ended: make(chan struct{})}
	cmd := exec.CommandContext(p.t.Context(), "sh", "-ec", typed)
	cmd.Env = []string{"PATH=" + filepath.Dir(python) + ":/usr/bin:/bin", "HOME=" + p.saves, "PYTHONDONTWRITEBYTECODE=1"}
	cmd.Stdout, cmd.Stderr = &r.out, &r.errors
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		r.err = cmd.Wait()
	}()
	return r
}
