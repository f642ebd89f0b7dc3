package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"proofhouse/internal/app"
	"proofhouse/internal/bench"
	"proofhouse/internal/proofhouse"
)

func (c *console) run() *cobra.Command {
	var req app.RunRequest
	var serve string
	var readModel func() error
	review := caseRun{remote: remote{console: c}}
	cmd := &cobra.Command{
		Use:   "run --suite SUITE --agent AGENT",
		Short: "measure an agent on a suite and write its report",
		Long: "Runs each task of a suite with an agent in sealed boxes, under live progress. The output folder gets the journal,\n" +
			"results.json, report.html and an Inspect log. Ctrl-C stops everything and keeps what was measured; --resume goes on.",
		Args: cobra.NoArgs,
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			if req.Suite == "" || req.Agent == "" {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "name what to run: --suite SUITE --agent noop, baseline, ladder, react or external")
			}
			if err := readModel(); err != nil {
				return err
			}
			if serve != "auto" && serve != "always" && serve != "never" {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "--serve is auto, always or never, not %q", serve)
			}
			if req.Out == "" {
				req.Out = filepath.Join("out", req.Agent+"-"+time.Now().UTC().Format("20060102-150405"))
			}
			if !c.json {
				req.Watch = c.watch
			}
			if err := review.of(&req); err != nil {
				return err
			}
			result, err := house.Run(ctx, req, func(s string) { c.say("%s", s) })
			if err != nil {
				return err
			}
			if err := c.emit(result, func(w io.Writer) { printResult(w, result, req.Out) }); err != nil {
				return err
			}
			if result.Status == "cancelled" {
				return proofhouse.Errorf(proofhouse.Internal, context.Canceled, "interrupted; what was measured is kept: --resume --out %s goes on", req.Out)
			}
			if serve == "always" || serve == "auto" && isTerminal(c.out) && term.IsTerminal(int(os.Stdin.Fd())) {
				return c.serveReport(ctx, house, req.Out, "127.0.0.1:0")
			}
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringVar(&req.Suite, "suite", "", "suite: a name of `suite list`, or a folder")
	f.StringVar(&req.Agent, "agent", "", "agent: noop, baseline, ladder; with --model react, or external with --command")
	f.StringVar(&req.Command, "command", "", "line of the shell that starts your agent in the box (agent external); see docs/cli.md for its variables")
	f.StringVar(&req.AgentDir, "agent-dir", "", "folder with your agent's files: they lie under /agent in the box")
	f.StringArrayVar(&req.Tasks, "task", nil, "only this task; may be repeated")
	f.BoolVar(&req.Quick, "quick", false, "only the suite's quick tasks")
	f.BoolVar(&req.Build, "build", false, "build first what is not built yet")
	f.IntVar(&req.Epochs, "epochs", 1, "samples of each task")
	f.DurationVar(&req.Time, "time", 0, "time limit of a sample, box set-up included (default: each task's own)")
	f.DurationVar(&req.RunTime, "run-time", 0, "time limit of the whole run, over all the times that it is taken up; 0 sets none")
	f.IntVar(&req.Level, "level", -1, "hint level 0 to 3 (-1: each task's own)")
	f.IntVar(&req.Parallel, "parallel", 0, "samples side by side (default: the number of processors)")
	f.Int64Var(&req.Seed, "seed", 0, "seed of everything random that an agent does")
	f.StringVar(&req.Out, "out", "", "output folder (default out/AGENT-TIME)")
	f.BoolVar(&req.Resume, "resume", false, "take up the run in the output folder again")
	f.BoolVar(&req.Replace, "replace", false, "delete an earlier run in the output folder first")
	f.StringVar(&serve, "serve", "never", "serve the report afterwards: auto (on a terminal), always or never")
	review.flags(f)
	readModel = modelFlags(cmd, &req.Model)
	return cmd
}

// caseRun is which case a run is for.
type caseRun struct {
	remote
	id, variant, file string
	version           int
	exploratory       bool
}

func (r *caseRun) flags(f *pflag.FlagSet) {
	r.remote.flags(f)
	f.StringVar(&r.id, "case", "", "`CASE` that the run is for, as an evaluator or a tester in it")
	f.StringVar(&r.variant, "case-variant", "", "which of the case's variants the model is")
	f.StringVar(&r.file, "criteria", "", "the registrar's `FILE`, which opens the commitment to the suite")
	f.IntVar(&r.version, "criteria-version", 1, "version of the criteria that the run follows; 0 is none")
	f.BoolVar(&r.exploratory, "exploratory", false, "run also if it will not count")
}

// of makes it the request's, if there is a case.
func (r *caseRun) of(req *app.RunRequest) error {
	if r.id == "" {
		return nil
	}
	client, err := r.client()
	if err != nil {
		return err
	}
	req.Review = &app.Review{
		Client: client, Case: proofhouse.CaseID(r.id), Registration: r.version, Variant: r.variant, Criteria: r.file,
		Exploratory: r.exploratory, Say: func(s string) { r.console.say("%s", s) },
	}
	return nil
}

// redraw is how often the live board is drawn; heartbeat how often a log
// without a terminal says that the run is alive.
const (
	redraw    = 200 * time.Millisecond
	heartbeat = 30 * time.Second
)

// watch shows a run as it goes, until it is finished or ctx ends: a board on a
// terminal, else a line for each thing that happens.
func (c *console) watch(ctx context.Context, folder string) {
	records := make(chan bench.Record)
	go func() {
		defer close(records)
		for rec, err := range bench.Watch(ctx, folder, 0) {
			if err != nil {
				return // Run itself says what is wrong with its journal
			}
			select {
			case records <- rec:
			case <-ctx.Done():
				return
			}
		}
	}()
	if isTerminal(c.err) {
		c.drawBoard(records)
		return
	}
	var b board
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case rec, ok := <-records:
			if !ok {
				return
			}
			if line := b.apply(rec); line != "" {
				fmt.Fprintln(c.err, line)
			}
		case now := <-beat.C:
			fmt.Fprintf(c.err, "%s, at most %s left\n", b.tally(), short(b.left(now)))
		}
	}
}

// drawBoard keeps the board at the bottom of the terminal up to date.
func (c *console) drawBoard(records <-chan bench.Record) {
	var b board
	lines := 0
	draw := func(now time.Time) {
		width, height, err := term.GetSize(int(c.err.(*os.File).Fd()))
		if err != nil {
			width, height = 80, 24
		}
		text := b.draw(now, width, height)
		if lines > 0 {
			fmt.Fprintf(c.err, "\x1b[%dA", lines)
		}
		fmt.Fprint(c.err, text, "\x1b[J")
		lines = strings.Count(text, "\n")
	}
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case rec, ok := <-records:
			if !ok {
				draw(time.Now())
				return
			}
			b.apply(rec)
		case now := <-tick.C:
			if len(b.rows) > 0 {
				draw(now)
			}
		}
	}
}

// printResult says in a few lines what a run measured.
func printResult(w io.Writer, r bench.Result, out string) {
	s := r.Summary
	fmt.Fprintf(w, "\n%s on %s: %d of %d samples solved (%.0f %%, 95 %% interval %.0f to %.0f %%)\n",
		r.Agent, r.Suite.Name, s.Solved, s.Scored, 100*s.Rate, 100*s.Clustered.Low, 100*s.Clustered.High)
	fmt.Fprintf(w, "%d infrastructure errors, %d cancelled, %d attempts in all\n", s.Errors, s.Cancelled, s.Attempts)
	if m := s.Model; m != nil {
		fmt.Fprintf(w, "%d turns of the model, %d tokens in and %d out, %.4f dollars, %d failures of its provider\n",
			m.Turns, m.Usage.In(), m.Usage.Output, float64(m.NanoDollars)/1e9, m.Failures)
	}
	if s.Survivors > 0 {
		fmt.Fprintf(w, "%d submissions broke the fixed build too: they lie in the quarantine, see SECURITY.md\n", s.Survivors)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	fmt.Fprintf(w, "report: %s\n", filepath.Join(out, "report.html"))
}
