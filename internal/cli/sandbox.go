package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

func (c *console) sandbox() *cobra.Command {
	cmd := &cobra.Command{Use: "sandbox", Short: "what this machine can hold, and the proof of it"}
	cmd.AddCommand(c.sandboxDoctor(), c.sandboxProve())
	return cmd
}

func (c *console) sandboxDoctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "what this machine can hold and why: exit code 5 if it cannot hold a box",
		Args:  cobra.NoArgs,
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			d, err := house.Diagnose(ctx)
			if err != nil {
				return err
			}
			if err := c.emit(d, func(w io.Writer) { fmt.Fprintln(w, strings.Join(d.Lines(), "\n")) }); err != nil {
				return err
			}
			if !d.Healthy() {
				return proofhouse.Errorf(proofhouse.Unavailable, nil, "this machine cannot hold a box: the lines marked MISSING say what it needs")
			}
			return nil
		}),
	}
}

func (c *console) sandboxProve() *cobra.Command {
	var leak string
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "start a box and show what it sees and reaches; --leak shows that a leaky box is refused",
		Args:  cobra.NoArgs,
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			report, err := house.ProveBox(ctx, leak, func(s string) { c.say("%s", s) })
			if report.Kernel != "" {
				if e := c.emit(report, func(w io.Writer) { printProbe(w, report) }); e != nil {
					return e
				}
			}
			return err
		}),
	}
	cmd.Flags().StringVar(&leak, "leak", "", "open a hole for the probe to find, in a network namespace of its own: "+app.LeakHostNetwork)
	return cmd
}

// printProbe says what a process in a box saw.
func printProbe(w io.Writer, r sandbox.ProbeReport) {
	list := func(name string, lines []string) {
		if len(lines) == 0 {
			lines = []string{"none"}
		}
		fmt.Fprintf(w, "%-12s %s\n", name, strings.Join(lines, ", "))
	}
	list("kernel", []string{r.Kernel})
	list("interfaces", r.Interfaces)
	list("routes", r.Routes)
	list("resolvers", r.Resolvers)
	list("sockets", r.Sockets)
	for _, canary := range r.Canaries {
		what := "not reached (" + canary.Error + ")"
		if canary.Reached {
			what = "REACHED"
		}
		fmt.Fprintf(w, "%-12s %s: %s\n", "canary", canary.Name, what)
	}
}
