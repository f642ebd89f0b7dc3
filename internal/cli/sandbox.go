package cli

import "github.com/spf13/cobra"

func (c *console) sandbox() *cobra.Command {
	return &cobra.Command{Use: "sandbox", Short: "what this machine can hold"}
}
