package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/proofhouse"
)

func (c *console) witness() *cobra.Command {
	cmd := &cobra.Command{Use: "witness", Short: "watch that a public log is not forked, and cosign its checkpoints"}
	var req app.WitnessRequest
	serve := &cobra.Command{
		Use:   "serve --dir DIR --log FILE",
		Short: "cosign what goes on from all that was cosigned before, and refuse the rest",
		Long: "Answers c2sp.org/tlog-witness. The folder has the witness's key and its memory; never put it back from an old copy.\n" +
			"A witness proves little in the hands of those who keep the log: run it on another machine.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if req.Dir == "" || len(req.Logs) == 0 {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "say where the witness keeps its memory and which logs it knows: --dir DIR --log FILE")
			}
			req.Ready = func(r app.WitnessReady) {
				_ = c.emit(r, func(w io.Writer) {
					fmt.Fprintf(w, "witness   %s\nkey       %s\nlogs      %s\n", r.URL, r.Key, strings.Join(r.Logs, ", "))
				})
			}
			return app.ServeWitness(cmd.Context(), req)
		},
	}
	f := serve.Flags()
	f.StringVar(&req.Dir, "dir", "", "folder of the witness's key and memory; made if it is not there")
	f.StringArrayVar(&req.Logs, "log", nil, "`FILE` with the verifier keys of the logs to cosign, one a line (repeatable)")
	f.StringVar(&req.Name, "name", "witness.example/w1", "the name that stands in the cosignatures: a host and a path of yours")
	f.StringVar(&req.Addr, "addr", "127.0.0.1:0", "address to serve on; port 0 takes a free one")
	cmd.AddCommand(serve)
	return cmd
}
