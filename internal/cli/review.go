package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/app"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

func (c *console) terms() *cobra.Command {
	var t docket.Terms
	var marking, agreement string
	var share []string
	return group(
		"terms", "on what the developer takes part",
		c.act("offer CASE", "offer terms, as the developer", "", 0, func(f *pflag.FlagSet) {
			f.StringVar(&marking, "marking", string(proofhouse.AmberStrict), "marking of all that has none of its own")
			f.IntVar(&t.Retention, "keep-days", 90, "how many days after the end of access what is sealed is kept")
			f.BoolVar(&t.Export, "export", false, "sealed evidence may leave the house if two persons agree to it")
			f.StringSliceVar(&share, "share", nil, "role that may be shown the case; may be repeated")
			f.StringVar(&agreement, "agreement", "", "`FILE` that people signed; its digest stands in the terms")
		}, func([]string) (docket.Act, error) {
			t.Marking, t.Share = proofhouse.Marking(marking), []proofhouse.Role{}
			for _, s := range share {
				t.Share = append(t.Share, proofhouse.Role(s))
			}
			if agreement != "" {
				d, err := digestFile(agreement)
				if err != nil {
					return nil, err
				}
				t.Agreement = d
			}
			return docket.Offer{Terms: t}, nil
		}),
		c.act("agree CASE VERSION", "agree to a version of the terms, as the registrar", "", 1, nil, func(args []string) (docket.Act, error) {
			v, err := number("the version of the terms", args[0])
			return docket.Agree{Version: v}, err
		}),
	)
}

func number(what, s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, proofhouse.Errorf(proofhouse.Invalid, err, "%s is a number from 1", what)
	}
	return n, nil
}

func (c *console) access() *cobra.Command {
	var to string
	var sponsored bool
	org := func(f *pflag.FlagSet) { f.StringVar(&to, "to", "", "`ORGANISATION` that gets access") }
	return group(
		"access", "lending the model for the review, and sharing it with partners",
		c.act("lend CASE GRANT", "lend the model to the body or a tester, as the developer", "The first grant to the body or a tester begins the window, which ends by itself.", 1, org,
			func(args []string) (docket.Act, error) {
				return docket.Lend{Grant: docket.GrantID(args[0]), To: proofhouse.OrganisationID(to)}, nil
			}),
		c.act("end CASE GRANT", "end a grant for the review", "", 1, nil, func(args []string) (docket.Act, error) { return docket.End{Grant: docket.GrantID(args[0])}, nil }),
		c.act("pause CASE", "stop the access of the body and its testers; the window runs on", "", 0, nil, plainAct(docket.PauseAccess{})),
		c.act("resume CASE", "end a pause, as the developer", "", 0, nil, plainAct(docket.ResumeAccess{})),
		c.act("move-window CASE DATE", "sign a new end of the window, as the developer", "", 1, nil, func(args []string) (docket.Act, error) {
			t, err := parseDate(args[0])
			return docket.MoveWindow{End: t}, err
		}),
		c.act("share CASE GRANT", "share the model with a partner, as the developer", "Needs nobody's consent, in no state of the case.", 1, func(f *pflag.FlagSet) {
			org(f)
			f.BoolVar(&sponsored, "sponsored", false, "because the body puts the partner forward; ends when it no longer does")
		}, func(args []string) (docket.Act, error) {
			return docket.Share{Grant: docket.GrantID(args[0]), To: proofhouse.OrganisationID(to), Sponsored: sponsored}, nil
		}),
		c.act("unshare CASE GRANT", "end a partner's grant, as the developer", "", 1, nil, func(args []string) (docket.Act, error) { return docket.Unshare{Grant: docket.GrantID(args[0])}, nil }),
		c.accessUse(),
	)
}

func (c *console) accessUse() *cobra.Command {
	return c.forCase("use CASE", "what is used of the grants that you see, at the gate of the house's data folder", func(ctx context.Context, client wire.Client, id proofhouse.CaseID) error {
		uses, err := client.Uses(ctx, id)
		if err != nil {
			return err
		}
		return c.emit(uses, func(w io.Writer) {
			if !uses.Running {
				fmt.Fprintln(w, "no gate runs on the house's data folder: what is used is not known here")
				return
			}
			rows := [][]any{{"GRANT", "KEY", "UNTIL", "OPEN", "BUDGET", "USED", "HELD"}}
			for _, u := range uses.Uses {
				until := u.Until.UTC().Format(time.RFC3339)
				if u.Revoked {
					until = "revoked"
				}
				for _, b := range u.Budgets {
					rows = append(rows, []any{u.Grant, u.Key, until, u.Open, b.Of, of(b.Spent, b.Limit), b.Held})
				}
			}
			table(w, rows...)
			for _, u := range uses.Uses {
				if e := u.Ended; e != nil {
					fmt.Fprintf(w, "%s: revoked %s, in force at the gate after %s; %d calls under way were cut\n", u.Key, instant(e.At), time.Duration(e.Took)*time.Microsecond, e.Cut)
				}
			}
		})
	})
}

func (c *console) criteria() *cobra.Command {
	return group(
		"criteria", "what a determination is held to, registered before the first token",
		c.criteriaDraft(), c.criteriaDisclose(),
		c.act("register CASE FILE", "register criteria, as the registrar", "Registers the criteria in FILE, which `criteria draft` makes. The developer sees a commitment to them and countersigns that.", 1, nil,
			func(args []string) (docket.Act, error) {
				var a docket.Register
				b, err := os.ReadFile(args[0])
				if err != nil {
					return nil, proofhouse.Errorf(proofhouse.NotFound, err, "the criteria cannot be read")
				}
				if err := json.Unmarshal(b, &a); err != nil {
					return nil, proofhouse.Errorf(proofhouse.Invalid, err, "that file holds no criteria: `criteria draft` makes one")
				}
				if err := a.Criteria.Validate(); err != nil {
					return nil, err
				}
				c.say("%s", a.Criteria.PowerTable())
				return a, nil
			}),
		c.act("countersign CASE VERSION", "sign the commitment to the criteria, as the developer", "", 1, nil, func(args []string) (docket.Act, error) {
			v, err := number("the version of the criteria", args[0])
			return docket.Countersign{Version: v}, err
		}),
	)
}

func (c *console) criteriaDraft() *cobra.Command {
	var req app.RunRequest
	var out string
	var variants []string
	var threshold, level float64
	var readModel func() error
	cmd := &cobra.Command{
		Use: "draft --suite SUITE --agent AGENT --variant V --threshold SHARE --out FILE", Short: "make criteria, and say how often the rule would decide", Args: cobra.NoArgs,
		Long: "Writes criteria for runs with these flags, with the salts that keep their commitment and the suite's from being guessed: keep the file\n" +
			"to yourself. Prints how often the rule says what at which true rate. `criteria register` registers it, and `run --criteria` follows it.",
		RunE: c.with(func(_ context.Context, house *app.App, _ []string) error {
			if err := readModel(); err != nil {
				return err
			}
			if out == "" || req.Suite == "" || req.Agent == "" || len(variants) == 0 {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "give --suite, --agent, --variant and --out")
			}
			file, err := house.DraftCriteria(req, variants, threshold, level)
			if err != nil {
				return err
			}
			b, err := json.MarshalIndent(file, "", "  ")
			if err != nil {
				return err
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return proofhouse.Errorf(proofhouse.Conflict, err, "the file is there already, or cannot be made: choose another")
			}
			_, err = f.Write(append(b, '\n'))
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
			return c.emit(file.Criteria, func(w io.Writer) { fmt.Fprintf(w, "%s\nwritten to %s\n", file.Criteria.PowerTable(), out) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&req.Suite, "suite", "", "suite: a name of `suite list`, or a folder")
	f.StringArrayVar(&req.Tasks, "task", nil, "only this task; may be repeated")
	f.BoolVar(&req.Quick, "quick", false, "only the suite's quick tasks")
	f.StringVar(&req.Agent, "agent", "", "agent: noop, baseline, ladder, react or external")
	f.StringVar(&req.Command, "command", "", "line of the shell that starts an external agent")
	f.StringVar(&req.AgentDir, "agent-dir", "", "folder with an external agent's files")
	f.IntVar(&req.Epochs, "epochs", 1, "samples of each task")
	f.DurationVar(&req.Time, "time", 0, "time limit of a sample (default: each task's own)")
	f.IntVar(&req.Level, "level", -1, "hint level 0 to 3 (-1: each task's own)")
	f.StringSliceVar(&variants, "variant", nil, "variant of the case; may be repeated")
	f.Float64Var(&threshold, "threshold", 0.5, "share of tasks solved above which the rule says covered")
	f.Float64Var(&level, "confidence", 0.95, "level of the rule's interval")
	f.StringVar(&out, "out", "", "`FILE` to write")
	readModel = modelFlags(cmd, &req.Model)
	return cmd
}

func (c *console) criteriaDisclose() *cobra.Command {
	return &cobra.Command{
		Use: "disclose FILE TASK", Short: "show that one task was among those committed to", Args: cobra.ExactArgs(2),
		Long: "Prints the proof for one task of the criteria in FILE, which tells of the others only how many there are. `verify BUNDLE --task` checks it.",
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := app.ReadCriteria(args[0])
			if err != nil {
				return err
			}
			d, err := file.Disclose(proofhouse.TaskID(args[1]))
			if err != nil {
				return err
			}
			e := json.NewEncoder(c.out)
			e.SetIndent("", "  ")
			return e.Encode(d)
		},
	}
}

func (c *console) consult() *cobra.Command {
	var reason string
	why := func(f *pflag.FlagSet) { f.StringVar(&reason, "reason", "", "why, in plain words") }
	return group(
		"consult", "asking those whom the profile names, before the authority signs",
		c.act("ask CASE ORGANISATION", "ask an organisation, as the registrar", "", 1, nil, func(args []string) (docket.Act, error) {
			return docket.Consult{Organisation: proofhouse.OrganisationID(args[0])}, nil
		}),
		c.act("answer CASE VIEW", "answer as the consulted: agrees, dissents or comments", "", 1, why, func(args []string) (docket.Act, error) {
			return docket.Answer{View: docket.View(args[0]), Reason: reason}, nil
		}),
		c.act("waive CASE ORGANISATION", "do without an answer, for a reason that the authority signs", "", 1, why, func(args []string) (docket.Act, error) {
			return docket.Waive{Organisation: proofhouse.OrganisationID(args[0]), Reason: reason}, nil
		}),
	)
}

func (c *console) determine() *cobra.Command {
	r := remote{console: c}
	var version, report int
	var departure string
	cmd := &cobra.Command{
		Use: "sign CASE OUTCOME", Short: "sign a determination, as the authority", Args: cobra.ExactArgs(2),
		Long: "OUTCOME is covered, 'not covered' or undetermined, or 'proposed' for what the registered rule proposes. Another needs a reason,\n" +
			"which is signed with it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			id := proofhouse.CaseID(args[0])
			a := docket.Determine{Outcome: docket.Outcome(args[1]), Registration: version, Departure: departure, Report: report}
			if args[1] == "proposed" {
				client, err := r.client()
				if err != nil {
					return err
				}
				k, err := client.Case(cmd.Context(), id)
				if err != nil {
					return err
				}
				i := slices.IndexFunc(k.Proposals, func(p wire.Proposal) bool { return p.Registration == version })
				if i < 0 {
					return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no version %d of the criteria", version)
				}
				a.Outcome = k.Proposals[i].Outcome
			}
			return r.do(cmd.Context(), id, a)
		},
	}
	r.acting(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&r.key, "key", "", "`FILE` of your signing key")
	f.IntVar(&version, "criteria", 1, "version of the criteria")
	f.IntVar(&report, "report", 0, "version of the report that the determination names")
	f.StringVar(&departure, "departure", "", "why it is not what the rule proposes")
	return group("determine", "the authority's answer: covered, not covered or undetermined", cmd)
}

func (c *console) appeal() *cobra.Command {
	var reason string
	return group(
		"appeal", "having a determination looked at again",
		c.act("ask CASE", "ask for reconsideration, as the developer", "", 0, func(f *pflag.FlagSet) { f.StringVar(&reason, "reason", "", "why, in plain words") },
			func([]string) (docket.Act, error) { return docket.Reconsider{Reason: reason}, nil }),
		c.act("appoint CASE ORGANISATION", "name the independent tester, as the registrar", "", 1, nil, func(args []string) (docket.Act, error) {
			return docket.Appoint{Tester: proofhouse.OrganisationID(args[0])}, nil
		}),
	)
}

func (c *console) partner() *cobra.Command {
	var title, criterion, reason string
	var criteria map[string]string
	answer := func(f *pflag.FlagSet) {
		f.StringVar(&criterion, "criterion", "", "id of the published criterion")
		f.StringVar(&reason, "reason", "", "why, in plain words")
	}
	return group(
		"partner", "trusted partners whose access the body sponsors",
		c.act("publish CASE", "publish by what partners are chosen, as the coordinator", "", 0, func(f *pflag.FlagSet) {
			f.StringToStringVar(&criteria, "criterion", nil, "`ID=TEXT`; may be repeated")
		}, func([]string) (docket.Act, error) {
			var a docket.Publish
			for _, id := range slices.Sorted(maps.Keys(criteria)) {
				a.Criteria = append(a.Criteria, docket.Criterion{ID: id, Text: criteria[id]})
			}
			return a, nil
		}),
		c.act("agree CASE VERSION", "agree to the criteria for partners, as the developer", "Where the profile has them joint, nominations wait for this. Sharing with partners of your own never does.", 1, nil,
			func(args []string) (docket.Act, error) {
				version, err := number("the version", args[0])
				return docket.AgreePartners{Version: version}, err
			}),
		c.act("nominate CASE ORGANISATION", "propose a partner", "", 1, func(f *pflag.FlagSet) { f.StringVar(&title, "title", "", "what people call it") },
			func(args []string) (docket.Act, error) {
				return docket.Nominate{Organisation: proofhouse.OrganisationID(args[0]), Title: title}, nil
			}),
		c.partnerImport(),
		c.act("sponsor CASE ORGANISATION", "put a partner forward, as the coordinator", "", 1, answer, func(args []string) (docket.Act, error) {
			return docket.Sponsor{Organisation: proofhouse.OrganisationID(args[0]), Criterion: criterion, Reason: reason}, nil
		}),
		c.act("decline CASE ORGANISATION", "do not sponsor a partner, by a published criterion", "Touches only access that the body sponsors. The partner can appeal.", 1, answer,
			func(args []string) (docket.Act, error) {
				return docket.Decline{Organisation: proofhouse.OrganisationID(args[0]), Criterion: criterion, Reason: reason}, nil
			}),
		c.act("appeal CASE ORGANISATION", "have a refusal looked at by the authority", "", 1, func(f *pflag.FlagSet) { f.StringVar(&reason, "reason", "", "why, in plain words") },
			func(args []string) (docket.Act, error) {
				return docket.Appeal{Organisation: proofhouse.OrganisationID(args[0]), Reason: reason}, nil
			}),
		c.act("terms CASE FILE", "offer terms to the partners of the case, as the developer", "FILE has the text. A new version stands beside the old ones; it gives and takes no access.", 1, nil,
			func(args []string) (docket.Act, error) {
				text, err := partnerTerms(args[0])
				return docket.OfferPartners{Text: text}, err
			}),
		c.act("accept CASE VERSION FILE", "accept terms as a partner, for your organisation", "FILE has the text that you have read: its digest is what is accepted, and it must be the text of that version.", 2, nil,
			func(args []string) (docket.Act, error) {
				version, err := number("the version", args[0])
				if err != nil {
					return nil, err
				}
				text, err := partnerTerms(args[1])
				return docket.AcceptTerms{Version: version, Digest: proofhouse.DigestOf([]byte(text))}, err
			}),
	)
}

// partnerTerms reads the text of terms for partners. White space around it is not of the text.
func partnerTerms(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", proofhouse.Errorf(proofhouse.NotFound, err, "the text of the terms cannot be read")
	}
	return strings.TrimSpace(strings.ReplaceAll(string(b), "\r\n", "\n")), nil
}

func (c *console) partnerImport() *cobra.Command {
	r := remote{console: c}
	var good bool
	cmd := &cobra.Command{
		Use: "import CASE FILE", Short: "propose the partners of a list (CSV: organisation,title)", Args: cobra.ExactArgs(2),
		Long: "Reads a list of partners and proposes all of them in one event. Those that were nominated before stay so, so a list can be sent again.\n" +
			"Rows that are wrong are told one by one, and then nothing is done, unless --good-rows takes the others. The exit code says whether there were any.",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := os.ReadFile(args[1])
			if err != nil {
				return proofhouse.Errorf(proofhouse.NotFound, err, "the list cannot be read")
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			n, err := client.Nominate(cmd.Context(), proofhouse.CaseID(args[0]), wire.AllowList{List: string(b), GoodRows: good}, proofhouse.Role(r.as))
			if err != nil {
				return err
			}
			if err := c.emit(n, func(w io.Writer) {
				for _, row := range n.Wrong {
					fmt.Fprintf(w, "line %d: %s\n", row.Line, row.Detail)
				}
				fmt.Fprintf(w, "%d nominated, %d before, %d wrong\n", n.Nominated, len(n.Already), len(n.Wrong))
			}); err != nil {
				return err
			}
			switch {
			case len(n.Wrong) > 0 && !good:
				return proofhouse.Errorf(proofhouse.Failed, nil, "nothing was taken: mend the list, or take the other rows with --good-rows")
			case len(n.Wrong) > 0:
				return proofhouse.Errorf(proofhouse.Failed, nil, "%d rows of the list were not taken", len(n.Wrong))
			}
			return nil
		},
	}
	r.flags(cmd.Flags())
	cmd.Flags().StringVar(&r.as, "as", "", "your role, where you have several that may")
	cmd.Flags().BoolVar(&good, "good-rows", false, "take the rows that can be, even if others cannot")
	return cmd
}
