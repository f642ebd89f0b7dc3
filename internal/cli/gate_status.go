package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/app"
	"proofhouse/internal/docket"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

func (c *console) gateStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "how the running gate's upstreams answer, and what safeguards and policies decided",
		Args:  cobra.NoArgs,
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			s, err := house.GateStatus(ctx)
			if err != nil {
				return err
			}
			return c.emit(s, func(w io.Writer) {
				fmt.Fprintf(w, "since %s\n", instant(s.Since))
				rows := [][]any{{"UPSTREAM", "OPEN", "ANSWERED", "REFUSED", "LIMITED", "FAILED", "SILENT", "LAST", "TROUBLE"}}
				for _, u := range s.Upstreams {
					rows = append(rows, []any{u.Upstream, u.Open, u.Answered, u.Refused, u.Limited, u.Failed, u.Silent, instant(u.Last), instant(u.Trouble)})
				}
				table(w, rows...)
				rules := make([]wire.GateRule, len(s.Rules))
				for i, r := range s.Rules {
					rules[i] = wire.GateRule{
						Guard: r.Guard, Stage: string(r.Stage), Mode: string(r.Mode), Policy: r.Policy, Passed: r.Counts[gate.Passed], Cut: r.Counts[gate.Stopped],
						Noted: r.Counts[gate.Noted], FailedOpen: r.Counts[gate.FailedOpen], FailedClosed: r.Counts[gate.FailedClosed], Denied: r.Counts[gate.Refusing],
					}
				}
				gateRules(w, rules)
				for _, d := range s.Decisions {
					fmt.Fprintf(w, "%s %s of %s %s%s: %s %s\n", instant(d.Time), d.Call, d.Grant, d.Guard, d.Policy, d.Action, d.Reason)
				}
			})
		}),
	}
}

// instant is a time to the second, or a dash.
func instant(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func gateRules(w io.Writer, all []wire.GateRule) {
	if len(all) == 0 {
		return
	}
	rows := [][]any{{"RULE", "STAGE", "MODE", "PASSED", "CUT", "NOTED", "FAILED OPEN", "FAILED CLOSED", "DENIED"}}
	for _, r := range all {
		rows = append(rows, []any{r.Guard + r.Policy, r.Stage, r.Mode, r.Passed, r.Cut, r.Noted, r.FailedOpen, r.FailedClosed, r.Denied})
	}
	table(w, rows...)
}

func (c *console) adminGate() *cobra.Command {
	var s wire.NewSuspension
	var ofCase, grant, reason string
	return group(
		"gate", "the gate of the house's data folder, over the API",
		c.remoteCommand("show", "how the gate does, what is suspended, and what its rules decided", 0, nil, func(ctx context.Context, client wire.Client, _ []string) error {
			g, err := client.Gate(ctx)
			if err != nil {
				return err
			}
			return c.emit(g, func(w io.Writer) { gateOf(w, g) })
		}),
		c.remoteCommand("suspend", "take a kind of request away for a time, at once, as a security officer of the house", 0, func(f *pflag.FlagSet) {
			f.StringVar(&s.Tool, "tool", "", "requests that offer this tool (by name, or by type where it has none)")
			f.StringVar(&s.Protocol, "protocol", "", "requests of this protocol, such as openai-chat")
			f.StringVar(&s.Class, "class", "", "requests of this class: streams, tools, by-reference or many-answers")
			f.StringVar(&ofCase, "case", "", "requests on the grants of this case")
			f.StringVar(&grant, "grant", "", "requests on this grant of the case")
			f.StringVar(&s.Reason, "reason", "", "why: it is told to callers and in the record")
		}, func(ctx context.Context, client wire.Client, _ []string) error {
			s.Case, s.Grant = proofhouse.CaseID(ofCase), docket.GrantID(grant)
			done, err := client.Suspend(ctx, s)
			if err != nil {
				return err
			}
			return c.emit(done, func(w io.Writer) {
				fmt.Fprintf(w, "%s is in force, %d calls under way were cut, within %s\nresume    proofhouse admin gate resume %s\n", done.ID, done.Cut, time.Duration(done.Took)*time.Microsecond, done.ID)
			})
		}),
		c.remoteCommand("resume SUSPENSION", "end a suspension, as a security officer of the house", 1, func(f *pflag.FlagSet) {
			f.StringVar(&reason, "reason", "", "why, for the record")
		}, func(ctx context.Context, client wire.Client, args []string) error {
			return c.done(client.Resume(ctx, args[0], reason), "%s is over", args[0])
		}),
	)
}

func gateOf(w io.Writer, g wire.Gate) {
	if !g.Running {
		fmt.Fprintln(w, "no gate runs on the house's data folder")
		return
	}
	fmt.Fprintf(w, "since %s\n", instant(g.Since))
	rows := [][]any{{"UPSTREAM", "STATE", "OPEN", "ANSWERED", "REFUSED", "LIMITED", "FAILED", "SILENT", "LAST", "TROUBLE"}}
	for _, u := range g.Upstreams {
		rows = append(rows, []any{u.Number, u.State, u.Open, u.Answered, u.Refused, u.Limited, u.Failed, u.Silent, instant(u.Last), instant(u.Trouble)})
	}
	table(w, rows...)
	rows = [][]any{{"CASE", "GRANT", "CODENAME", "KEYS", "OPEN", "UNTIL"}}
	for _, l := range g.Grants {
		rows = append(rows, []any{l.Case, l.Grant, l.Codename, l.Keys, l.Open, instant(l.Until)})
	}
	table(w, rows...)
	fmt.Fprintf(w, "%d keys besides, of what you may not see\n", g.Others)
	rows = [][]any{{"SUSPENSION", "TOOL", "PROTOCOL", "CLASS", "CASE", "GRANT", "SINCE", "BY", "REASON"}}
	for _, s := range g.Suspensions {
		rows = append(rows, []any{s.ID, s.Tool, s.Protocol, s.Class, s.Case, s.Grant, instant(s.Since), s.By, s.Reason})
	}
	table(w, rows...)
	gateRules(w, g.Rules)
	for _, d := range g.Decisions {
		fmt.Fprintf(w, "%s %s %s %s%s: %s %s\n", instant(d.At), d.Case, d.Grant, d.Guard, d.Policy, d.Action, d.Reason)
	}
}

func (c *console) adminHouse() *cobra.Command {
	return c.remoteCommand("house", "how the house does: its public log, backups and prices", 0, nil, func(ctx context.Context, client wire.Client, _ []string) error {
		h, err := client.House(ctx)
		if err != nil {
			return err
		}
		return c.emit(h, func(w io.Writer) {
			fmt.Fprintf(w, "version %s, %s\n%d entries in the public log, %d wait; newest checkpoint %s\n", h.Version, h.Database, h.Log.Leaves, h.Log.Waiting, instant(h.Log.Published))
			rows := [][]any{{"BACKUP", "FOLDER", "LEAVES", "ROWS", "BODIES", "DATABASE"}}
			for _, b := range h.Backups {
				rows = append(rows, []any{instant(b.Made), b.Folder, b.Leaves, b.Rows, b.Bodies, b.Database})
			}
			if len(h.Backups) > 0 {
				table(w, rows...)
			} else {
				fmt.Fprintln(w, "no backup is noted: make one with `proofhouse backup FOLDER`")
			}
			if !h.Gate {
				fmt.Fprintln(w, "no gate runs on the data folder, so nothing is priced")
				return
			}
			rows = [][]any{{"PRICES", "KEYS", "FIRST", "LAST"}}
			for _, t := range h.Prices.Tables {
				rows = append(rows, []any{t.Version, t.Keys, instant(t.First), instant(t.Last)})
			}
			table(w, rows...)
			fmt.Fprintf(w, "%d keys without a price\n", h.Prices.Unpriced)
		})
	})
}
