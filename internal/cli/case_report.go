package cli

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

func (c *console) caseReport() *cobra.Command {
	return group(
		"report", "the report of a case, in tiers: each reader sees its own",
		c.act("file CASE FILE", "file a version of the report, as the evaluator or registrar", "FILE is Markdown: a title, and before each paragraph a line that says its marking and for whom it is:\n\n"+
			"  # Heron: what was measured\n\n  [TLP:RED authority]\n  The threshold lies near what was measured.\n\n"+
			"  [TLP:CLEAR authority, developer, partner, public]\n  The model was reviewed under criteria that were registered first.\n\n"+
			"A paragraph ends at an empty line. Versions are added and never changed.", 1, nil,
			func(args []string) (docket.Act, error) {
				text, err := os.ReadFile(args[0])
				if err != nil {
					return nil, proofhouse.Errorf(proofhouse.NotFound, err, "the report cannot be read")
				}
				a := docket.FileReport{}
				if a.Report, err = docket.ParseReport(text); err != nil {
					return nil, err
				}
				for _, t := range docket.Tiers {
					c.say("the %s tier reads %d of %d paragraphs", t, len(a.Report.For(t).Paragraphs), len(a.Report.Paragraphs))
				}
				_, err = rand.Read(a.Salt[:])
				return a, err
			}),
		c.act("publish CASE VERSION", "make the public tier of a version public, as the registrar", "From then on anybody can read it without an account, and it cannot be taken back.", 1, nil,
			func(args []string) (docket.Act, error) {
				v, err := number("the version of the report", args[0])
				return docket.PublishReport{Version: v}, err
			}),
		c.caseReportShow(),
	)
}

func (c *console) caseReportShow() *cobra.Command {
	r := remote{console: c}
	var tier string
	var version int
	var published bool
	cmd := &cobra.Command{
		Use: "show CASE", Short: "the report as the readers of your tier read it", Args: cobra.ExactArgs(1),
		Long: "Shows the paragraphs of one tier: the narrowest that you may read, or the one that --tier names. What is shown is held to the commitment\n" +
			"to all tiers, which a determination can name. With --published, shows what was published, and needs no token.",
		RunE: func(cmd *cobra.Command, args []string) error {
			id := proofhouse.CaseID(args[0])
			get := func(client wire.Client) (wire.CaseReport, error) {
				return client.Report(cmd.Context(), id, docket.Tier(tier), version)
			}
			client := wire.Client{URL: r.address()}
			if published {
				get = func(client wire.Client) (wire.CaseReport, error) {
					return client.PublicReport(cmd.Context(), id, version)
				}
			} else {
				var err error
				if client, err = r.client(); err != nil {
					return err
				}
			}
			k, err := get(client)
			if err != nil {
				return err
			}
			return c.emit(k, func(w io.Writer) {
				fmt.Fprintf(w, "%s, version %d of %s, for the %s tier, commitment %s\n\n", k.Case, k.Version, day(k.At), k.Tier, k.Commitment)
				fmt.Fprintf(w, "# %s\n", k.Report.Title)
				for _, p := range k.Report.Paragraphs {
					fmt.Fprintf(w, "\n[%s]\n%s\n", p.Marking, p.Text)
				}
			})
		},
	}
	r.flags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&tier, "tier", "", "authority, developer, partner or public")
	f.IntVar(&version, "version", 0, "version of the report, the last unless you say which")
	f.BoolVar(&published, "published", false, "what was published, for which you need no token")
	cmd.MarkFlagsMutuallyExclusive("tier", "published")
	return cmd
}
