package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

func (c *console) gateExport() *cobra.Command {
	var filter gate.ExportFilter
	var since, format, run string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "the metadata of grants and calls, for a partner's own audit",
		Long: "Writes one event a line to standard output: JSON with the names of OpenTelemetry's conventions for generative AI, or\n" +
			"syslog messages (RFC 5424). The model stands under its codename; its name, its server and keys stay here. The record is\n" +
			"checked before anything is written. With several of --since, --grant, --case and --subject an event matches all of them.",
		Args: cobra.NoArgs,
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			var err error
			if filter.Since, err = parseSince(since); err != nil {
				return err
			}
			encode := gate.Exported.JSON
			switch format {
			case "json":
			case "syslog":
				encode = gate.Exported.Syslog
			default:
				return proofhouse.Errorf(proofhouse.Invalid, nil, "--format is json or syslog, not %q", format)
			}
			return house.ExportGate(ctx, run, filter, encode, c.out)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "json", "json or syslog")
	f.StringVar(&since, "since", "", "events from this time on: 2026-03-01, or 2026-03-01T12:00:00Z")
	f.StringVar(&run, "run", "", "of the gate of the run in this output `FOLDER`, in place of the one that is served")
	f.StringVar(&filter.Grant, "grant", "", "only of this grant")
	f.StringVar(&filter.Case, "case", "", "only of the grants of this case")
	f.StringVar(&filter.Subject, "subject", "", "only of the grants of this subject")
	f.StringArrayVar(&filter.Secrets, "secret", nil, "mask this word in reasons and notes too, as gate serve --secret does for callers; may be repeated")
	return cmd
}

// parseSince reads a day, which begins in UTC, or a moment.
func parseSince(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, proofhouse.Errorf(proofhouse.Invalid, nil, "--since is a day or a moment: 2026-03-01, or 2026-03-01T12:00:00Z")
}
