package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
)

func (c *console) finding() *cobra.Command {
	cmd := &cobra.Command{Use: "finding", Short: "what somebody says is a vulnerability: submit, reproduce, tell duplicates"}
	cmd.AddCommand(c.findingSubmit(), c.findingList(), c.findingShow(), c.findingWithdraw(), c.findingRetry(), c.findingReproduce(), c.findingSort())
	return cmd
}

// reproduced is what `finding reproduce --json` prints.
type reproduced struct {
	clearing.Reproduction
	Report    string          `json:"report,omitempty"`
	Statement json.RawMessage `json:"statement,omitempty"` // in-toto statement in its DSSE envelope
}

func (c *console) findingReproduce() *cobra.Command {
	var runs int
	var statement string
	cmd := &cobra.Command{
		Use:   "reproduce TARGET PROOF",
		Short: "try one input on a target's folder in fresh boxes: exit code 0 if it is confirmed, 9 if not",
		Long: "TARGET is a folder with target.toml, which says how one version of a project is built (docs/design/clearing.md). The input is run n of\n" +
			"n times, and so are the controls: the empty input, the folder's harmless ones, and a patch that does nothing.",
		Args: cobra.ExactArgs(2),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			proof, err := app.ReadInput(args[1])
			if err != nil {
				return err
			}
			bench, err := house.OpenBench(args[0])
			if err != nil {
				return err
			}
			r, envelope, err := bench.Reproduce(ctx, proof, runs)
			if err != nil {
				return err
			}
			if statement != "" && envelope != nil {
				if err := os.WriteFile(statement, append(envelope, '\n'), 0o644); err != nil {
					return proofhouse.Errorf(proofhouse.Unavailable, err, "the statement cannot be written to %s", statement)
				}
			}
			if err := c.emit(reproduced{r, r.Report, envelope}, func(w io.Writer) { printReproduction(w, r) }); err != nil {
				return err
			}
			switch r.Verdict {
			case clearing.Confirmed:
				return nil
			case clearing.Infrastructure:
				return proofhouse.Errorf(proofhouse.Unavailable, r.Cause, "this is an infrastructure error, not a verdict: %s", r.Reason)
			case clearing.NotReproduced, clearing.Inconclusive, clearing.OutOfThreatModel:
			}
			return proofhouse.Errorf(proofhouse.Failed, r.Cause, "it is not confirmed: %s", r.Reason)
		}),
	}
	cmd.Flags().IntVar(&runs, "runs", 3, "how often the input must break")
	cmd.Flags().StringVar(&statement, "statement", "", "file for the signed statement of what was seen")
	return cmd
}

func printReproduction(w io.Writer, r clearing.Reproduction) {
	fmt.Fprintf(w, "%s: %s\n", r.Verdict, r.Reason)
	if r.Signature != "" {
		fmt.Fprintf(w, "signature: %s\n", r.Signature)
	}
	for i, f := range r.Frames[:min(6, len(r.Frames))] {
		fmt.Fprintf(w, "  #%d %s\n", i, f)
	}
	rows := [][]any{{"CONTROL", "BROKE", "MUST"}}
	for _, x := range r.Controls {
		rows = append(rows, []any{x.Name, mark(x.Broke), mark(x.Want)})
	}
	if len(rows) > 1 {
		table(w, rows...)
	}
}

func (c *console) findingSort() *cobra.Command {
	var fixes, regressions []string
	cmd := &cobra.Command{
		Use:   "sort TARGET PROOF...",
		Short: "tell which of many inputs are of one bug, by the patches that stop them",
		Long: "Reproduces each input, holds each patch (--fix) to the first input that it stops, cuts what passes down to its least parts,\n" +
			"and runs all inputs on all of them. Inputs that one such part stops are of one bug. Without patches nothing is merged.",
		Args: cobra.MinimumNArgs(2),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			proofs, err := readProofs(args[1:])
			if err != nil {
				return err
			}
			var offers []clearing.Offer
			for i, name := range fixes {
				o := clearing.Offer{Name: name}
				if o.Candidate.Fix, err = app.ReadInput(name); err != nil {
					return err
				}
				if i < len(regressions) && regressions[i] != "" {
					if o.Candidate.Regression, err = app.ReadInput(regressions[i]); err != nil {
						return err
					}
				}
				offers = append(offers, o)
			}
			bench, err := house.OpenBench(args[0])
			if err != nil {
				return err
			}
			s, err := bench.Sort(ctx, proofs, offers)
			if err != nil {
				return err
			}
			return c.emit(s, func(w io.Writer) { printSorted(w, s, proofs, offers) })
		}),
	}
	cmd.Flags().StringArrayVar(&fixes, "fix", nil, "a patch, as a unified diff of the project's code; may be given again")
	cmd.Flags().StringArrayVar(&regressions, "regression", nil, "the diff that adds the test of the --fix in the same place")
	return cmd
}

func printSorted(w io.Writer, s clearing.Sorted, proofs []clearing.Named, offers []clearing.Offer) {
	rows := [][]any{{"INPUT", "VERDICT", "SIGNATURE"}}
	for _, p := range proofs {
		r := s.Reproductions[p.Name]
		rows = append(rows, []any{p.Name, r.Verdict, r.Signature})
	}
	table(w, rows...)
	if len(offers) > 0 {
		fmt.Fprintln(w)
		rows = [][]any{{"PATCH", "OUTCOME", "REASON"}}
		for _, o := range offers {
			check, ok := s.Checks[o.Name]
			if !ok {
				rows = append(rows, []any{o.Name, "-", "stops none of the inputs"})
				continue
			}
			rows = append(rows, []any{o.Name, check.Outcome, check.Reason})
		}
		table(w, rows...)
	}
	fmt.Fprintf(w, "\n%d bugs\n", len(s.Clusters))
	for _, cluster := range s.Clusters {
		fmt.Fprintf(w, "- %s", cluster.ID)
		for _, m := range cluster.Members[1:] {
			fmt.Fprintf(w, ", %s", m)
		}
		fmt.Fprintln(w)
	}
	for _, e := range s.Edges {
		if e.Relation == clearing.Possible {
			fmt.Fprintf(w, "perhaps the same, and nothing was run that tells: %s, %s\n", e.A, e.B)
		}
	}
}

// readProofs reads inputs, each under its file's name.
func readProofs(files []string) ([]clearing.Named, error) {
	var all []clearing.Named
	seen := map[string]bool{}
	for _, name := range files {
		b, err := app.ReadInput(name)
		if err != nil {
			return nil, err
		}
		short := filepath.Base(name)
		if seen[short] {
			short = name
		}
		if seen[short] {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "%s is given twice", name)
		}
		seen[short] = true
		all = append(all, clearing.Named{Name: short, Input: b})
	}
	return all, nil
}

func (c *console) patch() *cobra.Command {
	cmd := &cobra.Command{Use: "patch", Short: "hold patches to what they are to mend"}
	cmd.AddCommand(c.patchSubmit(), c.patchCheck())
	return cmd
}

func (c *console) patchCheck() *cobra.Command {
	var proofFiles, after []string
	var regression string
	cmd := &cobra.Command{
		Use:   "check TARGET FIX",
		Short: "hold a patch to proofs, their variations and the project's tests: exit code 0 if it is verified, 9 if not",
		Long: "FIX is a unified diff of the project's code. It must build, stop every --proof and variations of it, keep the project's tests and what harmless\n" +
			"inputs give, and its own test (--regression, a diff that only adds) must fail without it and pass with it.",
		Args: cobra.ExactArgs(2),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			if len(proofFiles) == 0 {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "a patch is held to a proof at least: give --proof FILE")
			}
			var candidate clearing.Candidate
			var err error
			if candidate.Fix, err = app.ReadInput(args[1]); err != nil {
				return err
			}
			if regression != "" {
				if candidate.Regression, err = app.ReadInput(regression); err != nil {
					return err
				}
			}
			for _, name := range after {
				b, err := app.ReadInput(name)
				if err != nil {
					return err
				}
				candidate.After = append(candidate.After, b)
			}
			proofs, err := readProofs(proofFiles)
			if err != nil {
				return err
			}
			bench, err := house.OpenBench(args[0])
			if err != nil {
				return err
			}
			check, err := bench.CheckPatch(ctx, candidate, proofs)
			if err != nil {
				return err
			}
			if err := c.emit(check, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s\n", check.Outcome, check.Reason)
				rows := [][]any{{"STEP", "RESULT", "DETAIL"}}
				for _, s := range check.Steps {
					rows = append(rows, []any{s.Name, s.Result, s.Detail})
				}
				table(w, rows...)
			}); err != nil {
				return err
			}
			if check.Outcome != clearing.Verified {
				return proofhouse.Errorf(proofhouse.Failed, nil, "the patch is %s: %s", check.Outcome, check.Reason)
			}
			return nil
		}),
	}
	cmd.Flags().StringArrayVar(&proofFiles, "proof", nil, "an input that breaks the target; may be given again")
	cmd.Flags().StringVar(&regression, "regression", "", "the diff that adds the patch's own test")
	cmd.Flags().StringArrayVar(&after, "after", nil, "a patch that this one is made on top of; may be given again")
	return cmd
}
