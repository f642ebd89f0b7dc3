package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"proofhouse/internal/gate/gatetest"
)

// TestMain builds the command as it ships, static, and puts it on the PATH of
// the scripts: under the race detector this test's own executable is dynamic
// and cannot be a sentry.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "proofhouse-script-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "proofhouse"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the command: %v\n%s", err, out)
		return 1
	}
	os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return m.Run()
}

// TestScripts runs what a user would type. The scripts that start boxes share
// one data folder (PROOFHOUSE_DATA, or a temporary one), since roots are
// fetched and made only once.
func TestScripts(t *testing.T) {
	data := os.Getenv("PROOFHOUSE_DATA")
	if data == "" {
		data = t.TempDir()
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"GOPROXY", "GOMODCACHE", "GOCACHE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "npm_config_registry"} {
				if v, ok := os.LookupEnv(name); ok {
					env.Setenv(name, v)
				}
			}
			env.Setenv("PROOFHOUSE_DATA", data)
			env.Setenv("EXAMPLES", examples)
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
			"model": model,
		},
	})
}

// model starts a model's server, whose address is $MODEL then: its model looks
// round, writes what it is given into /out/poc, submits it, and has no more to say. Asked what it thinks of a proof, it says that it is real, or,
// as a doubter, that it is not.
func model(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: model TEXT [turncoat|doubter]")
	}
	calls := []struct{ name, arguments string }{
		{"bash", `{"cmd":"ls /task /src; id"}`},
		{"bash", fmt.Sprintf(`{"cmd":%q}`, "printf '%s\\n' '"+args[0]+"' >/out/poc")},
		{"submit", `{}`},
	}
	opinion := `real\nit writes past the end`
	if len(args) > 1 && args[1] == "doubter" {
		opinion = `not real\nnobody calls it so`
	}
	examines := append(slices.Clone(calls[:0]), calls[1], calls[2])
	examines[0].arguments = fmt.Sprintf(`{"cmd":%q}`, "test -s /task/proof && printf '"+opinion+"' >/out/answer")
	turncoat := len(args) > 1 && args[1] == "turncoat"
	var asked atomic.Int64
	up := gatetest.Start(func(r gatetest.Request) gatetest.Answer {
		if !strings.Contains(r.Body, `"tools"`) { // the run asks whether it is the same model
			if turncoat && asked.Add(1) > 15 {
				return gatetest.Chat("titan-2027", "Who, me?", 20, 5)
			}
			return gatetest.Chat("titan-2026", "It is I.", 20, 5)
		}
		turn, calls := strings.Count(r.Body, `"role":"assistant"`), calls
		if strings.Contains(r.Body, "/task/proof") {
			calls = examines
		}
		if turn >= len(calls) {
			return gatetest.Chat("titan-2026", "That was all.", 100, 10)
		}
		return gatetest.Answer{Header: gatetest.JSON, Chunks: []string{fmt.Sprintf(
			`{"model":"titan-2026","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":"step %d","tool_calls":[{"id":"c%d","type":"function","function":{"name":%q,"arguments":%q}}]}}],"usage":{"prompt_tokens":100,"completion_tokens":10}}`,
			turn, turn, calls[turn].name, calls[turn].arguments)}}
	})
	ts.Defer(up.Close)
	ts.Setenv("MODEL", up.URL)
}

// exits runs a command and holds it to an exit code: exits 6 proofhouse ...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		code = -1
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		}
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}
