package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
)

func (c *console) campaign() *cobra.Command {
	var req app.CampaignRequest
	var readModel func() error
	cmd := &cobra.Command{
		Use:   "campaign --target PURL|DIR --agent AGENT",
		Short: "point an agent at software of your own, and file what it finds and a machine confirms",
		Long: "DIR is a folder with target.toml (docs/design/clearing.md), PURL names one that ships. The target is built with sanitizers in a box; an agent\n" +
			"looks for inputs that break it; each is examined in a conversation of its own, if a model takes part, and reproduced with controls. What is\n" +
			"confirmed is filed in the campaign's folder. Ctrl-C keeps all; the same command goes on where it stopped.",
		Args: cobra.NoArgs,
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			if err := readModel(); err != nil {
				return err
			}
			if !c.json {
				req.Run.Watch = c.watch
			}
			result, err := house.Campaign(ctx, req, func(s string) { c.say("%s", s) })
			if err != nil {
				if ctx.Err() != nil {
					c.say("what was found so far is kept: the same command goes on")
				}
				return err
			}
			if err := c.emit(result, func(w io.Writer) { printCampaign(w, result) }); err != nil {
				return err
			}
			if result.Status == "cancelled" {
				c.say("the campaign is whole in %s: the same command goes on", result.Folder)
				return proofhouse.Errorf(proofhouse.Internal, context.Canceled, "interrupted; the same command goes on")
			}
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringVar(&req.Target, "target", "", "a `FOLDER` with target.toml, or the purl of a recipe that ships")
	f.StringVar(&req.ThreatModel, "threat-model", "", "`FILE` with the project's declaration (default: the target's threat-model.toml; a first version is written where there is none)")
	f.StringVar(&req.Run.Agent, "agent", "", "agent: baseline; with --model react, or external with --command")
	f.StringVar(&req.Run.Command, "command", "", "line of the shell that starts your agent in the box (agent external)")
	f.StringVar(&req.Run.AgentDir, "agent-dir", "", "folder with your agent's files: they lie under /agent in the box")
	f.IntVar(&req.Run.Epochs, "epochs", 1, "trials")
	f.DurationVar(&req.Run.Time, "time", 0, "time limit of a trial, and of an examination")
	f.DurationVar(&req.Run.RunTime, "run-time", 0, "time limit of all trials and examinations, over all the times that the campaign is taken up; 0 sets none")
	f.IntVar(&req.Run.Parallel, "parallel", 0, "trials side by side (default: the number of processors)")
	f.Int64Var(&req.Run.Seed, "seed", 0, "seed of everything random that an agent does")
	f.StringVar(&req.Run.Out, "out", "", "the campaign's folder (default: one in the data folder that follows from the command)")
	readModel = modelFlags(cmd, &req.Run.Model)
	return cmd
}

func printCampaign(w io.Writer, r app.CampaignResult) {
	fmt.Fprintf(w, "\n%s on %s: %d trials, %d submissions (%s)\n", r.Agent, r.Purl, r.Trials, r.Submissions, r.Status)
	rows := [][]any{{"VERDICT", "COUNT", "LOOKS LIKE", "FILED"}}
	filed := ""
	for _, l := range r.Lines {
		what := "-"
		switch {
		case len(l.Findings) > 0:
			what, filed = l.Findings[0], l.Findings[0]
			if n := len(l.Findings); n > 1 {
				what += fmt.Sprintf(" and %d more", n-1)
			}
		case l.Doubt != "":
			what = "doubted: " + l.Doubt
		case l.Verdict != clearing.Confirmed:
			what = l.Reason
		}
		rows = append(rows, []any{l.Verdict, l.Count, shortLook(l.Look), what})
	}
	if len(rows) > 1 {
		table(w, rows...)
	} else {
		fmt.Fprintln(w, "nothing was submitted")
	}
	if s := r.Spent; s != nil {
		fmt.Fprintf(w, "%d turns of the model, %d tokens in and %d out, %.4f dollars\n", s.Turns, s.Usage.In(), s.Usage.Output, float64(s.NanoDollars)/1e9)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	fmt.Fprintf(w, "folder: %s\n", r.Folder)
	if filed != "" {
		fmt.Fprintf(w, "to bring one to a house: proofhouse finding submit %s %s --claim %s\n", filepath.Join(r.Folder, "target"), filepath.Join(r.Folder, filed, "proof"), filepath.Join(r.Folder, filed, "finding.json"))
	}
}

// shortLook leaves the paths of Go packages out.
func shortLook(look string) string {
	parts := strings.Split(look, " < ")
	for i, f := range parts {
		parts[i] = f[strings.LastIndexByte(f, '/')+1:]
	}
	return strings.Join(parts, " < ")
}
