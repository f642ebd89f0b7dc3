package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/proofhouse"
)

// readModel reads a model's flags from a text for --model-config, after args.
func readModel(t *testing.T, m *app.ModelRequest, file string, args ...string) error {
	t.Helper()
	name := filepath.Join(t.TempDir(), "model.toml")
	if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := &cobra.Command{}
	cmd.Flags().String("out", "", "")
	read := modelFlags(cmd, m)
	if err := cmd.ParseFlags(append(args, "--model-config", name)); err != nil {
		t.Fatal(err)
	}
	return read()
}

// TestModelConfig: a file says what the flags say, and the command line goes first.
func TestModelConfig(t *testing.T) {
	var m app.ModelRequest
	file := "model = \"titan\"\nupstream = \"http://127.0.0.1:1\"\nmax_tokens = 100\ntemperature = 0.5\ntold = true\nprice = \"1,1,1,1\"\ndollars = 2\ncost_limit = 0.25\nturns = 7\nrun_turns = 70\nrun_message_limit = 700\n"
	if err := readModel(t, &m, file, "--max-tokens", "50"); err != nil {
		t.Fatal(err)
	}
	if m.Name != "titan" || m.Generate.MaxTokens != 50 || *m.Generate.Temperature != 0.5 || !m.Told || m.Run.NanoDollars != 2e9 || m.Sample.NanoDollars != 25e7 ||
		m.Sample.Turns != 7 || m.Run.Turns != 70 || m.Run.Messages != 700 || m.Unprobed {
		t.Errorf("%+v", m)
	}
}

func TestBadModelConfig(t *testing.T) {
	for file, want := range map[string]string{
		"model = ":              "is not TOML",
		"modle = \"x\"":         "no setting modle",
		"out = \"elsewhere\"":   "no setting out", // a flag, but not one of the model
		"model_config = \"x\"":  "no setting model_config",
		"api_key = \"sk-1\"":    "no setting api_key",
		"max-tokens = 5":        "no setting max-tokens",
		"max_tokens = \"many\"": "max_tokens cannot be many",
		"max_tokens = [1, 2]":   "max_tokens cannot be",
		"cost_limit = -1":       "--cost-limit is from 0",
	} {
		err := readModel(t, &app.ModelRequest{}, file)
		if proofhouse.KindOf(err) != proofhouse.Invalid || !strings.Contains(proofhouse.PublicOf(err), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	cmd := &cobra.Command{}
	read := modelFlags(cmd, &app.ModelRequest{})
	_ = cmd.ParseFlags([]string{"--model-config", "/nowhere"})
	if err := read(); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Error(err)
	}
}
