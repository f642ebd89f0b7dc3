package app

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// Verified is what was checked of a run or of a gate.
type Verified struct {
	Run     proofhouse.RunID  `json:"run,omitempty"`
	Journal *bench.JournalRef `json:"journal,omitempty"`
	// Gate is the gate's record; nil if the run asked no model, or its gate's
	// record is not in this data folder.
	Gate   *ledger.Summary `json:"gate,omitempty"`
	Meters *Meters         `json:"meters,omitempty"`
}

// Verify checks the record of this house's gate (path ""), another gate's log
// that this house's key signed (a file), or a run (its output folder): its
// journal, its own gate's record, and that both tell of the same use. Meters
// that contradict each other are proofhouse.Failed.
func (a *App) Verify(ctx context.Context, path string) (Verified, error) {
	if path == "" {
		path = a.gateLog()
	}
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		sum, err := a.verifyGate(ctx, path, nil)
		return Verified{Gate: &sum}, err
	}
	return a.verifyRun(ctx, path)
}

func (a *App) verifyRun(ctx context.Context, folder string) (v Verified, err error) {
	result, err := bench.ReadResult(folder)
	if err != nil {
		return v, err
	}
	v.Run, v.Journal = result.Run, &result.Journal
	told := journalUse{}
	for rec, err := range bench.Records(folder) {
		if err != nil {
			return v, err
		}
		told.add(rec)
	}
	if !told.model {
		return v, nil
	}
	log, err := a.runGateLog(folder)
	if err != nil {
		return v, err
	}
	recorded := gateUse{opened: told.opened}
	sum, err := a.verifyGate(ctx, log, func(r gate.Record) error { recorded.add(r); return nil })
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		return v, nil
	}
	v.Gate = &sum
	if err != nil {
		return v, err
	}
	m, err := reconcile(told, recorded)
	v.Meters = &m
	return v, err
}

// runGateFolder is where the gate of a run keeps its record: by its output folder's name.
func (a *App) runGateFolder(out string) (folder, name string, err error) {
	abs, err := filepath.Abs(out)
	if err != nil {
		return "", "", err
	}
	name = proofhouse.DigestOf([]byte(abs)).Hex()[:16]
	return filepath.Join(a.Config.dir("gate"), "runs", name), name, nil
}

func (a *App) runGateLog(out string) (string, error) {
	folder, _, err := a.runGateFolder(out)
	return filepath.Join(folder, "log"), err
}

// Used is how often a model answered, what that took and what it cost.
type Used struct {
	Answers     int64      `json:"answers"`
	Usage       chat.Usage `json:"usage"`
	NanoDollars int64      `json:"nano_dollars"`
}

func (u Used) plus(v Used) Used {
	return Used{u.Answers + v.Answers, u.Usage.Plus(v.Usage), u.NanoDollars + v.NanoDollars}
}

// within says that v has all of u.
func (u Used) within(v Used) bool {
	a, b := u.Usage, v.Usage
	return u.Answers <= v.Answers && u.NanoDollars <= v.NanoDollars && a.Input <= b.Input && a.CacheRead <= b.CacheRead && a.CacheWrite <= b.CacheWrite &&
		a.CacheWrite1h <= b.CacheWrite1h && a.Output <= b.Output && a.Reasoning <= b.Reasoning
}

func (u Used) minus(v Used) Used {
	a, b := u.Usage, v.Usage
	return Used{
		u.Answers - v.Answers,
		chat.Usage{
			Input: a.Input - b.Input, CacheRead: a.CacheRead - b.CacheRead, CacheWrite: a.CacheWrite - b.CacheWrite, CacheWrite1h: a.CacheWrite1h - b.CacheWrite1h,
			Output: a.Output - b.Output, Reasoning: a.Reasoning - b.Reasoning,
		},
		u.NanoDollars - v.NanoDollars,
	}
}

// Meters are what a run's journal and its gate's record say of the same calls.
type Meters struct {
	Journal Used `json:"journal"` // answers in samples, and to whether it is the same model
	// Recorded is what the gate metered, by the upstream's own figures, and the
	// answers of the journal of which the upstream said none.
	Recorded Used `json:"recorded"`
	// Beyond is what Recorded has and the journal knows no answer of: such as
	// answers that nobody waited for any more.
	Beyond Used `json:"beyond"`
	// Unmetered are the other calls, which the gate charged without the
	// upstream's figures (cut, failed, swept), and Charged what for.
	Unmetered int64       `json:"unmetered"`
	Charged   gate.Amount `json:"charged"`
}

// journalUse is what a journal says of the model.
type journalUse struct {
	model   bool
	opened  time.Time
	answers []Used // one each
	asked   Used   // whether it is the same model
}

func (j *journalUse) add(rec bench.Record) {
	switch {
	case rec.Open != nil:
		j.model, j.opened = rec.Open.Config.Model != nil, rec.At
	case rec.Event != nil && rec.Event.Model != nil && rec.Event.Model.Turn > 0:
		s := rec.Event.Model.Spent
		j.answers = append(j.answers, Used{1, s.Usage, s.NanoDollars})
	case rec.Identity != nil:
		s := rec.Identity.Spent
		j.asked = j.asked.plus(Used{int64(rec.Identity.Asked), s.Usage, s.NanoDollars})
	}
}

// gateUse is what the record of a run's gate says of its calls. The record of
// an output folder goes on when another run takes its place: the run's first
// grant is the last that was made before its journal was opened.
type gateUse struct {
	opened  time.Time
	grants  map[string]bool
	metered []Used
	silent  map[chat.Usage][]gate.Amount // charges of answers without the upstream's figures, by what is known of their usage
	others  []gate.Amount                // charges of calls without an answer
}

func (g *gateUse) add(r gate.Record) {
	switch r.Kind {
	case gate.Granted:
		if g.grants == nil || !r.Time.After(g.opened) {
			*g = gateUse{opened: g.opened, grants: map[string]bool{}, silent: map[chat.Usage][]gate.Amount{}}
		}
		g.grants[r.Grant] = true
	case gate.Ended:
		switch e := r.End; {
		case !g.grants[r.Grant]:
		case e.Outcome == gate.Metered:
			g.metered = append(g.metered, Used{1, e.Usage, e.Charge.NanoDollars})
		case e.Outcome == gate.Unmetered:
			g.silent[e.Usage] = append(g.silent[e.Usage], e.Charge)
		default:
			g.others = append(g.others, e.Charge)
		}
	case gate.Unaccounted:
		if g.grants[r.Grant] {
			g.others = append(g.others, *r.Hold)
		}
	default:
	}
}

// reconcile compares the two. Every answer of the journal must be a call that
// the gate metered, to the token and the nano-dollar, or one of which the
// upstream did not say what it took; and what the questions of identity took
// must be among the rest.
func reconcile(j journalUse, g gateUse) (m Meters, err error) {
	left := map[Used]int{}
	for _, u := range g.metered {
		m.Recorded = m.Recorded.plus(u)
		left[u]++
	}
	missing := 0
	for _, u := range j.answers {
		m.Journal = m.Journal.plus(u)
		switch silent := g.silent[u.Usage]; {
		case left[u] > 0:
			left[u]--
		case len(silent) > 0:
			m.Recorded = m.Recorded.plus(Used{1, u.Usage, silent[0].NanoDollars})
			g.silent[u.Usage] = silent[1:]
		default:
			missing++
		}
	}
	for _, charges := range g.silent {
		g.others = append(g.others, charges...)
	}
	for _, a := range g.others {
		c := &m.Charged
		m.Unmetered++
		c.Requests, c.Input, c.Output, c.NanoDollars = c.Requests+a.Requests, c.Input+a.Input, c.Output+a.Output, c.NanoDollars+a.NanoDollars
	}
	var rest Used
	for u, n := range left {
		for range n {
			rest = rest.plus(u)
		}
	}
	m.Journal = m.Journal.plus(j.asked)
	m.Beyond = m.Recorded.minus(m.Journal)
	switch {
	case missing > 0:
		return m, proofhouse.Errorf(proofhouse.Failed, nil, "%d of the journal's %d answers are not in the gate's record with the same usage and cost", missing, len(j.answers))
	case !j.asked.within(rest):
		return m, proofhouse.Errorf(proofhouse.Failed, nil, "the journal says that it took more to ask whether it is the same model than the gate's record has")
	}
	return m, nil
}
