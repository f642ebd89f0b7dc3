package cli

import (
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
)

func (c *console) roots() *cobra.Command {
	cmd := &cobra.Command{Use: "root", Short: "the read-only file systems that boxes start from"}
	with := func(use, short string, args cobra.PositionalArgs, do func(cmd *cobra.Command, house *app.App, args []string) (any, error)) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
			house, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer house.Close()
			v, err := do(cmd, house, args)
			if err != nil {
				return err
			}
			return c.emit(v, func(w io.Writer) {
				rows := [][]any{{"ROOT", "IMAGE", "MB", "PACKAGES", "DESCRIPTION"}}
				for _, r := range v.([]app.RootRow) {
					rows = append(rows, []any{r.Name, r.Image.Short(), r.Bytes >> 20, r.Packages, r.Description})
				}
				table(w, rows...)
			})
		}}
	}
	cmd.AddCommand(
		with("list", "the roots, and which are made here", cobra.NoArgs, func(_ *cobra.Command, house *app.App, _ []string) (any, error) {
			return house.ListRoots()
		}),
		with("make NAME...", "make roots from their locks", cobra.MinimumNArgs(1), func(cmd *cobra.Command, house *app.App, args []string) (any, error) {
			return house.MakeRoots(cmd.Context(), args, func(s string) { c.say("%s", s) })
		}),
		with("relock NAME...", "lock roots anew from the signed index of today, and make them", cobra.MinimumNArgs(1), func(cmd *cobra.Command, house *app.App, args []string) (any, error) {
			return house.RelockRoots(cmd.Context(), args, func(s string) { c.say("%s", s) })
		}),
	)
	return cmd
}

func (c *console) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "this program's version and where it keeps its data",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			house, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer house.Close()
			v := map[string]string{"version": app.Version, "go": runtime.Version(), "data": house.Config.Data, "provider": house.Config.Provider}
			return c.emit(v, func(w io.Writer) {
				table(w, []any{"version", v["version"]}, []any{"go", v["go"]}, []any{"data folder", v["data"]}, []any{"sandbox", v["provider"]})
			})
		},
	}
}
