package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/proofhouse"
)

func (c *console) bundle() *cobra.Command {
	return group("bundle", "one file by which anybody can verify a case offline", c.bundleGet(), c.bundleReceipt())
}

// fetch is a command that reads something of a case into a new file; then is what to do with it.
func (c *console) fetch(use, short, long, then string, args int, into func(args []string) string, get func(ctx context.Context, client wire.Client, args []string, w io.Writer) error) *cobra.Command {
	r := remote{console: c}
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ExactArgs(args),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			name := into(args)
			f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return proofhouse.Errorf(proofhouse.Conflict, err, "the file is there already, or cannot be made: choose another")
			}
			err = get(cmd.Context(), client, args, f)
			if err = errors.Join(err, f.Close()); err != nil {
				_ = os.Remove(name)
				return err
			}
			return c.emit(map[string]string{"file": name}, func(w io.Writer) { fmt.Fprintf(w, "written to %s: %s\n", name, then) })
		},
	}
	r.flags(cmd.Flags())
	return cmd
}

func (c *console) bundleGet() *cobra.Command {
	var request, reader string
	cmd := c.fetch("get CASE FILE", "write a case's bundle, by a request that two others approved",
		"The bundle holds all that the case has: keep it as you would keep the case. `case request CASE export` asks for it, and two others approve. If the download\n"+
			"breaks off, the same command works again within an hour.\n"+
			"With --for, the bundle is for readers in a role: what they may not read is withheld, and stands there by its commitment and its place in the\n"+
			"log alone. `proofhouse verify` says what such a bundle proves and what not.", "`proofhouse verify` checks it", 2,
		func(args []string) string { return args[1] },
		func(ctx context.Context, client wire.Client, args []string, w io.Writer) error {
			return client.Bundle(ctx, proofhouse.CaseID(args[0]), proofhouse.Role(reader), request, w)
		})
	cmd.Flags().StringVar(&request, "request", "", "the approved `REQUEST`")
	cmd.Flags().StringVar(&reader, "for", "", "`ROLE` for whose readers it is, such as developer; else it holds everything")
	return cmd
}

func (c *console) bundleReceipt() *cobra.Command {
	return c.fetch("receipt CASE EVENT FILE", "write the receipt for an event",
		"Shows that the public log has the event. `verify --receipt` holds a later bundle to it: the event cannot be missing there.", "`proofhouse verify BUNDLE --receipt` holds a bundle to it", 3,
		func(args []string) string { return args[2] },
		func(ctx context.Context, client wire.Client, args []string, w io.Writer) error {
			seq, err := number("the event", args[1])
			if err != nil {
				return err
			}
			b, err := client.Receipt(ctx, proofhouse.CaseID(args[0]), seq)
			if err != nil {
				return err
			}
			_, err = io.Copy(w, strings.NewReader(string(b)))
			return err
		})
}
