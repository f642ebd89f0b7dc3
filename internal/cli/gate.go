package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

func (c *console) gate() *cobra.Command {
	cmd := &cobra.Command{Use: "gate", Short: "lend a model: scoped keys, exact budgets, revocation in a moment"}
	cmd.AddCommand(c.gateServe(), c.gateList(), c.gateRevoke(), c.gateSuspend(), c.gateResume(), c.gateVerify(), c.gateCredential(), c.gateContent(), c.gateShred())
	return cmd
}

func (c *console) gateServe() *cobra.Command {
	var req app.GateRequest
	var dollars float64
	var price, record string
	cmd := &cobra.Command{
		Use:   "serve --upstream URL --model NAME",
		Short: "serve a model under a codename, and print a key for it",
		Long: "Passes OpenAI chat completions and responses and Anthropic messages to a model's server, under a codename and a key that\n" +
			"this command makes and prints once. The upstream's own key stays here. Keys that it gave out before go on working\n" +
			"for the same upstream. Ctrl-C ends the gate; what it passed is in its record: `gate verify`.",
		Args: cobra.NoArgs,
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			if req.Upstream == "" || req.Grant.Model == "" {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "say which model and where: --upstream URL --model NAME")
			}
			if dollars < 0 || dollars > 1e9 {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "--dollars is from 0 to a thousand million")
			}
			req.Grant.Limits.NanoDollars = int64(dollars * 1e9)
			var err error
			if req.Grant.Rates, err = parsePrice(price); err != nil {
				return err
			}
			if req.Grant.Recording, err = parseRecording(record); err != nil {
				return err
			}
			req.Ready = func(r app.GateReady) {
				_ = c.emit(r, func(w io.Writer) {
					fmt.Fprintf(w, "gate      %s   (OpenAI: %s/v1; Anthropic: %s)\nmodel     %s\nkey       %s   (shown this once)\ngrant     %s, until %s\n\n"+
						"try       curl %s/v1/chat/completions -H 'Authorization: Bearer %s' -d '{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\nrevoke    proofhouse gate revoke %s\n",
						r.URL, r.URL, r.URL, r.Codename, r.Key, r.Grant, r.Until.UTC().Format(time.RFC3339), r.URL, r.Key, r.Codename, r.Grant)
				})
			}
			return house.ServeGate(ctx, req)
		}),
	}
	f, l := cmd.Flags(), &req.Grant.Limits
	f.StringVar(&req.Upstream, "upstream", "", "address of the model's server, or of another gate")
	f.StringVar(&req.Credential, "credential", "", "the upstream's key, as `NAME` of `gate credential add`")
	f.StringVar(&req.KeyFile, "key-file", "", "file (mode 0600) with the upstream's key, in place of --credential")
	f.StringVar(&req.Grant.Model, "model", "", "the model's name at the upstream; callers never see it")
	f.StringArrayVar(&req.Secrets, "secret", nil, "a word that callers must not read either: provider, deployment, organisation (repeatable)")
	f.StringVar(&req.Grant.Codename, "codename", "", "the name that callers use (default: a random one)")
	f.StringVar(&req.Grant.Subject, "subject", "local", "who the key is for")
	f.StringVar(&req.Grant.Case, "case", "", "the case that the key belongs to")
	f.StringVar(&record, "record", "metadata", "what is kept of calls: metadata, sealed (their content too), or none")
	f.StringVar(&req.Addr, "addr", "127.0.0.1:0", "address to serve on; port 0 takes a free one")
	f.DurationVar(&req.For, "for", 24*time.Hour, "how long the key works, 30 days at most")
	f.Int64Var(&l.Requests, "requests", 10_000, "requests in all; 0 sets no bound")
	f.Int64Var(&l.Input, "input-tokens", 0, "input tokens in all; 0 sets no bound")
	f.Int64Var(&l.Output, "output-tokens", 1_000_000, "output tokens in all; 0 sets no bound")
	f.Int64Var(&l.OutputCap, "output-cap", 4096, "output tokens of one answer")
	f.IntVar(&l.Streams, "streams", 0, "calls at once; 0 sets no bound")
	f.IntVar(&l.PerMinute, "per-minute", 0, "calls a minute; 0 sets no bound")
	f.Float64Var(&dollars, "dollars", 0, "dollars in all, by --price; 0 sets no bound")
	f.StringVar(&req.Policies, "policies", "", "folder of .cedar files that each call is held to")
	f.StringVar(&req.Safeguards, "safeguards", "", "file of classifiers that the grant is under")
	f.StringVar(&req.Database, "database", "", "follow the revocations of this database: sqlite:PATH or postgres://…")
	f.StringVar(&price, "price", "", "dollars for a million tokens: INPUT,CACHE-READ,CACHE-WRITE,OUTPUT")
	return cmd
}

// parsePrice reads dollars a million tokens as nano-dollars a token.
func parsePrice(s string) (gate.Rates, error) {
	if s == "" {
		return gate.Rates{}, nil
	}
	parts := strings.Split(s, ",")
	var nano [4]int64
	for i, p := range parts {
		v, err := strconv.ParseFloat(strings.TrimSpace(p), 64)
		if err != nil || len(parts) != len(nano) || !(v >= 0 && v <= 1e6) {
			return gate.Rates{}, proofhouse.Errorf(proofhouse.Invalid, nil, "--price takes four numbers of dollars for a million tokens, such as 3,0.3,3.75,15: input, cache read, cache write, output")
		}
		nano[i] = int64(v*1000 + 0.5)
	}
	return gate.Rates{Version: "given", Input: nano[0], CacheRead: nano[1], CacheWrite: nano[2], Output: nano[3]}, nil
}

func (c *console) gateList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "the running gate's grants, and what is used of them",
		Args:  cobra.NoArgs,
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			uses, err := house.GateGrants(ctx)
			if err != nil {
				return err
			}
			return c.emit(uses, func(w io.Writer) {
				rows := [][]any{{"GRANT", "SUBJECT", "CODENAME", "UNTIL", "OPEN", "REQUESTS", "INPUT", "OUTPUT", "DOLLARS"}}
				for _, u := range uses {
					a, l := u.Account.Spent, u.Grant.Limits
					rows = append(rows, []any{
						u.Grant.ID, u.Grant.Subject, u.Grant.Codename, u.Grant.Until.UTC().Format(time.RFC3339), u.Account.Open,
						of(a.Requests, l.Requests), of(a.Input, l.Input), of(a.Output, l.Output), fmt.Sprintf("%.6f", float64(a.NanoDollars)/1e9),
					})
				}
				table(w, rows...)
				for _, u := range uses {
					for _, s := range u.Swept {
						fmt.Fprintf(w, "%s: call %s, swept %s: %s\n", u.Grant.ID, s.Call, s.Time.UTC().Format(time.RFC3339), s.Why)
					}
				}
			})
		}),
	}
}

// of is a count and its limit, where there is one.
func of(n, limit int64) string {
	if limit == 0 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%d of %d", n, limit)
}

func (c *console) gateRevoke() *cobra.Command {
	var caseID, reason, database string
	var all bool
	cmd := &cobra.Command{
		Use:   "revoke [GRANT]",
		Short: "end a grant at the running gate for good, open streams included",
		Args:  cobra.MaximumNArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			grant := strings.Join(args, "")
			if n := len(args); (n == 1) == (all || caseID != "") || all && caseID != "" {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "say what ends: a grant, --case CASE or --all")
			}
			if database != "" {
				done, err := house.RevokeShared(ctx, database, grant, caseID, reason)
				if err != nil {
					return err
				}
				return c.emit(done, func(w io.Writer) {
					fmt.Fprintf(w, "revocation %d is written, for good; it is in force at %d of %d gates, within %s\n", done.Number, done.InForce, done.Gates, done.Took.Round(time.Millisecond))
					if done.InForce < done.Gates {
						fmt.Fprintln(w, "the others admit nothing until they have read it")
					}
				})
			}
			done, err := house.RevokeGate(ctx, grant, caseID, reason)
			if err != nil {
				return err
			}
			return c.emit(done, func(w io.Writer) {
				fmt.Fprintf(w, "%d grants ended, %d calls under way were cut, within %s\n", done.Grants, done.Calls, done.Took.Round(time.Microsecond))
			})
		}),
	}
	cmd.Flags().StringVar(&caseID, "case", "", "every grant of this case")
	cmd.Flags().BoolVar(&all, "all", false, "every grant")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	cmd.Flags().StringVar(&database, "database", "", "at every gate that follows this database; none needs to be reachable")
	return cmd
}

func (c *console) gateVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "check the gate's record from its first entry to its last",
		Args:  cobra.NoArgs,
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			sum, err := house.VerifyGate(ctx)
			if err != nil {
				return err
			}
			return c.emit(sum, func(w io.Writer) {
				fmt.Fprintf(w, "%d entries, each chained to the one before; %d of them are covered by a signature\n", sum.Records, sum.Signed)
			})
		}),
	}
}
