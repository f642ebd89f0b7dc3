package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

func (c *console) gateGrant() *cobra.Command {
	var req app.GrantRequest
	cmd := &cobra.Command{
		Use:   "grant --model NAME",
		Short: "make one more grant at the gate that runs on this data folder, and print its key",
		Long: "Makes a grant on the upstream that the running gate serves, for the same model or another one. Its key is printed\n" +
			"once and kept nowhere. The gate's policies, and the safeguards that it was started with, hold for it too.",
		Args: cobra.NoArgs,
	}
	read := grantFlags(cmd, &req)
	cmd.RunE = c.with(func(ctx context.Context, house *app.App, _ []string) error {
		if err := read(); err != nil {
			return err
		}
		ready, err := house.GrantGate(ctx, req)
		if err != nil {
			return err
		}
		return c.emit(ready, func(w io.Writer) { printReady(w, ready) })
	})
	return cmd
}

// grantFlags are the flags that describe a grant. The function that it gives
// reads them once they are parsed.
func grantFlags(cmd *cobra.Command, req *app.GrantRequest) func() error {
	f, t, l := cmd.Flags(), &req.Terms, &req.Terms.Limits
	var record string
	price := priceFlags(cmd)
	f.StringVar(&t.Model, "model", "", "the model's name at the upstream; callers never see it")
	f.StringVar(&t.Variant, "variant", "", "which variant of the model that is: safeguards on or reduced, a checkpoint; a word for lists and policies")
	f.StringVar(&t.Codename, "codename", "", "the name that callers use (default: a random one)")
	f.StringVar(&t.Subject, "subject", "local", "who the key is for")
	f.StringVar(&t.Case, "case", "", "the case that the key belongs to")
	f.StringVar(&t.Reason, "reason", "", "why it is granted, for the record")
	f.StringArrayVar(&t.Protocols, "protocol", nil, "a protocol that the key is for: openai-chat, openai-responses or anthropic-messages (repeatable; default: all)")
	f.StringVar(&record, "record", "metadata", "what is kept of calls: metadata, sealed (their content too), or none")
	f.DurationVar(&req.For, "for", 24*time.Hour, "how long the key works, 30 days at most")
	f.Int64Var(&l.Requests, "requests", 10_000, "requests in all; 0 sets no bound")
	f.Int64Var(&l.Input, "input-tokens", 0, "input tokens in all; 0 sets no bound")
	f.Int64Var(&l.Output, "output-tokens", 1_000_000, "output tokens in all; 0 sets no bound")
	f.Int64Var(&l.OutputCap, "output-cap", 4096, "output tokens of one answer")
	f.IntVar(&l.Streams, "streams", 0, "calls at once; 0 sets no bound")
	f.IntVar(&l.PerMinute, "per-minute", 0, "calls a minute; 0 sets no bound")
	f.BoolVar(&t.ByReference, "by-reference", false, "permit inputs that the gate does not see, such as file_id; each holds the --context")
	f.Int64Var(&l.Context, "context", 0, "the model's context window in tokens, which an input by reference holds")
	return func() (err error) {
		if t.Rates, l.NanoDollars, err = price.read(t.Model); err != nil {
			return err
		}
		t.Recording, err = parseRecording(record)
		return err
	}
}

// printReady tells a person all that a client needs.
func printReady(w io.Writer, r app.GateReady) {
	fmt.Fprintf(w, "gate      %s   (OpenAI: %s/v1; Anthropic: %s)\nmodel     %s\nkey       %s   (shown this once)\ngrant     %s, until %s\n\n"+
		"try       curl %s/v1/chat/completions -H 'Authorization: Bearer %s' -d '{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\nrevoke    proofhouse gate revoke %s\n",
		r.URL, r.URL, r.URL, r.Codename, r.Key, r.Grant, r.Until.UTC().Format(time.RFC3339), r.URL, r.Key, r.Codename, r.Grant)
}

func (c *console) gateRevoke() *cobra.Command {
	var what gate.Revocation
	var key, database string
	cmd := &cobra.Command{
		Use:   "revoke [GRANT]",
		Short: "end a grant at the running gate for good, open streams included",
		Long: "Ends one grant, those of a case or of a subject, that of a key, or all. Say one of these: each is a whole answer to what\n" +
			"ends, and two together could mean both or either. A key is read from a file or standard input (-), since the command line\n" +
			"of a program can be read by others.",
		Args: cobra.MaximumNArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			what.Grant = strings.Join(args, "")
			if key != "" {
				var err error
				if what.KeyHash, err = readKeyHash(key); err != nil {
					return err
				}
			}
			if what.Validate() != nil {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "say what ends, and one of these only: a grant, --case, --subject, --key or --all")
			}
			if database != "" {
				done, err := house.RevokeShared(ctx, database, what)
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
			done, err := house.RevokeGate(ctx, what)
			if err != nil {
				return err
			}
			return c.emit(done, func(w io.Writer) {
				fmt.Fprintf(w, "%d grants ended, %d calls under way were cut, within %s\n", done.Grants, done.Calls, done.Took.Round(time.Microsecond))
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&what.Case, "case", "", "every grant of this case")
	f.StringVar(&what.Subject, "subject", "", "every grant of this subject")
	f.StringVar(&key, "key", "", "the grant of the key in this `FILE`, or - for standard input")
	f.BoolVar(&what.Everything, "all", false, "every grant")
	f.StringVar(&what.Reason, "reason", "", "why, for the record")
	f.StringVar(&database, "database", "", "at every gate that follows this database; none needs to be reachable")
	return cmd
}

func readKeyHash(file string) (string, error) {
	if file == "-" {
		return app.ReadKeyHash(os.Stdin)
	}
	f, err := os.Open(file)
	if err != nil {
		return "", proofhouse.Errorf(proofhouse.NotFound, nil, "--key is a file with the key, or - for standard input: never the key itself")
	}
	defer f.Close()
	return app.ReadKeyHash(f)
}
