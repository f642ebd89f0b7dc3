package cli

import (
	"encoding/base64"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// caseSign signs a text that a page of the house showed, for whoever works there.
func (c *console) caseSign() *cobra.Command {
	r := remote{console: c}
	cmd := &cobra.Command{
		Use: "sign FILE", Short: "sign a text that a page of the house shows", Args: cobra.ExactArgs(1),
		Long: "Signs a text that you saved from a page, and prints what to paste there. It says nothing to the house itself. Read the text first.\n" +
			"Whoever has named a passkey in the case signs in the page itself instead.",
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return proofhouse.Errorf(proofhouse.NotFound, err, "that file cannot be read")
			}
			key, err := r.signer(false)
			if err != nil {
				return err
			}
			signature, err := docket.SignText(text, key)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.out, base64.StdEncoding.EncodeToString(signature.Bytes))
			return err
		},
	}
	cmd.Flags().StringVar(&r.key, "key", "", "`FILE` of your signing key")
	return cmd
}
