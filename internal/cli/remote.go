package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/app"
	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// remote is how commands reach a house: whose token, in which role, with
// which key.
type remote struct {
	console *console
	house   string
	token   string // a file
	as      string
	key     string // a file
	retry   string
	at      int
}

// flags are those of every command that speaks to a house.
func (r *remote) flags(f *pflag.FlagSet) {
	f.StringVar(&r.house, "house", "", "the house's `URL` (default $PROOFHOUSE_HOUSE, else http://127.0.0.1:8300)")
	f.StringVar(&r.token, "token-file", "", "`FILE` with your API token (default $PROOFHOUSE_TOKEN_FILE)")
}

// acting are those of commands that do something.
func (r *remote) acting(f *pflag.FlagSet) {
	r.flags(f)
	f.StringVar(&r.as, "as", "", "your role, where you have several that may")
	f.IntVar(&r.at, "at", 0, "do nothing if the case has gone beyond this version")
	f.StringVar(&r.retry, "retry-key", "", "a word of yours; the same command with it, sent again, is not done twice")
}

// address is where the house is.
func (r *remote) address() string {
	if r.house != "" {
		return r.house
	}
	return app.Setting("PROOFHOUSE_HOUSE", "http://"+app.HouseAddr)
}

// client is the client for a command.
func (r *remote) client() (wire.Client, error) {
	file := r.token
	if file == "" {
		file = app.Setting("PROOFHOUSE_TOKEN_FILE", "")
	}
	if file == "" {
		return wire.Client{}, proofhouse.Errorf(proofhouse.Invalid, nil, "name the file with your token with --token-file or PROOFHOUSE_TOKEN_FILE: `admin claim` writes one")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return wire.Client{}, proofhouse.Errorf(proofhouse.NotFound, err, "the token's file cannot be read")
	}
	return wire.Client{URL: r.address(), Token: strings.TrimSpace(string(b))}, nil
}

// signer opens the key that --key names, and makes it if create.
func (r *remote) signer(create bool) (*ledger.Key, error) {
	dir, name := filepath.Split(strings.TrimSuffix(r.key, ".key"))
	if name == "" {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "name your signing key with --key FILE.key: `case key` makes one")
	}
	if dir == "" {
		dir = "."
	}
	key, err := ledger.OpenKey(dir, name)
	if proofhouse.KindOf(err) == proofhouse.NotFound && create {
		return ledger.CreateKey(dir, name)
	}
	return key, err
}

// act is a command that does one act in a case: use begins with its name and CASE.
// build makes the act of the arguments after the case.
func (c *console) act(use, short, long string, args int, flags func(*pflag.FlagSet), build func(args []string) (docket.Act, error)) *cobra.Command {
	r := remote{console: c}
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ExactArgs(args + 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := build(args[1:])
			if err != nil {
				return err
			}
			return r.do(cmd.Context(), proofhouse.CaseID(args[0]), a)
		},
	}
	r.acting(cmd.Flags())
	if signedAct(use) {
		cmd.Flags().StringVar(&r.key, "key", "", "`FILE` of your signing key")
	}
	if flags != nil {
		flags(cmd.Flags())
	}
	return cmd
}

// signedActs are the commands whose act is signed.
var signedActs = []string{"move-window", "countersign", "answer", "waive"}

func signedAct(use string) bool {
	name, _, _ := strings.Cut(use, " ")
	for _, s := range signedActs {
		if s == name {
			return true
		}
	}
	return false
}

// do does an act and prints what came of it.
func (r *remote) do(ctx context.Context, id proofhouse.CaseID, a docket.Act) error {
	client, err := r.client()
	if err != nil {
		return err
	}
	opts := wire.Options{As: proofhouse.Role(r.as), At: r.at, Key: r.retry}
	if r.key != "" {
		if opts.Sign, err = r.signer(false); err != nil {
			return err
		}
		opts.Read = func(text string) error {
			r.console.say("signing: %s", text)
			return nil
		}
	}
	done, err := client.Do(ctx, id, a, opts)
	if err != nil {
		return err
	}
	return r.console.emit(done, func(w io.Writer) {
		fmt.Fprintf(w, "event %d: %s\n", done.Seq, a.Kind())
		states(w, done.Case)
	})
}

// states prints how a case stands, in two lines.
func states(w io.Writer, c wire.Case) {
	fmt.Fprintf(w, "%s %s: engagement %s, access %s", c.ID, c.Codename, c.State.Engagement, c.State.Access)
	if !c.Window.End.IsZero() && c.State.Access != docket.AccessEnded {
		fmt.Fprintf(w, " until %s", day(c.Window.End))
	}
	if !c.Withdrawn.IsZero() {
		fmt.Fprintf(w, ", withdrawn %s", day(c.Withdrawn))
	}
	fmt.Fprintln(w)
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// parseDate reads a day or an instant.
func parseDate(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, proofhouse.Errorf(proofhouse.Invalid, nil, "a date is like 2026-12-31 or 2026-12-31T17:00:00Z")
}

// parseMember reads PERSON@ORGANISATION and a role.
func parseMember(name, role string) (proofhouse.Actor, error) {
	person, organisation, ok := strings.Cut(name, "@")
	if !ok {
		return proofhouse.Actor{}, proofhouse.Errorf(proofhouse.Invalid, nil, "a person is named as PERSON@ORGANISATION")
	}
	a := proofhouse.Actor{Organisation: proofhouse.OrganisationID(organisation), Person: proofhouse.PersonID(person), Role: proofhouse.Role(role)}
	return a, a.Role.Validate()
}
