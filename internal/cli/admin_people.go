package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/app"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// remoteCommand is a command that speaks to a house as somebody.
func (c *console) remoteCommand(use, short string, args int, flags func(*pflag.FlagSet), do func(ctx context.Context, client wire.Client, args []string) error) *cobra.Command {
	r := remote{console: c}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			return do(cmd.Context(), client, args)
		},
	}
	r.flags(cmd.Flags())
	if flags != nil {
		flags(cmd.Flags())
	}
	return cmd
}

// done says that something was done, of which nothing needs to be shown.
func (c *console) done(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	line := fmt.Sprintf(format, args...)
	return c.emit(map[string]string{"done": line}, func(w io.Writer) { fmt.Fprintln(w, line) })
}

func (c *console) adminOrganisation() *cobra.Command {
	var title string
	return group(
		"organisation", "organisations that have people here",
		c.remoteCommand("add ORGANISATION", "add an organisation", 1, func(f *pflag.FlagSet) {
			f.StringVar(&title, "title", "", "what people call it")
		}, func(ctx context.Context, client wire.Client, args []string) error {
			if title == "" {
				title = args[0]
			}
			_, err := client.CreateOrganisation(ctx, wire.NewOrganisation{ID: proofhouse.OrganisationID(args[0]), Title: title})
			return c.done(err, "added %s", args[0])
		}),
		c.remoteCommand("list", "the organisations that you may know of", 0, nil, func(ctx context.Context, client wire.Client, _ []string) error {
			all, err := client.Organisations(ctx)
			if err != nil {
				return err
			}
			return c.emit(all, func(w io.Writer) {
				for _, o := range all.Organisations {
					fmt.Fprintf(w, "%s\t%s\n", o.ID, o.Title)
				}
			})
		}),
	)
}

func (c *console) adminPerson() *cobra.Command {
	var title string
	return group(
		"person", "people and their accounts",
		c.remoteCommand("add PERSON@ORGANISATION", "add a person, who can do nothing yet", 1, func(f *pflag.FlagSet) {
			f.StringVar(&title, "title", "", "what people call them")
		}, func(ctx context.Context, client wire.Client, args []string) error {
			person, organisation, ok := strings.Cut(args[0], "@")
			if !ok {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "a person is named as PERSON@ORGANISATION")
			}
			if title == "" {
				title = person
			}
			_, err := client.CreatePerson(ctx, wire.NewPerson{Organisation: proofhouse.OrganisationID(organisation), ID: proofhouse.PersonID(person), Title: title})
			return c.done(err, "added %s; `admin token issue` makes their first token", args[0])
		}),
		c.remoteCommand("list ORGANISATION", "an organisation's people", 1, nil, func(ctx context.Context, client wire.Client, args []string) error {
			all, err := client.People(ctx, proofhouse.OrganisationID(args[0]))
			if err != nil {
				return err
			}
			return c.emit(all, func(w io.Writer) {
				for _, p := range all.People {
					fmt.Fprintf(w, "%s\t%s%s\n", p.Name(), p.Title, standing(p))
				}
			})
		}),
		c.remoteCommand("end PERSON@ORGANISATION", "end an account and its tokens, at once and for good", 1, nil, func(ctx context.Context, client wire.Client, args []string) error {
			return c.done(client.EndPerson(ctx, args[0]), "ended %s", args[0])
		}),
	)
}

// standing is what a person is and may, for a line of a list.
func standing(p policy.Person) string {
	var b strings.Builder
	for _, r := range p.House {
		fmt.Fprintf(&b, ", %s", r)
	}
	for _, k := range p.Clearances {
		fmt.Fprintf(&b, ", cleared for %s", k)
	}
	for _, o := range p.ConflictsWith {
		fmt.Fprintf(&b, ", conflict with %s", o)
	}
	for _, k := range p.ConflictsIn {
		fmt.Fprintf(&b, ", conflict in %s", k)
	}
	if !p.Ended.IsZero() {
		fmt.Fprintf(&b, ", ended %s", day(p.Ended))
	}
	return b.String()
}

func (c *console) adminRole() *cobra.Command {
	return group(
		"role", "roles of the house: "+strings.Join(houseRoles(), ", "),
		c.remoteCommand("give PERSON@ORGANISATION ROLE", "give another person a role", 2, nil, func(ctx context.Context, client wire.Client, args []string) error {
			return c.done(client.GiveRole(ctx, args[0], policy.HouseRole(args[1])), "%s is %s", args[0], args[1])
		}),
		c.remoteCommand("take PERSON@ORGANISATION ROLE", "take a role away", 2, nil, func(ctx context.Context, client wire.Client, args []string) error {
			return c.done(client.TakeRole(ctx, args[0], policy.HouseRole(args[1])), "%s is no %s any more", args[0], args[1])
		}),
	)
}

func houseRoles() []string {
	words := make([]string, len(policy.HouseRoles))
	for i, r := range policy.HouseRoles {
		words[i] = string(r)
	}
	return words
}

func (c *console) adminClearance() *cobra.Command {
	return group(
		"clearance", "clearances for compartments, and for markings such as TLP:RED",
		c.remoteCommand("give PERSON@ORGANISATION CLEARANCE", "clear another person, as a security officer of the house", 2, nil, func(ctx context.Context, client wire.Client, args []string) error {
			return c.done(client.GiveClearance(ctx, args[0], args[1]), "%s is cleared for %s", args[0], args[1])
		}),
		c.remoteCommand("take PERSON@ORGANISATION CLEARANCE", "take a clearance away", 2, nil, func(ctx context.Context, client wire.Client, args []string) error {
			return c.done(client.TakeClearance(ctx, args[0], args[1]), "%s is not cleared for %s any more", args[0], args[1])
		}),
	)
}

func (c *console) adminConflict() *cobra.Command {
	var with, in string
	flags := func(f *pflag.FlagSet) {
		f.StringVar(&with, "with", "", "the developer `ORGANISATION`, in all of whose cases it is")
		f.StringVar(&in, "in", "", "the one `CASE` in which it is")
	}
	conflict := func() policy.Conflict {
		return policy.Conflict{With: proofhouse.OrganisationID(with), In: proofhouse.CaseID(in)}
	}
	return group(
		"conflict", "conflicts of interest",
		c.remoteCommand("declare PERSON@ORGANISATION", "declare your own, or as an administrator or security officer another's", 1, flags, func(ctx context.Context, client wire.Client, args []string) error {
			return c.done(client.DeclareConflict(ctx, args[0], conflict()), "%s has a conflict of interest: %s%s is closed to them", args[0], with, in)
		}),
		c.remoteCommand("lift PERSON@ORGANISATION", "take that back, as an administrator", 1, flags, func(ctx context.Context, client wire.Client, args []string) error {
			return c.done(client.LiftConflict(ctx, args[0], conflict()), "%s has no conflict of interest with %s%s any more", args[0], with, in)
		}),
	)
}

func (c *console) adminToken() *cobra.Command {
	return group(
		"token", "API tokens",
		c.tokenIssue(),
		c.remoteCommand("list PERSON@ORGANISATION", "the tokens that a person has had", 1, nil, func(ctx context.Context, client wire.Client, args []string) error {
			all, err := client.Tokens(ctx, args[0])
			if err != nil {
				return err
			}
			return c.emit(all, func(w io.Writer) {
				for _, t := range all.Tokens {
					used, ends := "never used", "ends"
					if !t.Used.IsZero() {
						used = "last used on " + t.Used.Format(time.DateOnly)
					}
					at := t.Expires
					if !t.Revoked.IsZero() {
						ends, at = "revoked", t.Revoked
					}
					if t.Session() {
						used = "opened by " + t.From + ", last seen " + t.Seen.UTC().Format(time.DateTime)
					}
					fmt.Fprintf(w, "%s\t%s\t%s %s\t%s\n", t.ID, t.Label, ends, day(at), used)
				}
			})
		}),
		c.remoteCommand("revoke TOKEN", "end a token at once, by the name that the list gives it", 1, nil, func(ctx context.Context, client wire.Client, args []string) error {
			return c.done(client.RevokeToken(ctx, args[0]), "revoked %s", args[0])
		}),
	)
}

func (c *console) adminWay() *cobra.Command {
	var last bool
	return group(
		"way", "the ways in which people sign in without a token: passkeys",
		c.remoteCommand("list PERSON@ORGANISATION", "those that a person has", 1, nil, func(ctx context.Context, client wire.Client, args []string) error {
			all, err := client.Ways(ctx, args[0])
			if err != nil {
				return err
			}
			return c.emit(all, func(w io.Writer) {
				for _, way := range all.Ways {
					used := "never used"
					switch {
					case !way.Suspect.IsZero():
						used = "not taken since " + day(way.Suspect) + ": there may be a copy"
					case !way.Used.IsZero():
						used = "last used on " + way.Used.Format(time.DateOnly)
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", way.ID, way.Kind(), way.Label, used)
				}
			})
		}),
		c.remoteCommand("remove WAY", "take one away at once, with the sessions that it opened", 1, func(f *pflag.FlagSet) {
			f.BoolVar(&last, "last", false, "even if it is the last, and its owner has no token: then nobody comes into that account any more")
		}, func(ctx context.Context, client wire.Client, args []string) error {
			return c.done(client.RemoveWay(ctx, args[0], last), "removed %s", args[0])
		}),
	)
}

func (c *console) tokenIssue() *cobra.Command {
	var ask wire.NewToken
	var out string
	return c.remoteCommand("issue PERSON@ORGANISATION", "make a token of your own, or as an administrator a newcomer's first", 1, func(f *pflag.FlagSet) {
		f.StringVar(&out, "out", "", "new `FILE` for the token, which goes there and nowhere else")
		f.StringVar(&ask.Label, "label", "", "what its owner calls it")
		f.IntVar(&ask.Days, "days", 90, "how long it lasts, at most 366")
	}, func(ctx context.Context, client wire.Client, args []string) error {
		if out == "" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "name a new file for the token with --out")
		}
		f, err := secretFile(out)
		if err != nil {
			return err
		}
		defer f.Close()
		issued, err := client.IssueToken(ctx, args[0], ask)
		if err != nil {
			_ = os.Remove(out)
			return err
		}
		if _, err := fmt.Fprintln(f, issued.Secret); err != nil {
			return proofhouse.Errorf(proofhouse.Unavailable, err, "the token's file cannot be written: revoke %s, and issue another", issued.Token.ID)
		}
		return c.emit(issued.Token, func(w io.Writer) {
			fmt.Fprintf(w, "%s of %s is in %s and ends %s\n", issued.Token.ID, args[0], out, day(issued.Token.Expires))
		})
	})
}

// secretFile makes a new file that nobody else can read. It comes before the secret: one that has
// nowhere to go would be lost.
func secretFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Conflict, err, "the token's file cannot be made, or is there already: name a new one")
	}
	return f, nil
}

func (c *console) adminRegister() *cobra.Command {
	var after int64
	return c.remoteCommand("register", "what happened to people, as it was recorded, for administrators and auditors of the house", 0, func(f *pflag.FlagSet) {
		f.Int64Var(&after, "after", 0, "begin after this entry")
	}, func(ctx context.Context, client wire.Client, _ []string) error {
		r, err := client.Register(ctx, after)
		if err != nil {
			return err
		}
		return c.emit(r, func(w io.Writer) {
			for _, e := range r.Entries {
				fmt.Fprintf(w, "%s\n", e)
			}
		})
	})
}

func (c *console) adminCode() *cobra.Command {
	var cfg app.HouseConfig
	cmd := &cobra.Command{
		Use: "code", Short: "make another code for the first administrator, on the house's machine", Args: cobra.NoArgs,
		Long: "For who lost the one that the first start printed. It works as long as nobody is in the house; whoever redeems one spends all.",
		RunE: c.with(func(ctx context.Context, a *app.App, _ []string) error {
			code, err := a.AnotherCode(ctx, cfg, time.Now())
			if err != nil {
				return err
			}
			return c.emit(map[string]string{"code": code}, func(w io.Writer) { fmt.Fprintln(w, code) })
		}),
	}
	cmd.Flags().StringVar(&cfg.Database, "database", "", "`ADDRESS` of the database, as for serve")
	return cmd
}

// caseRequests are the commands of requests for two persons' approval.
func (c *console) caseRequests() []*cobra.Command {
	var on, reason, why string
	return []*cobra.Command{
		c.remoteCommand("request CASE WHAT", "ask two others to approve that you export a case, or unseal or destroy something in it", 2, func(f *pflag.FlagSet) {
			f.StringVar(&on, "on", "", "the `ARTIFACT`; without it, all of the case")
			f.StringVar(&reason, "reason", "", "why, in plain words")
		}, func(ctx context.Context, client wire.Client, args []string) error {
			a, err := client.Ask(ctx, proofhouse.CaseID(args[0]), wire.AskTwo{What: policy.Action(args[1]), On: on, Reason: reason})
			if err != nil {
				return err
			}
			return c.emit(a, func(w io.Writer) {
				fmt.Fprintf(w, "%s waits for two others, a week at most: `case approve %s`\n", a.ID, a.ID)
			})
		}),
		c.remoteCommand("requests CASE", "the requests about a case, and whenever its glass was broken", 1, nil, func(ctx context.Context, client wire.Client, args []string) error {
			all, err := client.Requests(ctx, proofhouse.CaseID(args[0]))
			if err != nil {
				return err
			}
			return c.emit(all, func(w io.Writer) {
				for _, a := range all.Requests {
					fmt.Fprintf(w, "%s\t%s %s\tby %s on %s: %s%s\n", a.ID, a.What, a.On, a.Asker, day(a.At), a.Reason, approvals(a))
				}
			})
		}),
		c.remoteCommand("approve REQUEST", "approve another's request", 1, nil, func(ctx context.Context, client wire.Client, args []string) error {
			a, err := client.Approve(ctx, args[0])
			if err != nil {
				return err
			}
			return c.emit(a, func(w io.Writer) {
				fmt.Fprintf(w, "%s to %s %s%s\n", a.ID, a.What, a.On, approvals(a))
			})
		}),
		c.remoteCommand("glass CASE", "break the glass, as a security officer of the body: read a case once, within an hour; all members are told", 1, func(f *pflag.FlagSet) {
			f.StringVar(&why, "reason", "", "the emergency, in plain words")
		}, func(ctx context.Context, client wire.Client, args []string) error {
			a, err := client.BreakGlass(ctx, proofhouse.CaseID(args[0]), why)
			if err != nil {
				return err
			}
			return c.emit(a, func(w io.Writer) {
				fmt.Fprintf(w, "the glass of %s is broken: `case events %s` reads it, once\n", args[0], args[0])
			})
		}),
	}
}

// approvals is who approved a request, and whether it was used.
func approvals(a wire.Request) string {
	s := ""
	if a.First != "" {
		s += "; approved by " + a.First
	}
	if a.Second != "" {
		s += " and " + a.Second
	}
	if !a.Used.IsZero() {
		s += "; used on " + day(a.Used)
	}
	return s
}
