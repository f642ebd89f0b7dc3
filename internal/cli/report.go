package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

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
	var cfg app.HouseConfig
	cmd := &cobra.Command{
		Use:   "serve [DIR]",
		Short: "serve the house of cases, or show a run's report, until Ctrl-C",
		Long: "Serves cases, people and the public log: the API under /v1/ and the log under /log/. The first start prints a code, once, by which\n" +
			"somebody becomes its first administrator. It speaks plain HTTP: before it leaves this machine, put TLS in front of it.\n" +
			"With DIR, shows the report of the run in that folder, to this machine only.",
		Args: cobra.MaximumNArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			if len(args) == 1 {
				if addr == "" {
					addr = "127.0.0.1:0"
				}
				return c.serveReport(ctx, house, args[0], addr)
			}
			if addr == "" {
				addr = app.HouseAddr
			}
			return c.serveHouse(ctx, house, cfg, addr)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&addr, "addr", "", "address; port 0 takes a free one (default "+app.HouseAddr+", for a report a free port)")
	f.StringVar(&cfg.Database, "database", "", "`ADDRESS` of the database, sqlite:PATH or postgres://… (default a file in the data folder)")
	f.StringVar(&cfg.Origin, "log-name", "", "name of the public log, such as review.example/log; for good (default a random one)")
	f.StringVar(&cfg.Policies, "policies", "", "`FOLDER` of Cedar rules beside the house's own")
	f.StringVar(&cfg.URL, "url", "", "`ADDRESS` at which browsers reach the house, such as https://house.example; passkeys are bound to it (default none, and no passkeys)")
	f.StringVar(&cfg.Issuers, "issuers", "", "`FILE` with providers of identities (OpenID Connect) whose accounts people sign in by; needs --url")
	f.StringVar(&cfg.Witnesses, "witnesses", "", "`FILE` with the witnesses of the public log, a line each: verifier key and address")
	return cmd
}

// serveHouse serves cases until ctx ends, which is no error.
func (c *console) serveHouse(ctx context.Context, a *app.App, cfg app.HouseConfig, addr string) error {
	house, err := a.OpenHouse(ctx, cfg)
	if err != nil {
		return err
	}
	defer house.Close()
	code, err := house.Directory.FirstCode(ctx, time.Now())
	if err != nil {
		return err
	}
	return house.Serve(ctx, addr, func(url string) {
		_ = c.emit(map[string]string{"url": url, "log": house.LogKey(), "code": code}, func(w io.Writer) {
			fmt.Fprintf(w, "the house is at %s until Ctrl-C\nits public log is at %s/log/ and signs as %s\n", url, url, house.LogKey())
			if code != "" {
				fmt.Fprintf(w, "nobody is in it yet. Whoever has this code becomes its first administrator, once:\n\n  proofhouse admin claim --house %s --code %s --as PERSON@ORGANISATION --token-file FILE\n\n", url, code)
			}
		})
	})
}

// serveReport shows a report until ctx ends, which is no error.
func (c *console) serveReport(ctx context.Context, house *app.App, folder, addr string) error {
	return house.ServeReport(ctx, folder, addr, func(url string) {
		_ = c.emit(map[string]string{"url": url}, func(w io.Writer) { fmt.Fprintf(w, "the report is at %s until Ctrl-C\n", url) })
	})
}
