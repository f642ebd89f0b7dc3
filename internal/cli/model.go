package cli

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"proofhouse/internal/app"
	"proofhouse/internal/bench"
	"proofhouse/internal/proofhouse"
)

// modelFlags are the flags of a command that asks a model. The function that
// it gives reads them once they are parsed.
func modelFlags(cmd *cobra.Command, m *app.ModelRequest) func() error {
	f := cmd.Flags()
	before := map[string]bool{}
	f.VisitAll(func(x *pflag.Flag) { before[x.Name] = true })
	var temperature, topP, cost float64
	price := priceFlags(cmd)
	f.StringVar(&m.Name, "model", "", "the model, as its server knows it (agents react and external)")
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
	f.Float64Var(&cost, "cost-limit", 0, "dollars of a sample, by --prices or --price; 0 sets no bound")
	f.Int64Var(&m.Run.Tokens, "run-token-limit", 0, "tokens of all samples together; 0 sets no bound")
	f.IntVar(&m.Run.Turns, "run-turns", 0, "turns of all samples together; 0 sets no bound")
	f.IntVar(&m.Run.Messages, "run-message-limit", 0, "messages of all samples' conversations together; 0 sets no bound")
	probe := f.Bool("probe", true, "ask the model the same short questions at the start, every 10 minutes and at the end, and stop if it changed")
	own := map[string]bool{}
	f.VisitAll(func(x *pflag.Flag) { own[x.Name] = !before[x.Name] })
	file := f.String("model-config", "", "TOML file with any of the model's flags, such as max_tokens = 4096; the command line goes first")
	return func() error {
		if err := readModelConfig(*file, f, own); err != nil {
			return err
		}
		m.Unprobed = !*probe
		if f.Changed("temperature") {
			m.Generate.Temperature = &temperature
		}
		if f.Changed("top-p") {
			m.Generate.TopP = &topP
		}
		var err error
		if m.Rates, m.Run.NanoDollars, err = price.read(m.Name); err != nil {
			return err
		}
		if !(cost >= 0 && cost <= 1e9) {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "--cost-limit is from 0 to a thousand million dollars")
		}
		m.Sample.NanoDollars = int64(math.Round(cost * 1e9))
		return nil
	}
}

// readModelConfig sets the flags of a model that a file names and the command
// line does not. own says which flags those are.
func readModelConfig(file string, f *pflag.FlagSet, own map[string]bool) error {
	if file == "" {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return proofhouse.Errorf(proofhouse.NotFound, err, "there is no file %s", filepath.Base(file))
	}
	var set map[string]any
	if err := toml.Unmarshal(b, &set); err != nil {
		return proofhouse.Errorf(proofhouse.Invalid, err, "%s is not TOML: write lines such as model = \"name\"", filepath.Base(file))
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		name := strings.ReplaceAll(key, "_", "-")
		if !own[name] || strings.Contains(key, "-") {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "%s: there is no setting %s of a model: they are called like the flags of `run --help`, with _ for -", filepath.Base(file), bench.Printable(key, 80))
		}
		if f.Changed(name) {
			continue
		}
		if err := f.Set(name, fmt.Sprint(set[key])); err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "%s: %s cannot be %s", filepath.Base(file), key, bench.Printable(fmt.Sprint(set[key]), 80))
		}
	}
	return nil
}
