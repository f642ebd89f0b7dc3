// Package cli is the command line: it reads flags, calls app and prints what
// came back, as text for people or as JSON for programs. It decides nothing;
// exit codes come from the kind of the error (docs/cli.md has the table).
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"proofhouse/internal/app"
	"proofhouse/internal/proofhouse"
)

// exitInterrupted is the exit code after Ctrl-C or SIGTERM, as shells have it.
const exitInterrupted = 130

// Main runs the command line and gives the process exit code. The first
// interrupt ends the work in order, the second one at once.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt takes the default action: the end
	return Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// console is what every command gets: where to print and how.
type console struct {
	out, err io.Writer
	json     bool
	cfg      app.Config
}

// Run runs one command line and gives its exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &console{out: stdout, err: stderr}
	root := c.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	interrupted := ctx.Err() != nil || errors.Is(err, context.Canceled)
	if interrupted && proofhouse.KindOf(err) == proofhouse.Internal {
		err = proofhouse.Errorf(proofhouse.Internal, nil, "interrupted; what was measured is kept")
	}
	c.fail(err)
	if interrupted {
		return exitInterrupted
	}
	return proofhouse.ExitCode(err)
}

// fail prints an error: the whole chain for the operator at the terminal, and
// with --json its kind and public sentence.
func (c *console) fail(err error) {
	if c.json {
		_ = json.NewEncoder(c.err).Encode(map[string]any{"error": map[string]any{
			"kind": proofhouse.KindOf(err), "message": proofhouse.PublicOf(err), "exit": proofhouse.ExitCode(err),
		}})
		return
	}
	fmt.Fprintln(c.err, "proofhouse:", err)
}

// emit prints v as JSON, or calls text.
func (c *console) emit(v any, text func(w io.Writer)) error {
	if !c.json {
		text(c.out)
		return nil
	}
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// say prints a line of progress for people; with --json it goes nowhere.
func (c *console) say(format string, args ...any) {
	if !c.json {
		fmt.Fprintf(c.err, format+"\n", args...)
	}
}

// with is a command that works on this machine's house.
func (c *console) with(do func(ctx context.Context, house *app.App, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		house, err := app.Open(cmd.Context(), c.cfg)
		if err != nil {
			return err
		}
		defer house.Close()
		return do(cmd.Context(), house, args)
	}
}

// isTerminal says whether w is a terminal that can be drawn on.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// usage makes cobra's own complaints ours.
func usage(_ *cobra.Command, err error) error {
	return proofhouse.Errorf(proofhouse.Invalid, nil, "%s (see --help)", err)
}

func (c *console) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "proofhouse",
		Short:         "Measure what an agent can do to real software, in boxes that hold",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "there is no command %q: see proofhouse --help", args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(usage)
	root.CompletionOptions.HiddenDefaultCmd = true
	f := root.PersistentFlags()
	f.BoolVar(&c.json, "json", false, "print JSON for programs")
	f.StringVar(&c.cfg.Data, "data", "", "data folder (default $PROOFHOUSE_DATA, else the user's data folder)")
	f.StringVar(&c.cfg.Provider, "provider", "", "sandbox provider: gvisor, or bwrap, which is weak and marked so (default gvisor)")
	root.AddCommand(c.run(), c.campaign(), c.suite(), c.oracle(), c.finding(), c.cluster(), c.patch(), c.packet(), c.project(), c.desk(), c.sandbox(), c.roots(), c.report(), c.verify(), c.serve(), c.gate(), c.witness(), c.version(),
		c.cases(), c.terms(), c.access(), c.criteria(), c.consult(), c.determine(), c.adopt(), c.appeal(), c.partner(), c.bundle(), c.admin(), c.backup(), c.restore())
	for _, cmd := range root.Commands() {
		exactArgs(cmd)
	}
	return root
}

// exactArgs turns cobra's argument errors into ours, down the tree.
func exactArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "%s: use %s", err, cmd.UseLine())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		exactArgs(sub)
	}
}
