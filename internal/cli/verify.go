package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/proofhouse"
)

func (c *console) verify() *cobra.Command {
	var trust app.BundleTrust
	cmd := &cobra.Command{
		Use:   "verify [DIR|LOG|BUNDLE]",
		Short: "check a case's bundle, a run against its gate's record, or the gate's record",
		Long: "With a case's bundle: checks every byte of it offline, makes the case anew from its events and says what that proves and what not:\n" +
			"whether each determination FOLLOWS the registered rule or DEPARTS from it, whose signatures are there and which are by passkeys, who\n" +
			"witnessed the log, where the tokens went. What breaks the announced rules is named, and is exit code 9.\n" +
			"With a run's output folder: checks its journal, the record of the gate that its model was asked through, and that both\n" +
			"tell of the same use; a difference is told, and a contradiction is exit code 9. Without: checks the record of this\n" +
			"house's gate from its first entry to its last, and with the file of such a record that one.",
		Args: cobra.MaximumNArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			if len(args) == 1 && app.IsBundle(args[0]) {
				return c.verifyBundle(ctx, args[0], trust)
			}
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
	f := cmd.Flags()
	f.StringVar(&trust.LogKey, "log-key", "", "the log's verifier `KEY`, as you know it from elsewhere")
	f.StringArrayVar(&trust.Witnesses, "witness", nil, "verifier `KEY` of a witness that you trust; may be repeated")
	f.StringArrayVar(&trust.Receipts, "receipt", nil, "`FILE` of a receipt that the bundle must keep; may be repeated")
	f.StringArrayVar(&trust.Older, "older", nil, "`FILE` of a checkpoint that the log must go on from; may be repeated")
	f.StringVar(&trust.LogCopy, "log-copy", "", "`FOLDER` with a copy of the log, for proofs from older checkpoints that the bundle has not")
	f.StringArrayVar(&trust.Against, "against", nil, "`FILE` of another bundle of the same log, to find a fork between them; may be repeated")
	f.StringArrayVar(&trust.Disclosures, "task", nil, "`FILE` of a task that was disclosed; may be repeated")
	f.StringArrayVar(&trust.Pins, "signer", nil, "`ORGANISATION=KEYID` that you know; may be repeated")
	return cmd
}

// verifyBundle checks a bundle and prints what it proves.
func (c *console) verifyBundle(ctx context.Context, file string, trust app.BundleTrust) error {
	p, err := app.VerifyBundle(ctx, file, trust)
	if err != nil {
		return err
	}
	if err := c.emit(p, func(w io.Writer) { printBundle(w, p) }); err != nil {
		return err
	}
	if n := len(p.Case.Wrong); n > 0 {
		return proofhouse.Errorf(proofhouse.Failed, nil, "the bundle is whole, and %d of what it shows breaks the announced rules", n)
	}
	for _, a := range p.Against {
		if !a.One {
			return proofhouse.Errorf(proofhouse.Failed, nil, "nothing shows that the two bundles are of one log: that is no proof of a fork; name a copy of the log with --log-copy, or ask for a new bundle of the case whose log was the longer")
		}
	}
	return nil
}

func printBundle(w io.Writer, p app.BundleProof) {
	k := p.Case
	fmt.Fprintf(w, "%s: %d events, each in its place in the log %s (%d entries); %s\n", k.Case, k.Events, p.Log.Origin, p.Log.Size, p.Log.Witnessed())
	if !p.Log.Pinned {
		fmt.Fprintf(w, "the log's key is the bundle's own: %s\n", p.Log.LogKey)
	}
	if n := len(k.Withheld); n > 0 {
		fmt.Fprintf(w, "for a %s: %d of the %d events are withheld, and stand there by their commitment alone (%s)\n", k.For, n, k.Events, spans(k.Withheld))
	}
	if p.Log.Older > 0 {
		fmt.Fprintf(w, "the log goes on from %d older checkpoints that the bundle carries\n", p.Log.Older)
	}
	for _, a := range p.Against {
		if a.One {
			fmt.Fprintf(w, "the bundle of %s, with %d entries in the log, is of the same log\n", a.Case, a.Size)
		} else {
			fmt.Fprintf(w, "not proved: that the bundle of %s, with %d entries in the log, is of the same log\n", a.Case, a.Size)
		}
	}
	for _, s := range k.Signers {
		known := "a key that the case itself names"
		if s.Pinned {
			known = "the key that you know"
		}
		with := s.KeyID
		if s.Passkey.Origin != "" {
			with = "the passkey " + s.KeyID + " of " + s.Passkey.Origin
		}
		fmt.Fprintf(w, "%s@%s (%s) signed %d with %s, %s\n", s.By.Person, s.By.Organisation, s.By.Role, s.Signed, with, known)
	}
	for _, d := range k.Determinations {
		follows := "FOLLOWS the registered rule"
		if !d.Follows {
			follows = "DEPARTS from the registered rule, which proposed " + string(d.Proposed) + ": " + d.Departure
		}
		fmt.Fprintf(w, "determination %d: %s; %s\n", d.Version, d.Outcome, follows)
		dissent := fmt.Sprintf("%d of the consulted dissented", d.Dissent)
		if d.Dissent < 0 {
			dissent = "what the consulted answered is withheld"
		}
		fmt.Fprintf(w, "  criteria %s, registered %s, countersigned %s; %s\n", d.Commitment.Short(), day(d.Registered), day(d.Countersigned), dissent)
	}
	for _, r := range k.Reports {
		fmt.Fprintf(w, "report %d for the %s tier: %d paragraphs, as filed under the commitment %s\n", r.Version, r.Tier, len(r.Report.Paragraphs), r.Commitment.Short())
	}
	if len(k.Determinations) == 0 && len(k.Withheld) < k.Events {
		fmt.Fprintln(w, "nothing was determined")
	}
	for _, a := range k.Adoptions {
		fmt.Fprintln(w, ownUse(a))
	}
	for _, r := range k.Runs {
		account := "counts"
		if !r.Counts {
			account = "does not count: " + strings.Join(r.Why, ", ")
		}
		fmt.Fprintf(w, "run %s: %d of %d solved, %d left out, %d tokens; %s\n", r.ID, r.Tally.Solved, r.Tally.Samples, r.Tally.Excluded, r.Tokens, account)
	}
	if k.Artifacts > 0 {
		fmt.Fprintf(w, "%d artifacts were sealed, which count as nothing of the house's own\n", k.Artifacts)
	}
	for _, d := range k.Destructions {
		state := "certified " + day(d.Done)
		if d.Done.IsZero() {
			state = "not carried out yet"
		}
		fmt.Fprintf(w, "%d artifacts were ordered to be destroyed %s, by agreement of %s@%s and %s@%s; %s\n", len(d.Artifacts), day(d.Ordered),
			d.Agreed[0].Person, d.Agreed[0].Organisation, d.Agreed[1].Person, d.Agreed[1].Organisation, state)
	}
	if a := k.Accounts; a != nil {
		fmt.Fprintf(w, "tokens: %d registered, %d exploratory, %d outside the review, %d unaccounted\n", a.Registered, a.Exploratory, a.Outside, a.Remainder)
	}
	for _, d := range p.Disclosed {
		fmt.Fprintf(w, "task %s (%s) is one of the %d of %s that were committed to\n", d.Disclosure.Task.ID, d.Disclosure.Task.Digest.Short(), d.Suite.Tasks, d.Suite.Name)
	}
	for _, s := range k.Wrong {
		fmt.Fprintln(w, "WRONG:", s)
	}
	for _, s := range append(p.Log.Open, k.Open...) {
		fmt.Fprintln(w, "not proved:", s)
	}
}

// spans are numbers in order, with a dash for those between: 2, 4-7.
func spans(list []int) string {
	var words []string
	for i := 0; i < len(list); i++ {
		first := list[i]
		for i+1 < len(list) && list[i+1] == list[i]+1 {
			i++
		}
		if list[i] == first {
			words = append(words, fmt.Sprint(first))
			continue
		}
		words = append(words, fmt.Sprintf("%d-%d", first, list[i]))
	}
	return strings.Join(words, ", ")
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
	cmd.ResetFlags()
	cmd.Use, cmd.Short, cmd.Long, cmd.Args = "verify", "check the gate's record from its first entry to its last: verify without a folder", "", cobra.NoArgs
	return cmd
}
