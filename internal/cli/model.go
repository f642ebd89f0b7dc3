package cli

import (
	"github.com/spf13/cobra"

	"proofhouse/internal/app"
)

// modelFlags are the flags of a command that asks a model. The function that
// it gives reads them once they are parsed.
func modelFlags(cmd *cobra.Command, m *app.ModelRequest) func() error {
	f := cmd.Flags()
	var temperature, topP float64
	price := priceFlags(cmd)
	f.StringVar(&m.Name, "model", "", "the model, as its server knows it (agent react)")
	f.StringVar(&m.Codename, "codename", "", "what the record calls it (default: a name made from the output folder)")
	f.StringVar(&m.Upstream, "upstream", "", "address of the model's server (default: OPENAI_BASE_URL or ANTHROPIC_BASE_URL)")
	f.StringVar(&m.KeyFile, "key-file", "", "file (mode 0600) with the server's key (default: OPENAI_API_KEY or ANTHROPIC_API_KEY)")
	f.StringVar(&m.Credential, "credential", "", "name of a sealed key, see gate credential")
	f.StringVar(&m.Protocol, "protocol", "openai-chat", "openai-chat, openai-responses or anthropic-messages")
	f.StringVar(&m.CapField, "cap-field", "", "field for the output cap, for servers that know only max_tokens (default max_completion_tokens)")
	f.Int64Var(&m.Context, "context", 0, "the model's context window in tokens: what comes near it is compacted; 0 is unknown")
	f.Int64Var(&m.Generate.MaxTokens, "max-tokens", 4096, "output tokens of one answer")
	f.Float64Var(&temperature, "temperature", 0, "temperature (default: the server's)")
	f.Float64Var(&topP, "top-p", 0, "top p (default: the server's)")
	f.StringVar(&m.Generate.ReasoningEffort, "reasoning-effort", "", "reasoning effort, where the protocol has it")
	f.Int64Var(&m.Generate.ReasoningTokens, "reasoning-tokens", 0, "reasoning tokens, where the protocol has them")
	f.BoolVar(&m.Told, "told", false, "tell the model whether a submission solved the task")
	f.IntVar(&m.Sample.Turns, "turns", 0, "turns of the model in a sample; 0 sets no bound")
	f.IntVar(&m.Sample.Messages, "message-limit", 0, "messages in a sample's conversation; 0 sets no bound")
	f.Int64Var(&m.Sample.Tokens, "token-limit", 0, "tokens of a sample, in and out; 0 sets no bound")
	f.Int64Var(&m.Run.Tokens, "run-token-limit", 0, "tokens of all samples together; 0 sets no bound")
	probe := f.Bool("probe", true, "ask the model the same short questions at the start, every 10 minutes and at the end, and stop if it changed")
	return func() error {
		m.Unprobed = !*probe
		if f.Changed("temperature") {
			m.Generate.Temperature = &temperature
		}
		if f.Changed("top-p") {
			m.Generate.TopP = &topP
		}
		var err error
		m.Rates, m.Run.NanoDollars, err = price.read(m.Name)
		return err
	}
}
