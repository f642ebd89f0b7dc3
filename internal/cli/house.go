package cli

import (
	"context"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
)

func (c *console) roots() *cobra.Command {
	cmd := &cobra.Command{Use: "root", Short: "the read-only file systems that boxes start from"}
	add := func(use, short string, args cobra.PositionalArgs, do func(ctx context.Context, house *app.App, names []string) ([]app.RootRow, error)) {
		cmd.AddCommand(&cobra.Command{Use: use, Short: short, Args: args, RunE: c.with(func(ctx context.Context, house *app.App, names []string) error {
			list, err := do(ctx, house, names)
			if err != nil {
				return err
			}
			return c.emit(list, func(w io.Writer) {
				rows := [][]any{{"ROOT", "IMAGE", "MB", "PACKAGES", "DESCRIPTION"}}
				for _, r := range list {
					rows = append(rows, []any{r.Name, r.Image.Short(), r.Bytes >> 20, r.Packages, r.Description})
				}
				table(w, rows...)
			})
		})})
	}
	say := func(s string) { c.say("%s", s) }
	add("list", "the roots, and which are made here", cobra.NoArgs, func(_ context.Context, house *app.App, _ []string) ([]app.RootRow, error) {
		return house.ListRoots()
	})
	add("make NAME...", "make roots from their locks", cobra.MinimumNArgs(1), func(ctx context.Context, house *app.App, names []string) ([]app.RootRow, error) {
		return house.MakeRoots(ctx, names, say)
	})
	add("relock NAME...", "lock roots anew from the signed index of today, and make them", cobra.MinimumNArgs(1), func(ctx context.Context, house *app.App, names []string) ([]app.RootRow, error) {
		return house.RelockRoots(ctx, names, say)
	})
	return cmd
}

func (c *console) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "this program's version and where it keeps its data",
		Args:  cobra.NoArgs,
		RunE: c.with(func(_ context.Context, house *app.App, _ []string) error {
			v := map[string]string{"version": app.Version, "go": runtime.Version(), "data": house.Config.Data, "provider": house.Config.Provider}
			return c.emit(v, func(w io.Writer) {
				table(w, []any{"version", v["version"]}, []any{"go", v["go"]}, []any{"data folder", v["data"]}, []any{"sandbox", v["provider"]})
			})
		}),
	}
}
