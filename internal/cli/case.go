package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// group is a command that only holds others.
func group(use, short string, cmds ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	cmd.AddCommand(cmds...)
	return cmd
}

// plainAct is an act that says nothing more than that it is done.
func plainAct(a docket.Act) func([]string) (docket.Act, error) {
	return func([]string) (docket.Act, error) { return a, nil }
}

func (c *console) cases() *cobra.Command {
	var when, note string
	cmd := group(
		"case", "reviews: open, show, withdraw, announce a release",
		c.caseOpen(), c.caseList(), c.caseShow(), c.caseEvents(),
		c.act("accept CASE", "take up a case, as the body's registrar", "", 0, nil, plainAct(docket.Accept{})),
		c.act("join CASE PERSON@ORGANISATION ROLE", "add a person in a role", "", 2, nil, func(args []string) (docket.Act, error) {
			m, err := parseMember(args[0], args[1])
			return docket.Join{Member: m}, err
		}),
		c.act("leave CASE PERSON@ORGANISATION ROLE", "take a person out of a role", "", 2, nil, func(args []string) (docket.Act, error) {
			m, err := parseMember(args[0], args[1])
			return docket.Leave{Member: m}, err
		}),
		c.caseKey(),
		c.caseSign(),
		c.act("ask CASE", "ask whether the model is covered, as its developer", "", 0, nil, plainAct(docket.Ask{})),
		c.act("plan CASE DATE", "say when the release to partners is planned; 'none' takes it back", "", 1, nil, func(args []string) (docket.Act, error) {
			if args[0] == "none" {
				return docket.Plan{}, nil
			}
			t, err := parseDate(args[0])
			return docket.Plan{Date: t}, err
		}),
		c.act("attach CASE FILE WHAT", "attach evidence from elsewhere, by its digest", "Names a file by its digest, and says what it is and where it is from. The file stays with you. "+
			"It counts as nothing\nof the house's own.", 2, func(f *pflag.FlagSet) {
			f.StringVar(&note, "source", "", "who made it, and how it came here")
		}, func(args []string) (docket.Act, error) {
			d, err := digestFile(args[0])
			return docket.Attach{Digest: d, What: args[1], Source: note}, err
		}),
		c.act("void CASE RUN", "give up a run that broke down, as whoever ran it", "A run that is void counts for nothing and may be run again. Both stay in the record.", 1, func(f *pflag.FlagSet) {
			f.StringVar(&note, "reason", "", "what broke, in plain words")
		}, func(args []string) (docket.Act, error) {
			return docket.FinishRun{Run: proofhouse.RunID(args[0]), Evidence: proofhouse.DigestOf(nil), Void: note}, nil
		}),
		c.caseReport(),
		c.act("withdraw CASE", "end the review, as the developer: access ends, nothing is signed afterwards", "", 0, nil, plainAct(docket.Withdraw{})),
		c.act("release CASE", "announce a release, as the developer", "Announces when the model is or was released. Nothing in the case depends on it, and nobody answers it.", 0, func(f *pflag.FlagSet) {
			f.StringVar(&when, "date", "", "`DATE` of the release")
			f.StringVar(&note, "note", "", "a few words")
		}, func([]string) (docket.Act, error) {
			t, err := parseDate(when)
			return docket.Announce{Date: t, Note: note}, err
		}),
	)
	cmd.AddCommand(append(c.caseRequests(), c.artifact())...)
	return cmd
}

func digestFile(name string) (proofhouse.Digest, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", proofhouse.Errorf(proofhouse.NotFound, err, "that file cannot be read")
	}
	defer f.Close()
	d, _, err := proofhouse.DigestReader(f)
	return d, err
}

func (c *console) caseOpen() *cobra.Command {
	r := remote{console: c}
	var open wire.Open
	cmd := &cobra.Command{
		Use: "open", Short: "open a case for a model of yours", Args: cobra.NoArgs,
		Long: "Opens a case under a codename and a profile, which says who reviews, for how long at most, and who is asked. Whoever opens it\n" +
			"is its developer, and can withdraw, announce a release and share with any partner at any time.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			k, err := client.Open(cmd.Context(), open, r.retry)
			if err != nil {
				return err
			}
			return c.emit(k, func(w io.Writer) {
				fmt.Fprintf(w, "opened %s under the profile %s: the %s of %s takes it up\n", k.ID, k.Profile.Name, proofhouse.Registrar, k.Profile.Body)
			})
		},
	}
	r.flags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&open.Codename, "codename", "", "what everybody calls the model")
	f.StringSliceVar(&open.Variants, "variant", nil, "name of a variant that you offer; may be repeated")
	f.StringVar(&open.Profile, "profile", "us-order", "us-order, institute or board")
	f.StringVar(&r.retry, "retry-key", "", "a word of yours; the same command with it, sent again, opens no second case")
	return cmd
}

func (c *console) caseList() *cobra.Command {
	r := remote{console: c}
	var q wire.Query
	cmd := &cobra.Command{
		Use: "list", Short: "the cases that you may know of, the most urgent first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			l, err := client.List(cmd.Context(), q)
			if err != nil {
				return err
			}
			return c.emit(l, func(w io.Writer) {
				rows := [][]any{{"CASE", "CODENAME", "DEVELOPER", "ENGAGEMENT", "ACCESS ENDS", "OUTCOME", "GLASS BROKEN"}}
				for _, k := range l.Cases {
					if k.Destroyed {
						rows = append(rows, []any{k.ID, "", "", "destroyed", "", "", ""})
						continue
					}
					ends := ""
					switch {
					case !k.Withdrawn.IsZero():
						ends = "withdrawn"
					case !k.Window.IsZero():
						ends = day(k.Window)
					}
					broken := ""
					if k.Glass != nil {
						broken = day(k.Glass.At) + " by " + k.Glass.By
					}
					rows = append(rows, []any{k.ID, k.Codename, k.Developer, k.Engagement, ends, k.Outcome, broken})
				}
				table(w, rows...)
				if l.Next != "" {
					fmt.Fprintf(w, "there are more: go on with --after %s\n", l.Next)
				}
			})
		},
	}
	r.flags(cmd.Flags())
	cmd.Flags().StringVar(&q.State, "state", "all", "open, ended or all")
	cmd.Flags().StringVar(&q.Find, "find", "", "part of a codename or of an organisation's id")
	cmd.Flags().StringVar(&q.After, "after", "", "where the page before ended")
	cmd.Flags().IntVar(&q.Limit, "limit", 50, "how many at most")
	return cmd
}

// forCase is a command that reads one case.
func (c *console) forCase(use, short string, do func(ctx context.Context, client wire.Client, id proofhouse.CaseID) error) *cobra.Command {
	r := remote{console: c}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			return do(cmd.Context(), client, proofhouse.CaseID(args[0]))
		},
	}
	r.flags(cmd.Flags())
	return cmd
}

func (c *console) caseShow() *cobra.Command {
	return c.forCase("show CASE", "a case, as far as you may see it", func(ctx context.Context, client wire.Client, id proofhouse.CaseID) error {
		k, err := client.Case(ctx, id)
		if err != nil {
			return err
		}
		return c.emit(k, func(w io.Writer) { showCase(w, k) })
	})
}

func showCase(w io.Writer, k wire.Case) {
	states(w, k)
	roles := make([]string, len(k.Roles))
	for i, r := range k.Roles {
		roles[i] = string(r)
	}
	fmt.Fprintf(w, "under %s (%s), reviewed by %s; you are: %s\n\n", k.Profile.Name, k.Profile.Title, k.Profile.Body, strings.Join(roles, ", "))
	var rows [][]any
	add := func(what string, format string, args ...any) {
		rows = append(rows, []any{what, fmt.Sprintf(format, args...)})
	}
	for _, g := range k.Glass {
		read := "not read"
		if !g.Read.IsZero() {
			read = "read " + day(g.Read)
		}
		add("GLASS", "BROKEN %s by %s, %s: %s", day(g.At), g.By, read, g.Reason)
	}
	for _, m := range k.Members {
		add(string(m.Role), "%s@%s", m.Person, m.Organisation)
	}
	for _, t := range k.Terms {
		agreed := "not agreed to"
		if !t.Agreed.IsZero() {
			agreed = "agreed " + day(t.Agreed)
		}
		add("terms", "%d: %s, kept %d days, %s", t.Version, t.Terms.Marking, t.Terms.Retention, agreed)
	}
	for _, g := range k.Grants {
		state := "ended"
		for _, l := range k.State.Live {
			if l.ID == g.ID {
				state = "live"
			}
		}
		add("grant", "%s to %s (%s), %s", g.ID, g.To, g.Side, state)
	}
	for _, r := range k.Registrations {
		by := "not countersigned"
		if !r.Countersigned.IsZero() {
			by = "countersigned " + day(r.Countersigned)
		}
		add("criteria", "%d: %s, %s", r.Version, r.Commitment, by)
	}
	for _, r := range k.Runs {
		account := "registered"
		switch {
		case len(r.Exploratory) > 0:
			account = "exploratory: " + strings.Join(r.Exploratory, ", ")
		case r.Void != "":
			account = "void: " + r.Void
		case r.Finished.IsZero():
			account = "registered, not finished"
		}
		add("run", "%s %s/%s: %d of %d solved, %d tokens, %s", r.ID, r.Cell.Variant, r.Cell.Agent, r.Tally.Solved, r.Tally.Samples, r.Tokens, account)
	}
	for _, v := range k.Reports {
		public := ""
		if !v.Published.IsZero() {
			public = ", public since " + day(v.Published)
		}
		add("report", "%d of %s%s: `case report show`", v.Version, day(v.At), public)
	}
	for _, q := range k.Consultations {
		answer := "asked " + day(q.Asked)
		if !q.Answered.IsZero() {
			answer = "answered " + day(q.Answered)
			if q.View != "" {
				answer = string(q.View) + ": " + q.Reason
			}
		}
		add("consulted", "%s: %s", q.Organisation, answer)
	}
	for _, p := range k.Proposals {
		add("the rule", "proposes %s under version %d of the criteria, by %d runs that count", p.Outcome, p.Registration, len(p.Runs))
	}
	for _, d := range k.Determinations {
		follows := "FOLLOWS the registered rule"
		if !d.Follows() {
			follows = "DEPARTS from the rule, which proposed " + string(d.Proposed) + ": " + d.Departure
		}
		add("determined", "%s, %s, %s", d.Outcome, day(d.At), follows)
	}
	for _, p := range k.PartnerCriteria {
		state := "over with"
		switch {
		case p.Version == k.PartnersBy:
			state = "in force"
		case p.Version > k.PartnersBy:
			state = "waits for the developer's agreement"
		}
		for _, one := range p.Criteria {
			add("partners by", "%d/%s: %s, %s", p.Version, one.ID, one.Text, state)
		}
	}
	for _, v := range k.PartnerTerms {
		add("partner terms", "version %d, %s, offered %s by %s@%s", v.Version, v.Digest, day(v.At), v.By.Person, v.By.Organisation)
		for _, a := range v.Accepted {
			add("", "accepted %s by %s@%s", day(a.At), a.By.Person, a.By.Organisation)
		}
	}
	for _, n := range k.Nominees {
		said := "no answer yet"
		if i := len(n.Answers); i > 0 {
			said = string(n.Answers[i-1].Step) + ": " + n.Answers[i-1].Reason
		}
		add("nominated", "%s (%s), %s", n.Organisation, n.Title, said)
	}
	held := false
	for _, h := range k.Holds {
		if h.Lifted.IsZero() {
			held = true
			add("hold", "%s: %s", h.ID, h.Reason)
		}
	}
	destroyed := 0
	for _, a := range k.Artifacts {
		if !a.Ordered.IsZero() {
			destroyed++
		}
	}
	if n := len(k.Artifacts); n > 0 {
		add("sealed", "%d artifacts that you may know of, %d of them destroyed: `case artifact list`", n, destroyed)
	}
	if !k.Due.IsZero() && !held {
		what := "due to be destroyed on " + day(k.Due)
		if !k.State.At.Before(k.Due) {
			what = "DUE to be destroyed since " + day(k.Due)
		}
		add("sealed", "%s", what)
	}
	for _, a := range k.Adoptions {
		held := ""
		if !a.Holds(k.Case, k.State.At) {
			held = ", holds no more"
		}
		add("own use", "%s%s", ownUse(a), held)
	}
	for _, r := range k.Releases {
		add("release", "%s %s", day(r.Date), r.Note)
	}
	for _, clock := range k.Clocks {
		met := "due " + day(clock.Due)
		if !clock.Met.IsZero() {
			met = "done " + day(clock.Met)
		}
		if clock.Late(k.State.At) {
			met += ", LATE"
		}
		add("clock", "%s: %s", clock.What, met)
	}
	table(w, rows...)
}

func (c *console) caseEvents() *cobra.Command {
	return c.forCase("events CASE", "what happened in a case, in order", func(ctx context.Context, client wire.Client, id proofhouse.CaseID) error {
		var all []wire.Event
		for after := 0; ; {
			page, err := client.Events(ctx, id, after)
			if err != nil {
				return err
			}
			all = append(all, page...)
			if len(page) < wire.MaxEvents { // who reads through a broken glass does so once
				break
			}
			after = page[len(page)-1].Seq
		}
		return c.emit(all, func(w io.Writer) {
			rows := [][]any{{"EVENT", "AT", "BY", "ROLE", "ACT", "IN THE LOG AT"}}
			for _, e := range all {
				place := "waiting"
				if e.Index >= 0 {
					place = fmt.Sprint(e.Index)
				}
				rows = append(rows, []any{e.Seq, day(e.At), string(e.By.Person) + "@" + string(e.By.Organisation), e.By.Role, e.Act, place})
			}
			table(w, rows...)
		})
	})
}

func (c *console) caseKey() *cobra.Command {
	r := remote{console: c}
	cmd := &cobra.Command{
		Use: "key CASE", Short: "name the key that you sign with, and make it if it is not there", Args: cobra.ExactArgs(1),
		Long: "Names your signing key in the case. The key stays with you: the house gets its public half, by which everybody can check what you\n" +
			"signed. Tell others its id by another way, so that they can hold the house to it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := r.signer(true)
			if err != nil {
				return err
			}
			pem, err := key.PublicKey().PEM()
			if err != nil {
				return err
			}
			c.say("your key's id is %s", key.PublicKey().ID())
			file := r.key
			r.key = ""
			defer func() { r.key = file }()
			return r.do(cmd.Context(), proofhouse.CaseID(args[0]), docket.NameKey{Key: string(pem)})
		},
	}
	r.acting(cmd.Flags())
	cmd.Flags().StringVar(&r.key, "key", "", "`FILE` of your signing key")
	return cmd
}
