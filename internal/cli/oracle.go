package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/bench"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

func (c *console) oracle() *cobra.Command {
	cmd := &cobra.Command{Use: "oracle", Short: "judge single inputs and rerun recorded verdicts"}
	cmd.AddCommand(c.oracleCheck(), c.oracleAgain(), c.oracleKey())
	return cmd
}

func (c *console) oracleCheck() *cobra.Command {
	var keep string
	cmd := &cobra.Command{
		Use:   "check TASK FILE",
		Short: "judge one input against a task: exit code 0 if it counts, 9 if not",
		Long: "Runs the input against the vulnerable and the fixed build in fresh boxes and prints the verdict. With --artifacts,\n" +
			"the signed statement and the raw outputs are kept, and `oracle again` can rerun the verdict from them.",
		Args: cobra.ExactArgs(2),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			j, err := house.Judge(ctx, args[0], args[1], keep)
			if err != nil {
				return err
			}
			if err := c.printVerdict(args[0], j); err != nil {
				return err
			}
			switch {
			case j.Verdict.Outcome == oracle.InfraError:
				return proofhouse.Errorf(proofhouse.Unavailable, nil, "this is an infrastructure error, not a verdict: %s", j.Verdict.Reason)
			case !j.Verdict.Outcome.Counts():
				return proofhouse.Errorf(proofhouse.Failed, nil, "the input does not count: %s", j.Verdict.Outcome)
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&keep, "artifacts", "", "folder for the statement, the submission and the raw outputs")
	return cmd
}

// judged is what `oracle check --json` prints.
type judged struct {
	Task      string          `json:"task"`
	Verdict   oracle.Verdict  `json:"verdict"`
	Counts    bool            `json:"counts"`
	Signed    bool            `json:"signed"`
	Report    string          `json:"report,omitempty"`
	Statement json.RawMessage `json:"statement,omitempty"` // in-toto statement in its DSSE envelope
}

func (c *console) printVerdict(task string, j bench.Judgement) error {
	v := j.Verdict
	return c.emit(judged{task, v, v.Outcome.Counts(), j.Signed, j.Report, j.Statement}, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s\n%s\n", task, v.Outcome, v.Reason)
		if v.Signature != "" {
			fmt.Fprintf(w, "signature: %s\n", v.Signature)
		}
		rows := [][]any{{"BUILD", "RUN", "BROKE", "CLASS", "FUNCTION", "EXIT", "SIGNAL", "CPU", "PEAK MB"}}
		for _, o := range v.Observations {
			rows = append(rows, []any{o.Side, o.Run, mark(o.Broke), bench.Printable(o.Class, 60), bench.Printable(o.Function, 60), o.Exit, o.Signal, short(o.CPU), o.PeakMemory >> 20})
		}
		if len(rows) > 1 {
			table(w, rows...)
		}
		if j.Statement != nil {
			fmt.Fprintf(w, "statement: %s\n", map[bool]string{true: "signed by the local key", false: "unsigned (`oracle key` makes a key)"}[j.Signed])
		}
	})
}

func (c *console) oracleAgain() *cobra.Command {
	return &cobra.Command{
		Use:   "again FOLDER",
		Short: "rerun the verdict that `oracle check --artifacts FOLDER` kept: it must agree",
		Args:  cobra.ExactArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			v, err := house.Rejudge(ctx, filepath.Join(args[0], "statement.json"), args[0])
			if err != nil {
				return err
			}
			return c.emit(v, func(w io.Writer) { fmt.Fprintf(w, "the verdict agrees: %s\n", v.Outcome) })
		}),
	}
}

func (c *console) oracleKey() *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "make the local key that signs verdicts from now on",
		Args:  cobra.NoArgs,
		RunE: c.with(func(_ context.Context, house *app.App, _ []string) error {
			public, id, err := house.CreateKey()
			if err != nil {
				return err
			}
			return c.emit(map[string]string{"public": public, "id": id}, func(w io.Writer) {
				fmt.Fprintf(w, "verdicts are signed from now on by key %s\npublic key: %s\n", id, public)
			})
		}),
	}
}
