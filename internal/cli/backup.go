package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/proofhouse"
)

func (c *console) backup() *cobra.Command {
	var database string
	cmd := &cobra.Command{
		Use:   "backup FOLDER",
		Short: "copy the house into a new folder, but for its keys, while it is served or not",
		Long: "Copies the public log, the database (as a SQLite file, whatever it is here) and the vault's sealed bodies. What opens them is not in it: copy\n" +
			"keys/, gate/ and of vault/ all but the bodies apart, into a place that a destruction of keys reaches too.",
		Args: cobra.ExactArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			b, err := house.Backup(ctx, args[0], database, time.Now())
			if err != nil {
				return err
			}
			if err := house.NoteBackup(args[0], b); err != nil {
				c.say("the backup is whole, but the data folder could not note it: %s", proofhouse.PublicOf(err))
			}
			return c.emit(b, func(w io.Writer) {
				fmt.Fprintf(w, "%d leaves of the public log, %d rows and %d sealed bodies are in %s\n", b.Leaves, b.Rows, b.Bodies, args[0])
				fmt.Fprintln(w, "the keys are not: copy keys/, gate/ and of vault/ all but the bodies apart, to where a destruction of keys reaches")
			})
		}),
	}
	cmd.Flags().StringVar(&database, "database", "", "`ADDRESS` of the database that the house is served with (default a file in the data folder)")
	return cmd
}

func (c *console) restore() *cobra.Command {
	var req app.RestoreRequest
	cmd := &cobra.Command{
		Use:   "restore FOLDER",
		Short: "put a backup back into a data folder that has the keys, and check all of it",
		Long: "The data folder has the keys, as they were kept apart, and nothing else of a house; the database is empty, and need not be of the kind that\n" +
			"it was. If the public log went on after the backup and its folder is left, name it with --log: a log that goes on from the older copy is a\n" +
			"fork for everybody who saw more. What is wrong ends it; lost leaves and keys are named, and are exit code 9.",
		Args: cobra.ExactArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			req.Folder = args[0]
			r, err := house.Restore(ctx, req, time.Now())
			if err != nil && proofhouse.KindOf(err) != proofhouse.Failed {
				return err
			}
			if out := c.emit(r, func(w io.Writer) { printRestored(w, r) }); out != nil {
				return out
			}
			return err
		}),
	}
	f := cmd.Flags()
	f.StringVar(&req.Database, "database", "", "`ADDRESS` of an empty database (default a file in the data folder)")
	f.StringVar(&req.Log, "log", "", "`FOLDER` of the public log as it was left, newer than the backup's")
	return cmd
}

func printRestored(w io.Writer, r app.Restored) {
	fmt.Fprintf(w, "put back from the backup of %s: %d rows, %d sealed bodies\n", day(r.Backup.Made), r.Backup.Rows, r.Bodies)
	fmt.Fprintf(w, "checked: %d cases, each of their %d events applied again, and %d projects with findings; %d entries of the register of people;\n", r.Cases, r.Events, r.Projects, r.House)
	fmt.Fprintf(w, "  %d leaves of the public log, each the entry that the database has there; %d entries wait for the log\n", r.Leaves, r.Waiting)
	if r.Shredded > 0 {
		fmt.Fprintf(w, "%d cases do not open: their keys were destroyed\n", r.Shredded)
	}
	if r.BodiesLeft > 0 {
		fmt.Fprintf(w, "%d sealed bodies were left out: the keys of their compartments are not in vault/\n", r.BodiesLeft)
	}
	for _, id := range r.Unopened {
		fmt.Fprintf(w, "NOT OPENED: %s: its key is not here; put it back into keys/case/\n", id)
	}
	for _, l := range r.Lost {
		fmt.Fprintf(w, "LOST: leaf %d of the public log, %s: what it stands for was accepted after the backup\n", l.Index, l.Leaf)
	}
}
