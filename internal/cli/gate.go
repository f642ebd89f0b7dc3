package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/proofhouse"
)

func (c *console) gate() *cobra.Command {
	cmd := &cobra.Command{Use: "gate", Short: "lend a model: scoped keys, exact budgets, revocation in a moment"}
	cmd.AddCommand(c.gateServe(), c.gateGrant(), c.gateList(), c.gateStatus(), c.gateRevoke(), c.gateSuspend(), c.gateResume(), c.gateVerify(), c.gateCredential(), c.gateContent(), c.gateShred(), c.gateExport())
	return cmd
}

func (c *console) gateServe() *cobra.Command {
	var req app.GateRequest
	var read func() error
	cmd := &cobra.Command{
		Use:   "serve --upstream URL --model NAME",
		Short: "serve a model under a codename, and print a key for it",
		Long: "Passes OpenAI chat completions and responses and Anthropic messages to a model's server, under a codename and a key that\n" +
			"this command makes and prints once. The upstream's own key stays here. Keys that it gave out before go on working\n" +
			"for the same upstream. Ctrl-C ends the gate; what it passed is in its record: `gate verify`.",
		Args: cobra.NoArgs,
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			if req.Upstream == "" || req.Grant.Terms.Model == "" {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "say which model and where: --upstream URL --model NAME")
			}
			if err := read(); err != nil {
				return err
			}
			req.Ready = func(r app.GateReady) {
				_ = c.emit(r, func(w io.Writer) { printReady(w, r) })
			}
			return house.ServeGate(ctx, req)
		}),
	}
	read = grantFlags(cmd, &req.Grant)
	f := cmd.Flags()
	f.StringVar(&req.Upstream, "upstream", "", "address of the model's server, or of another gate")
	f.StringVar(&req.Credential, "credential", "", "the upstream's key, as `NAME` of `gate credential add`")
	f.StringVar(&req.KeyFile, "key-file", "", "file (mode 0600) with the upstream's key, in place of --credential")
	f.StringArrayVar(&req.Secrets, "secret", nil, "a word that callers must not read either: provider, deployment, organisation (repeatable)")
	f.StringVar(&req.CapField, "cap-field", "", "field of a chat for the output cap, for servers that know only max_tokens (default max_completion_tokens)")
	f.StringVar(&req.Addr, "addr", "127.0.0.1:0", "address to serve on; port 0 takes a free one")
	f.StringVar(&req.URL, "url", "", "address by which callers reach the gate, which keys are shown with (default: that of --addr)")
	f.StringVar(&req.Policies, "policies", "", "folder of .cedar files that each call is held to")
	f.StringVar(&req.Safeguards, "safeguards", "", "file of classifiers that all new grants are under")
	f.StringVar(&req.Database, "database", "", "follow the revocations of this database: sqlite:PATH or postgres://…")
	return cmd
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
				rows := [][]any{{"GRANT", "SUBJECT", "CODENAME", "VARIANT", "UNTIL", "OPEN", "REQUESTS", "INPUT", "OUTPUT", "DOLLARS"}}
				for _, u := range uses {
					a, l, until := u.Account.Spent, u.Grant.Limits, u.Grant.Until.UTC().Format(time.RFC3339)
					if u.Revoked {
						until = "revoked"
					}
					rows = append(rows, []any{
						u.Grant.ID, u.Grant.Subject, u.Grant.Codename, u.Grant.Variant, until, u.Account.Open,
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
