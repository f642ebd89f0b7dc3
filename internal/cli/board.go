package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/proofhouse"
)

// board is a run's live state, folded from its journal's records: what the
// terminal shows. It is not safe for concurrent use.
type board struct {
	opened   time.Time
	agent    string
	suite    string
	parallel int
	rows     []row
	at       map[sampleKey]int
	finished string
}

type sampleKey struct {
	task  proofhouse.TaskID
	epoch int
}

// row is one sample.
type row struct {
	key         sampleKey
	limit       time.Duration
	state       bench.SampleStatus
	attempts    int
	began       time.Time
	took        time.Duration
	submissions int
	outcome     string // of the last verdict
	solved      bool
	note        string // why it ended, or what the agent said last
}

// apply takes a record in and gives the line that a log of the run would have
// for it, or "".
func (b *board) apply(r bench.Record) string {
	if o := r.Open; o != nil {
		return b.open(r.At, o)
	}
	if r.Finish != nil {
		b.finished = r.Finish.Status
		return fmt.Sprintf("run %s: %s", r.Finish.Status, b.tally())
	}
	if r.Resumed != nil {
		return "run taken up again"
	}
	if r.Sample == nil {
		return ""
	}
	i, ok := b.at[sampleKey{r.Sample.Task, r.Sample.Epoch}]
	if !ok {
		return ""
	}
	if what := b.rows[i].apply(r); what != "" {
		return fmt.Sprintf("%-34s %s", b.rows[i].name(), what)
	}
	return ""
}

func (b *board) open(at time.Time, o *bench.Opening) string {
	b.opened, b.agent, b.suite, b.parallel = at, o.Agent, o.Suite.Name, max(o.Config.Parallel, 1)
	b.at = map[sampleKey]int{}
	b.rows = nil
	for epoch := 1; epoch <= max(o.Config.Epochs, 1); epoch++ {
		for _, t := range o.Tasks {
			key := sampleKey{t.Task, epoch}
			b.at[key] = len(b.rows)
			b.rows = append(b.rows, row{key: key, limit: t.Limit, state: bench.Waiting})
		}
	}
	return fmt.Sprintf("run %s: suite %s, agent %s, %d samples, %d side by side, %s isolation by %s",
		o.Run, o.Suite.Name, o.Agent, len(b.rows), b.parallel, o.Isolation, o.Provider)
}

func (r *row) apply(rec bench.Record) string {
	switch {
	case rec.Start != nil:
		r.state, r.began, r.attempts = bench.Starting, rec.At, rec.Sample.Attempt
		return "box starting"
	case rec.Probe != nil:
		r.state = bench.Running
		return "contained; agent started"
	case rec.Accepted != nil:
		r.submissions = max(r.submissions, rec.Accepted.Number)
	case rec.Verdict != nil:
		r.outcome = string(rec.Verdict.Verdict.Outcome)
		r.solved = rec.Verdict.Verdict.Outcome.Counts()
		return fmt.Sprintf("submission %d: %s", rec.Verdict.Number, r.outcome)
	case rec.Event != nil && rec.Event.Kind == "progress":
		r.note = rec.Event.Text
	case rec.End != nil:
		r.state, r.took = rec.End.Status, rec.End.Took
		r.note = rec.End.Error
		return r.verdict() + " after " + short(r.took)
	}
	return ""
}

func (r row) name() string {
	_, name, ok := strings.Cut(string(r.key.task), "/")
	if !ok {
		name = string(r.key.task)
	}
	if r.key.epoch > 1 {
		name = fmt.Sprintf("%s #%d", name, r.key.epoch)
	}
	return name
}

// verdict is a sample's state in a few words.
func (r row) verdict() string {
	switch r.state {
	case bench.Scored:
		switch {
		case r.solved:
			return "solved"
		case r.outcome == "":
			return "not solved"
		default:
			return "not solved (" + r.outcome + ")"
		}
	case bench.Errored:
		return "infrastructure error: " + r.note
	default:
		return string(r.state)
	}
}

func (r row) done() bool {
	return r.state == bench.Scored || r.state == bench.Errored || r.state == bench.Cancelled
}

func (b *board) tally() string {
	var done, solved, errors int
	for _, r := range b.rows {
		if r.done() {
			done++
		}
		if r.state == bench.Scored && r.solved {
			solved++
		}
		if r.state == bench.Errored {
			errors++
		}
	}
	return fmt.Sprintf("%d of %d samples done, %d solved, %d infrastructure errors", done, len(b.rows), solved, errors)
}

// left is the time that the run may still take if every sample uses its limit.
func (b *board) left(now time.Time) time.Duration {
	var sum, longest time.Duration
	for _, r := range b.rows {
		rest := r.limit
		switch {
		case r.done():
			continue
		case !r.began.IsZero():
			rest = max(0, r.limit-now.Sub(r.began))
		}
		sum += rest
		longest = max(longest, rest)
	}
	return max(longest, sum/time.Duration(max(b.parallel, 1)))
}

// draw renders the board for a terminal of the given size in cells. Samples
// that run come first, then those that wait, then those that are done, as far
// as the height allows.
func (b *board) draw(now time.Time, width, height int) string {
	var out strings.Builder
	line := func(s string) {
		if runes := []rune(s); len(runes) > width-1 {
			s = string(runes[:max(width-2, 0)]) + "…"
		}
		out.WriteString(s)
		out.WriteString("\x1b[K\n")
	}
	line(fmt.Sprintf("%s · %s · %s", b.suite, b.agent, short(now.Sub(b.opened))))
	shown := 0
	for _, group := range [][]bench.SampleStatus{{bench.Starting, bench.Running}, {bench.Scored, bench.Errored, bench.Cancelled}, {bench.Waiting}} {
		for _, r := range b.rows {
			if shown < height-4 && slices.Contains(group, r.state) {
				line(r.text(now))
				shown++
			}
		}
	}
	if shown < len(b.rows) {
		line(fmt.Sprintf("  and %d more", len(b.rows)-shown))
	}
	line(b.bar(width) + " " + b.tally() + ", at most " + short(b.left(now)) + " left")
	return out.String()
}

func (r row) text(now time.Time) string {
	mark, when := " ", ""
	switch {
	case r.state == bench.Scored && r.solved:
		mark, when = "✓", short(r.took)
	case r.state == bench.Scored:
		mark, when = "·", short(r.took)
	case r.state == bench.Errored:
		mark = "!"
	case r.state == bench.Running || r.state == bench.Starting:
		mark, when = "▶", short(max(0, r.limit-now.Sub(r.began)))+" left"
	}
	tries := ""
	if r.attempts > 1 {
		tries = fmt.Sprintf("attempt %d  ", r.attempts)
	}
	if r.submissions > 0 {
		tries += fmt.Sprintf("%d submitted  ", r.submissions)
	}
	state := r.verdict()
	if r.state == bench.Running && r.note != "" {
		state = r.note
	}
	return fmt.Sprintf("%s %-30s %-10s %s%s", mark, r.name(), when, tries, state)
}

func (b *board) bar(width int) string {
	const eighths = " ▏▎▍▌▋▊▉█"
	cells := min(20, max(width/6, 4))
	done := 0
	for _, r := range b.rows {
		if r.done() {
			done++
		}
	}
	filled := 0
	if len(b.rows) > 0 {
		filled = done * cells * 8 / len(b.rows)
	}
	bar := strings.Repeat("█", filled/8)
	if filled < cells*8 {
		bar += string([]rune(eighths)[filled%8]) + strings.Repeat(" ", cells-filled/8-1)
	}
	return "[" + bar + "]"
}

// short prints a duration for people: 12.3 s, 4m05s, 1h02m.
func short(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}
