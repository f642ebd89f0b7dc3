package cli

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commandLine finds what a reader would type: in code blocks of the README
// and the docs.
var commandLine = regexp.MustCompile(`(?m)^\s*(?:\$ )?(?:sudo )?(?:bin/)?proofhouse ([a-z][^\n#|>&]*)`)

// TestREADMECommands parses every command line of the README and the docs: a
// command or flag that does not exist turns it red.
func TestREADMECommands(t *testing.T) {
	for _, name := range []string{"../../README.md", "../../docs/cli.md", "../../docs/backup.md", "../../docs/performance.md", "../../Makefile", "../../.ci/run"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		body := strings.NewReplacer(`"$proof"`, "\nproofhouse", "$(BIN)", "\nproofhouse", `"$1"`, "noop", `"$2"`, "20s").Replace(string(text))
		found := commandLine.FindAllStringSubmatch(body, -1)
		if len(found) == 0 && strings.HasSuffix(name, "README.md") {
			t.Errorf("%s shows no command", name)
		}
		for _, m := range found {
			if err := parses(strings.Fields(m[1])); err != nil {
				t.Errorf("%s: proofhouse %s: %v", name, m[1], err)
			}
		}
	}
}

// TestREADMESeesAFault plants lines that no reader could run.
func TestREADMESeesAFault(t *testing.T) {
	for _, line := range []string{"run --suit open-1", "suite mend open-1", "oracle check"} {
		if err := parses(strings.Fields(line)); err == nil {
			t.Errorf("proofhouse %s was taken for a command", line)
		}
	}
}

// parses finds the command of a line and parses its flags and arguments,
// without running it.
func parses(args []string) error {
	c := &console{out: io.Discard, err: io.Discard}
	root := c.root()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if !cmd.HasSubCommands() && cmd.RunE == nil {
		return cobra.OnlyValidArgs(cmd, rest)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return cobra.NoArgs(cmd, cmd.Flags().Args())
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

var flagName = regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`)

// TestEveryFlagDocumented reports each command and flag that docs/cli.md does
// not name.
func TestEveryFlagDocumented(t *testing.T) {
	raw, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), "proofhouse ")
		if cmd.Runnable() && !strings.Contains(page, "`"+path) {
			t.Errorf("docs/cli.md does not name the command %s", path)
		}
		for _, flag := range flagName.FindAllStringSubmatch(cmd.LocalFlags().FlagUsages(), -1) {
			if !regexp.MustCompile(flag[1] + `\b`).MatchString(page) {
				t.Errorf("docs/cli.md does not name %s of %s", flag[1], path)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	c := &console{out: io.Discard, err: io.Discard}
	for _, cmd := range c.root().Commands() {
		walk(cmd)
	}
}
