package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web"
)

// A run of a case lies where its evaluator wanted it. So that the house that is served from the same data folder can show it, the
// process that runs it leaves a note there of where that is, and answers on a socket while it lives.

// placed is the note of where a run lies.
type placed struct {
	Run    proofhouse.RunID  `json:"run"`
	Case   proofhouse.CaseID `json:"case"`
	Folder string            `json:"folder"`
}

// fileName is what a run's name must be to be one of a file.
var fileName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// runFile is a file about a run; "" if its name cannot be a file's.
func (a *App) runFile(run proofhouse.RunID, ending string) string {
	if !fileName.MatchString(string(run)) {
		return ""
	}
	return a.Config.dir("runs", string(run)+ending)
}

// place notes where a run lies.
func (a *App) place(p placed) error {
	name := a.runFile(p.Run, ".json")
	if name == "" {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the run's name cannot be a file's")
	}
	if err := os.MkdirAll(a.Config.dir("runs"), 0o700); err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the data folder cannot be written")
	}
	return writeFile(name, func(w io.Writer) error { return json.NewEncoder(w).Encode(p) })
}

// whereRun is the note of where a run lies; one of another case, or none, is proofhouse.NotFound.
func (a *App) whereRun(id proofhouse.CaseID, run proofhouse.RunID) (p placed, err error) {
	name := a.runFile(run, ".json")
	if name == "" {
		return p, policy.NotFound(policy.Run{})
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return p, policy.NotFound(policy.Run{})
	}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(b, &p); err != nil || p.Case != id || p.Run != run {
		return p, policy.NotFound(policy.Run{})
	}
	return p, nil
}

// helm serves a run's socket until ctx ends. A run that can have none, since the data folder's path is too long, goes on without.
func (a *App) helm(run proofhouse.RunID) func(ctx context.Context, steer func(bench.Steering) error) {
	return func(ctx context.Context, steer func(bench.Steering) error) {
		name := a.runFile(run, ".sock")
		_ = os.Remove(name) // of a process that was killed: the journal's lock says that no other works on the run
		l, err := new(net.ListenConfig).Listen(ctx, "unix", name)
		if err == nil {
			err = os.Chmod(name, 0o600)
		}
		if err != nil {
			slog.LogAttrs(ctx, slog.LevelWarn, "the run cannot be steered from its page", slog.Any("error", err))
			return
		}
		mux := http.NewServeMux()
		mux.HandleFunc("GET /", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
			var s bench.Steering
			if err := json.NewDecoder(io.LimitReader(r.Body, 4<<10)).Decode(&s); err != nil {
				answerError(w, proofhouse.Errorf(proofhouse.Invalid, err, "that steers nothing"))
				return
			}
			if err := steer(s); err != nil {
				answerError(w, err)
			}
		})
		server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
		stopped := context.AfterFunc(ctx, func() {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = server.Shutdown(closing) // what asked the run to stop has its answer
		})
		defer stopped()
		_ = server.Serve(l)
		<-ctx.Done()
	}
}

// askRun asks the process that works on a run; with nil, only whether there is one.
func (a *App) askRun(ctx context.Context, run proofhouse.RunID, s *bench.Steering) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", a.runFile(run, ".sock"))
	}}}
	method, body := http.MethodGet, []byte(nil)
	if s != nil {
		b, err := json.Marshal(s)
		if err != nil {
			return err
		}
		method, body = http.MethodPost, b
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://run/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "no process works on that run: `run --resume` takes it up again")
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the run gave no answer: look whether it did what it was asked")
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	kind, ok := answeredKinds[resp.StatusCode]
	if !ok {
		kind = proofhouse.Internal
	}
	return proofhouse.Errorf(kind, nil, "%s", strings.TrimSpace(string(b)))
}

// runs are the runs of cases that the house can look into. It implements web.Runs.
type runs struct {
	house *House

	mu   sync.Mutex // owns what follows
	open []openRun  // the last that was asked for at the end
}

type openRun struct {
	at   placed
	live *bench.Live
}

// maxOpenRuns bounds how many runs the house keeps read; the others are read anew. Their files close when nobody holds them.
const maxOpenRuns = 32

// live is the run that lies there.
func (r *runs) live(at placed) *bench.Live {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.open, func(o openRun) bool { return o.at == at })
	o := openRun{at: at}
	if i >= 0 {
		o = r.open[i]
		r.open = slices.Delete(r.open, i, i+1)
	} else {
		o.live = bench.OpenLive(at.Folder, at.Run)
	}
	if r.open = append(r.open, o); len(r.open) > maxOpenRuns {
		r.open = slices.Delete(r.open, 0, 1)
	}
	return o.live
}

// Run implements web.Runs.
func (r *runs) Run(ctx context.Context, who policy.Person, id proofhouse.CaseID, run proofhouse.RunID) (web.Run, error) {
	c, err := r.house.docket.Case(ctx, id)
	if err != nil {
		if proofhouse.KindOf(err) == proofhouse.NotFound {
			err = policy.NotFound(policy.Run{})
		}
		return web.Run{}, err
	}
	i := slices.IndexFunc(c.Runs, func(x docket.Run) bool { return x.ID == run })
	if i < 0 {
		return web.Run{}, policy.NotFound(policy.Run{})
	}
	known, actor := c.Runs[i], policy.Principal{Person: who}
	on := policy.Run{Case: c.Facts(), ID: run, By: policy.NameOf(known.By.Organisation, known.By.Person)}
	if err := r.house.guard.Check(actor, policy.ReadRun, on); err != nil {
		return web.Run{}, err
	}
	out := web.Run{Case: c.ID, Codename: c.Codename, Known: known}
	a := r.house.app
	at, err := a.whereRun(id, run)
	switch {
	case proofhouse.KindOf(err) == proofhouse.NotFound:
		return out, nil // it lies elsewhere
	case err != nil:
		return out, err
	}
	out.Live = r.live(at)
	out.Artifact = func(d proofhouse.Digest) ([]byte, error) { return bench.Artifact(at.Folder, d) }
	out.Conversation = func(d proofhouse.Digest) (*bench.Conversation, error) { return bench.OpenConversation(at.Folder, d) }
	out.Working = a.askRun(ctx, run, nil) == nil
	if out.Working {
		out.Pressure = pressure()
	}
	if r.house.guard.Check(actor, policy.SteerRun, on) == nil {
		out.Steer = func(ctx context.Context, what bench.Steer) error {
			return a.askRun(ctx, run, &bench.Steering{What: what, By: who.Name()})
		}
	}
	for _, x := range c.Runs {
		beside := on
		beside.ID, beside.By = x.ID, policy.NameOf(x.By.Organisation, x.By.Person)
		if x.ID == run || r.house.guard.Check(actor, policy.ReadRun, beside) != nil {
			continue
		}
		if at, err := a.whereRun(id, x.ID); err == nil {
			out.Beside = append(out.Beside, r.live(at))
		}
	}
	return out, nil
}

// pressure is the share of the last ten seconds in which something of this machine waited for a processor, for memory and for the
// disk, as the kernel counts it (Documentation/accounting/psi.rst). What the kernel does not tell is left out.
func pressure() (all []web.Pressure) {
	for _, p := range []web.Pressure{{What: "processor", Of: "cpu"}, {What: "memory", Of: "memory"}, {What: "disk", Of: "io"}} {
		b, err := os.ReadFile("/proc/pressure/" + p.Of)
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(b), "\n")
		for field := range strings.FieldsSeq(first) {
			if share, ok := strings.CutPrefix(field, "avg10="); ok {
				p.Share = share
				all = append(all, p)
			}
		}
	}
	return all
}
