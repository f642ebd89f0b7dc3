package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
)

func (c *console) report() *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR [DIR...]",
		Short: "write a run's report, results and Inspect log again; further runs are compared with it",
		Args:  cobra.MinimumNArgs(1),
		RunE: c.with(func(_ context.Context, house *app.App, args []string) error {
			if err := house.Report(args); err != nil {
				return err
			}
			path := filepath.Join(args[0], "report.html")
			return c.emit(map[string]string{"report": path}, func(w io.Writer) { fmt.Fprintln(w, "report:", path) })
		}),
	}
}

func (c *console) serve() *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use:   "serve DIR",
		Short: "show a run's report on a port of this machine until Ctrl-C",
		Args:  cobra.ExactArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			return c.serveReport(ctx, house, args[0], addr)
		}),
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:0", "loopback address; port 0 takes a free one")
	return cmd
}

// serveReport shows a report until ctx ends, which is no error.
func (c *console) serveReport(ctx context.Context, house *app.App, folder, addr string) error {
	return house.ServeReport(ctx, folder, addr, func(url string) {
		_ = c.emit(map[string]string{"url": url}, func(w io.Writer) { fmt.Fprintf(w, "the report is at %s until Ctrl-C\n", url) })
	})
}
