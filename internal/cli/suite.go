package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/bench"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

func (c *console) suite() *cobra.Command {
	cmd := &cobra.Command{Use: "suite", Short: "list, build, check, make and move suites"}
	cmd.AddCommand(c.suiteList(), c.suiteBuild(), c.suiteCheck(), c.suiteExposed(), c.suiteNew(), c.suitePack(), c.suiteUnpack())
	return cmd
}

// table prints rows in columns.
func table(w io.Writer, rows ...[]any) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

func (c *console) suiteList() *cobra.Command {
	return &cobra.Command{
		Use:   "list [SUITE]",
		Short: "the suites that ship, or the tasks of one, and what is built here",
		Args:  cobra.MaximumNArgs(1),
		RunE: c.with(func(_ context.Context, house *app.App, args []string) error {
			names := args
			if len(names) == 0 {
				names = house.Suites()
			}
			var all []bench.SuiteSummary
			for _, name := range names {
				s, err := house.Suite(name)
				if err != nil {
					return err
				}
				all = append(all, s.Summary(house.IsBuilt))
			}
			return c.emit(all, func(w io.Writer) { printSuites(w, all, len(args) > 0) })
		}),
	}
}

func printSuites(w io.Writer, all []bench.SuiteSummary, tasks bool) {
	for _, s := range all {
		fmt.Fprintf(w, "%s: %s\n", s.Name, s.Title)
		fmt.Fprintf(w, "  %d tasks, %d quick, %d built here\n", s.Tasks, s.Quick, s.Built)
		for _, f := range s.Faults {
			fmt.Fprintf(w, "  fault: %s\n", f)
		}
		if !tasks {
			continue
		}
		rows := [][]any{{"TASK", "LANGUAGE", "CLASS", "CLUSTER", "MINUTES", "QUICK", "BUILT"}}
		for _, t := range s.Rows {
			rows = append(rows, []any{t.Name, t.Language, t.Class, t.Cluster, t.Human, mark(t.Quick), mark(t.Built)})
		}
		table(w, rows...)
	}
}

func (c *console) suiteExposed() *cobra.Command {
	return &cobra.Command{
		Use:   "exposed SUITE",
		Short: "the tasks that went to models, and to whose servers: whoever runs one can know them from then on",
		Args:  cobra.ExactArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			all, err := house.Exposures(ctx, args[0])
			if err != nil {
				return err
			}
			return c.emit(all, func(w io.Writer) {
				if len(all) == 0 {
					fmt.Fprintln(w, "no task of this suite went to a model from here")
					return
				}
				rows := [][]any{{"TASK", "UPSTREAM", "SINCE"}}
				for _, e := range all {
					rows = append(rows, []any{e.Task, e.Upstream, e.Since.UTC().Format(time.RFC3339)})
				}
				table(w, rows...)
			})
		}),
	}
}

func mark(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

func (c *console) suiteBuild() *cobra.Command {
	var only []string
	var again, quick bool
	cmd := &cobra.Command{
		Use:   "build SUITE",
		Short: "fetch by hash, build in boxes, prove the references; then the suite runs offline",
		Args:  cobra.ExactArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			built, err := house.BuildSuite(ctx, app.RunRequest{Suite: args[0], Tasks: only, Quick: quick}, again, func(s string) { c.say("%s", s) })
			if err != nil {
				return err
			}
			return c.emit(built, func(w io.Writer) {
				fmt.Fprintf(w, "suite %s: %d tasks built, digest %s\n", built.Name, built.Tasks, built.Digest)
			})
		}),
	}
	cmd.Flags().StringArrayVar(&only, "task", nil, "only this task; may be repeated")
	cmd.Flags().BoolVar(&quick, "quick", false, "only the quick tasks")
	cmd.Flags().BoolVar(&again, "again", false, "judge the reference of tasks that are built already again too")
	return cmd
}

func (c *console) suiteCheck() *cobra.Command {
	var only []string
	cmd := &cobra.Command{
		Use:   "check SUITE",
		Short: "admit each task: reference 5/5, no-op 0/5, cheats 0/5, pins, dates, licence, provenance",
		Args:  cobra.ExactArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			each := func(r bench.CheckRow) { c.say("%s", checkLine(r)) }
			rows, err := house.CheckSuite(ctx, app.RunRequest{Suite: args[0], Tasks: only}, each, func(s string) { c.say("%s", s) })
			if err != nil {
				return err
			}
			tasks, refused := map[proofhouse.TaskID]bool{}, map[proofhouse.TaskID]bool{}
			var failed []bench.CheckRow
			for _, r := range rows {
				tasks[r.Task] = true
				if !r.Passed {
					refused[r.Task] = true
					failed = append(failed, r)
				}
			}
			if err := c.emit(rows, func(w io.Writer) {
				fmt.Fprintf(w, "%d tasks checked, %d admitted\n", len(tasks), len(tasks)-len(refused))
				for _, r := range failed {
					fmt.Fprintln(w, checkLine(r))
				}
			}); err != nil {
				return err
			}
			if len(failed) > 0 {
				return proofhouse.Errorf(proofhouse.Failed, nil, "%d tasks are not admitted: the lines marked FAILED say why", len(refused))
			}
			return nil
		}),
	}
	cmd.Flags().StringArrayVar(&only, "task", nil, "only this task; may be repeated")
	return cmd
}

func checkLine(r bench.CheckRow) string {
	return fmt.Sprintf("%-34s %-24s want %-6s got %-6s %s %s", r.Task, r.What, r.Want, r.Got, passed(r.Passed), r.Note)
}

func passed(b bool) string {
	if b {
		return "ok"
	}
	return "FAILED"
}

func (c *console) suiteNew() *cobra.Command {
	var a bench.Advisory
	var language string
	cmd := &cobra.Command{
		Use:   "new SUITE-FOLDER --id ID --language L --package P --vulnerable V --fixed V",
		Short: "the folder of a new task for an advisory; `suite check` then says what is still missing",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			a.Language = target.Language(language)
			folder, err := bench.NewTask(args[0], a)
			if err != nil {
				return err
			}
			return c.emit(map[string]string{"folder": folder}, func(w io.Writer) {
				fmt.Fprintf(w, "made %s: fill in what is empty, then run proofhouse suite check ./%s\n", folder, args[0])
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.ID, "id", "", "advisory: CVE, GHSA, GO or DSA id")
	f.StringVar(&language, "language", "", "c, go or javascript")
	f.StringVar(&a.Package, "package", "", "Go module, npm package or Debian source package")
	f.StringVar(&a.Vulnerable, "vulnerable", "", "exact vulnerable version")
	f.StringVar(&a.Fixed, "fixed", "", "exact fixed version")
	f.StringVar(&a.Name, "name", "", "the task's folder (default: from the package)")
	return cmd
}

func (c *console) suiteUnpack() *cobra.Command {
	var into, digest string
	cmd := &cobra.Command{
		Use:   "unpack FILE",
		Short: "take in a packed suite: every byte is checked against its manifest",
		Args:  cobra.ExactArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			p, err := house.UnpackSuite(ctx, args[0], into, proofhouse.Digest(digest))
			if err != nil {
				return err
			}
			return c.emit(p, func(w io.Writer) {
				fmt.Fprintf(w, "suite %s with %d tasks: run it with --suite %s\n", p.Suite, p.Tasks, p.Folder)
			})
		}),
	}
	cmd.Flags().StringVar(&into, "into", ".", "folder to put the suite's folder in")
	cmd.Flags().StringVar(&digest, "digest", "", "the digest that `suite pack` printed, to take in that pack and no other")
	return cmd
}

func (c *console) suitePack() *cobra.Command {
	return &cobra.Command{
		Use:   "pack SUITE FILE",
		Short: "put a built suite into one verified file, for an offline machine",
		Args:  cobra.ExactArgs(2),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			p, err := house.PackSuite(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			return c.emit(p, func(w io.Writer) {
				fmt.Fprintf(w, "suite %s with %d tasks packed into %s\ndigest %s\n", p.Suite, p.Tasks, p.File, p.Digest)
			})
		}),
	}
}
