package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/gate"
)

func (c *console) gateSuspend() *cobra.Command {
	var s gate.Suspension
	var class string
	cmd := &cobra.Command{
		Use:   "suspend",
		Short: "take a kind of request away for a time, at once; without flags, list what is suspended",
		Long: "Suspends a tool, a protocol, a class of request, or all calls of a subject, a grant or a case, or what several of these\n" +
			"together match. Calls under way that match are cut. Unlike a revocation it can be ended: gate resume.",
		Args: cobra.NoArgs,
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			s.Class = gate.Class(class)
			if s == (gate.Suspension{}) {
				all, err := house.Suspensions(ctx)
				if err != nil {
					return err
				}
				return c.emit(all, func(w io.Writer) { suspensions(w, all) })
			}
			done, err := house.Suspend(ctx, s)
			if err != nil {
				return err
			}
			return c.emit(done, func(w io.Writer) {
				fmt.Fprintf(w, "%s is in force, %d calls under way were cut, within %s\nresume    proofhouse gate resume %s\n", done.ID, done.Calls, done.Took.Round(time.Microsecond), done.ID)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&s.Tool, "tool", "", "requests that offer this tool (by name, or by type where it has none)")
	f.StringVar(&s.Protocol, "protocol", "", "requests of this protocol, such as openai-chat")
	f.StringVar(&class, "class", "", "requests of this class: streams, tools, by-reference or many-answers")
	f.StringVar(&s.Subject, "subject", "", "requests of this subject")
	f.StringVar(&s.Grant, "grant", "", "requests on this grant")
	f.StringVar(&s.Case, "case", "", "requests on the grants of this case")
	f.StringVar(&s.Reason, "reason", "", "why: it is told to callers and in the record")
	return cmd
}

func suspensions(w io.Writer, all []gate.Suspension) {
	if len(all) == 0 {
		fmt.Fprintln(w, "nothing is suspended")
		return
	}
	rows := [][]any{{"SUSPENSION", "TOOL", "PROTOCOL", "CLASS", "SUBJECT", "GRANT", "CASE", "REASON"}}
	for _, s := range all {
		rows = append(rows, []any{s.ID, s.Tool, s.Protocol, string(s.Class), s.Subject, s.Grant, s.Case, s.Reason})
	}
	table(w, rows...)
}

func (c *console) gateResume() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "resume SUSPENSION",
		Short: "end a suspension",
		Args:  cobra.ExactArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			done, err := house.Resume(ctx, args[0], reason)
			if err != nil {
				return err
			}
			return c.emit(done, func(w io.Writer) { fmt.Fprintf(w, "%s is over\n", done.ID) })
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return cmd
}
