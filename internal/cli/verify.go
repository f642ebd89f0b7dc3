package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
)

func (c *console) verify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [DIR|LOG]",
		Short: "check a run's journal against its gate's record, or the gate's record",
		Long: "With a run's output folder: checks its journal, the record of the gate that its model was asked through, and that both\n" +
			"tell of the same use; a difference is told, and a contradiction is exit code 9. Without: checks the record of this\n" +
			"house's gate from its first entry to its last, and with the file of such a record that one.",
		Args: cobra.MaximumNArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			v, err := house.Verify(ctx, strings.Join(args, ""))
			if v.Meters == nil && err != nil {
				return err
			}
			if out := c.emit(v, func(w io.Writer) { printVerified(w, v) }); out != nil {
				return out
			}
			return err
		}),
	}
}

func printVerified(w io.Writer, v app.Verified) {
	if v.Journal != nil {
		fmt.Fprintf(w, "%s: %d records in the journal, each tied to the one before\n", v.Run, v.Journal.Records)
	}
	switch {
	case v.Gate != nil:
		fmt.Fprintf(w, "%d entries, each chained to the one before; %d of them are covered by a signature\n", v.Gate.Records, v.Gate.Signed)
	case v.Journal != nil:
		fmt.Fprintln(w, "no record of a gate belongs to it here: it asked no model, or its folder or the data folder is another one than then")
	}
	if m := v.Meters; m != nil {
		rows := [][]any{{"METER", "ANSWERS", "INPUT", "OUTPUT", "DOLLARS"}}
		for _, r := range []struct {
			name string
			used app.Used
		}{{"journal", m.Journal}, {"gate", m.Recorded}, {"difference", m.Beyond}} {
			rows = append(rows, []any{r.name, r.used.Answers, r.used.Usage.In(), r.used.Usage.Output, fmt.Sprintf("%.9f", float64(r.used.NanoDollars)/1e9)})
		}
		table(w, rows...)
		if m.Unmetered > 0 {
			fmt.Fprintf(w, "%d calls more failed, were cut or left no usage: they were charged %d tokens in, %d out, %.9f dollars\n",
				m.Unmetered, m.Charged.Input, m.Charged.Output, float64(m.Charged.NanoDollars)/1e9)
		}
	}
}

func (c *console) gateVerify() *cobra.Command {
	cmd := c.verify()
	cmd.Use, cmd.Short, cmd.Long, cmd.Args = "verify", "check the gate's record from its first entry to its last: verify without a folder", "", cobra.NoArgs
	return cmd
}
