package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/report"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// Runs finds the runs of cases for those who may see them. They lie in folders of their evaluators, and not in the API's database.
type Runs interface {
	// Run is a run of a case. One that is not there, or that who may not know of, is proofhouse.NotFound.
	Run(ctx context.Context, who policy.Person, id proofhouse.CaseID, run proofhouse.RunID) (Run, error)
}

// Run is a run as the house has it.
type Run struct {
	Case     proofhouse.CaseID
	Codename string
	Known    docket.Run // what the case knows of it
	// Live is what its journal says; nil where this house does not have the run's folder.
	Live *bench.Live
	// Artifact reads what the run kept, by digest.
	Artifact func(proofhouse.Digest) ([]byte, error)
	// Conversation finds the steps of a transcript that the run kept, by digest. The caller closes it.
	Conversation func(proofhouse.Digest) (*bench.Conversation, error)
	// Beside are other runs of the case.
	Beside []*bench.Live
	// Working says that a process works on it.
	Working bool
	// Pressure is what the machine lacks, if the run is on this one.
	Pressure []Pressure
	// Steer asks something of the process; it is done when it returns. nil for whoever may not.
	Steer func(ctx context.Context, what bench.Steer) error
}

// Pressure is how much of the last ten seconds something waited for what the machine has too little of.
type Pressure = page.Pressure

// RunPath is where a run's page is.
func RunPath(id proofhouse.CaseID, run proofhouse.RunID) string {
	return "/cases/" + url.PathEscape(string(id)) + "/runs/" + url.PathEscape(string(run))
}

// livePolicy is contentPolicy with the house's own script, which may ask this house and nobody else.
const livePolicy = contentPolicy + "; script-src 'self'; connect-src 'self'"

// streamPause is how often a page hears that there is something new.
const streamPause = time.Second

// maxBeside bounds the runs that stand beside one.
const maxBeside = 6

// runs adds the pages of runs.
func (s site) runs() {
	s.mux.HandleFunc("GET /static/report.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = io.WriteString(w, report.Style())
	})
	s.page("GET /cases/{case}/runs/{run}", func(v visit) error {
		r, view, err := v.run()
		if err != nil {
			return err
		}
		q := v.r.URL.Query()
		view.Sort, view.Show, view.Said = q.Get("sort"), q.Get("show"), steered[q.Get("done")]
		view.Down = q.Get("down") == "1"
		view.Page, _ = strconv.Atoi(q.Get("page"))
		if took, err := strconv.Atoi(q.Get("took")); err == nil && view.Said != "" {
			view.Said += fmt.Sprintf(" It was in the run's journal after %d ms.", took)
		}
		title := "Run"
		if r.Live != nil {
			v.w.Header().Set("Content-Security-Policy", livePolicy)
			if view.State, err = r.Live.State(); err != nil {
				return err
			}
			title = view.Title()
			view.Beside = beside(view.State, r.Beside)
		}
		return v.show(page.Run(v.frame(title, "docket"), view))
	})
	s.page("GET /cases/{case}/runs/{run}/stream", func(v visit) error {
		r, _, err := v.run()
		if err != nil {
			return err
		}
		if r.Live == nil {
			return policy.NotFound(policy.Run{})
		}
		return v.stream()
	})
	s.samples()
	s.page("POST /cases/{case}/runs/{run}/steer", func(v visit) error {
		what := bench.Steer(v.r.PostFormValue("what"))
		if what == bench.Stop {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "to stop a run is asked in a form of its own")
		}
		return v.steer(what)
	})
	s.page("POST /cases/{case}/runs/{run}/stop", func(v visit) error {
		if v.r.PostFormValue("confirm") != "yes" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "to stop a run ends every sample under way, which then counts for nothing: tick the box to say that you mean it")
		}
		return v.steer(bench.Stop)
	})
}

// steer asks something of a run and shows its page again.
func (v visit) steer(what bench.Steer) error {
	r, view, err := v.run()
	if err != nil {
		return err
	}
	if r.Steer == nil {
		return proofhouse.Errorf(proofhouse.Refused, nil, "you may not steer it: an evaluator of the case may, and whoever began it")
	}
	began := time.Now()
	if err := r.Steer(v.r.Context(), what); err != nil {
		return err
	}
	return v.to(view.Path + "?" + url.Values{"done": {string(what)}, "took": {strconv.FormatInt(time.Since(began).Milliseconds(), 10)}}.Encode())
}

// steered are the sentences that a page shows after a run was steered.
var steered = map[string]string{
	string(bench.Pause): "The run is paused: no sample begins.", string(bench.GoOn): "The run goes on.", string(bench.Stop): "The run stops.",
}

// run is the run that a page is of.
func (v visit) run() (Run, page.RunView, error) {
	run := proofhouse.RunID(v.r.PathValue("run"))
	r, err := v.Runs.Run(v.r.Context(), v.me, v.id(), run)
	if err != nil {
		return r, page.RunView{}, err
	}
	return r, page.RunView{
		Path: RunPath(v.id(), run), Case: r.Case, Codename: r.Codename, Known: r.Known, Here: r.Live != nil, Working: r.Working, Pressure: r.Pressure, Steers: r.Steer != nil,
	}, nil
}

// beside are the runs on the same tasks, to compare.
func beside(of bench.State, others []*bench.Live) (all []bench.Result) {
	for _, l := range others {
		st, err := l.State()
		if err == nil && st.Result.Suite.Digest == of.Result.Suite.Digest && len(all) < maxBeside {
			all = append(all, st.Result)
		}
	}
	return all
}

// stream says that there is something new, by the number of the journal's last record, until the run is over. It
// tells nothing else: who hears it asks for the page again.
func (v visit) stream() error {
	last, _ := strconv.ParseInt(v.r.Header.Get("Last-Event-ID"), 10, 64)
	if last == 0 {
		last, _ = strconv.ParseInt(v.r.URL.Query().Get("after"), 10, 64)
	}
	out := http.NewResponseController(v.w)
	v.w.Header().Set("Content-Type", "text/event-stream")
	v.w.WriteHeader(http.StatusOK)
	for {
		// Each time anew: who may see it no more hears no more.
		if _, err := v.client.Me(v.r.Context()); err != nil {
			return nil //nolint:nilerr // the answer has begun: the page finds out why when it asks again
		}
		r, _, err := v.run()
		if err != nil || r.Live == nil {
			return nil //nolint:nilerr // as above
		}
		st, err := r.Live.State()
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		word := ""
		switch {
		case st.Over:
			word = "over"
		case st.Seq > last:
			word = "new"
		}
		if word != "" {
			last = st.Seq
			if _, err := fmt.Fprintf(v.w, "id: %d\nevent: %s\ndata: %d\n\n", last, word, last); err != nil || word == "over" {
				return nil //nolint:nilerr // who listened is gone
			}
		}
		if out.Flush() != nil {
			return nil
		}
		select {
		case <-v.r.Context().Done():
			return nil
		case <-time.After(streamPause):
		}
	}
}
