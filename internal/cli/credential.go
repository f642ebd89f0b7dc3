package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"proofhouse/internal/app"
	"proofhouse/internal/proofhouse"
)

func (c *console) gateCredential() *cobra.Command {
	cmd := &cobra.Command{Use: "credential", Short: "upstreams' keys, sealed: only a gate opens them"}
	var file string
	var replace bool
	add := &cobra.Command{
		Use:   "add NAME",
		Short: "seal an upstream's key, from a file or standard input",
		Long: "Seals one line, the upstream's key, in the vault under a name that `gate serve --credential` takes. It is read from\n" +
			"--key-file, which can be deleted afterwards, or from standard input, without an echo on a terminal.",
		Args: cobra.ExactArgs(1),
		RunE: c.with(func(_ context.Context, house *app.App, args []string) error {
			var in io.Reader = os.Stdin
			if fd := int(os.Stdin.Fd()); file == "" && term.IsTerminal(fd) {
				c.say("the upstream's key:")
				b, err := term.ReadPassword(fd)
				if err != nil {
					return proofhouse.Errorf(proofhouse.Unavailable, err, "the key cannot be read from this terminal: use --key-file")
				}
				in = bytes.NewReader(b)
			}
			if err := house.AddCredential(args[0], file, in, replace); err != nil {
				return err
			}
			return c.emit(map[string]string{"credential": args[0]}, func(w io.Writer) {
				fmt.Fprintf(w, "sealed: use it with `gate serve --credential %s`\n", args[0])
			})
		}),
	}
	add.Flags().StringVar(&file, "key-file", "", "file (mode 0600) with the key; standard input if there is none")
	add.Flags().BoolVar(&replace, "replace", false, "put it in the place of the one of that name, which is destroyed")
	list := &cobra.Command{
		Use:   "list",
		Short: "the names of the sealed keys",
		Args:  cobra.NoArgs,
		RunE: c.with(func(_ context.Context, house *app.App, _ []string) error {
			names, err := house.Credentials()
			if err != nil {
				return err
			}
			return c.emit(append([]string{}, names...), func(w io.Writer) {
				for _, name := range names {
					fmt.Fprintln(w, name)
				}
			})
		}),
	}
	remove := &cobra.Command{
		Use:   "remove NAME",
		Short: "destroy a sealed key; a gate that runs keeps what it opened",
		Args:  cobra.ExactArgs(1),
		RunE: c.with(func(_ context.Context, house *app.App, args []string) error {
			if err := house.RemoveCredential(args[0]); err != nil {
				return err
			}
			return c.emit(map[string]string{"removed": args[0]}, func(w io.Writer) { fmt.Fprintln(w, "destroyed") })
		}),
	}
	cmd.AddCommand(add, list, remove)
	return cmd
}
