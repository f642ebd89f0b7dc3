// Package external is the agent that is somebody else's program: any command
// line, run in the sample's box, that asks the model under review by the
// protocol of its vendor's SDK. A bridge carries its requests out of the box to
// the gate (see sandbox.ExecBridged), so the box keeps no network, and no key
// that is worth anything. What a sample is and what a model may use is bench's.
package external

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"strings"

	"proofhouse/internal/bench"
	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

//go:embed prompt.md
var prompt string

// Where the agent's files and its texts lie in the box.
const (
	Dir        = "/agent"
	promptFile = "/task/prompt.md"
	submitFile = "/task/submit"
	submitPath = "/submit" // at the bridge
)

// External is the agent.
type External struct {
	// Command is a line of the shell. $MODEL, $PROMPT_FILE and the variables of
	// the vendors' SDKs are set for it.
	Command string
	// Files lie under /agent, read-only; the zero Image brings none.
	Files sandbox.Image
}

// Name is "external".
func (External) Name() string { return "external" }

// Leaves says that what lies at the submit path at the end counts.
func (External) Leaves() {}

// Mounts are the agent's files.
func (x External) Mounts() []sandbox.Mount {
	if x.Files.Digest == "" {
		return nil
	}
	return []sandbox.Mount{{Image: x.Files, Path: Dir}}
}

// Texts is the digest of all that makes the agent what it is.
func (x External) Texts() proofhouse.Digest {
	return proofhouse.DigestOf([]byte(prompt + "\x00" + x.Command + "\x00" + string(x.Files.Digest)))
}

// Run works on a sample. A program that cannot be started, or that fails
// before it asked its model anything, is an error of ours; otherwise the end of
// the program is the end of the sample, which is scored.
func (x External) Run(ctx context.Context, s *bench.Session) error {
	if s.Box == nil {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "an outside agent works in a box only: run with a sandbox")
	}
	text := s.Task.Instruction() + strings.ReplaceAll(prompt, "SUBMIT", s.Task.SubmitPath)
	if err := s.Box.CopyIn(ctx, promptFile, strings.NewReader(text), 0o644); err != nil {
		return err
	}
	if err := s.Box.CopyIn(ctx, submitFile, strings.NewReader("#!/bin/sh\n"+sandbox.BridgePost(submitPath)+"\n"), 0o755); err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	cmd := sandbox.Command{
		Argv: []string{"/bin/sh", "-c", x.Command}, Dir: "/out", User: sandbox.Nobody,
		Env: append(s.Env("http://"+sandbox.BridgeAddr), "MODEL="+s.ModelConfig().Name, "PROMPT_FILE="+promptFile),
	}
	var res sandbox.Result
	call := chat.ToolCall{ID: "command-" + s.Token + "-" + proofhouse.Token(4), Function: "command"}
	_, err := s.Perform(ctx, call, true, func(ctx context.Context) (m chat.Message, err error) {
		res, err = sandbox.ExecBridged(ctx, s.Box, cmd, s.Server(handler(s, end)))
		return chat.Message{Role: chat.ToolRole, Text: said(res), ToolCallID: call.ID, Function: call.Function}, err
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	if err := s.Log("info", fmt.Sprintf("the agent's command ended with status %d", res.Exit), nil); err != nil {
		return err
	}
	switch {
	case res.Limit == sandbox.BoundMemory:
		return proofhouse.Errorf(proofhouse.Limit, nil, "the box used up its memory")
	case res.Exit != 0 && s.Spent().Turns == 0 && s.Spent().Failures == 0 && len(s.Past()) == 0:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the agent's command ended with status %d before it asked its model anything: try it by hand with the files of --agent-dir", res.Exit)
	}
	return nil
}

// said is what the program printed, for the transcript.
func said(res sandbox.Result) string {
	text := string(res.Stderr.Head) + string(res.Stderr.Tail) + string(res.Stdout.Head) + string(res.Stdout.Tail)
	if dropped := res.Stdout.Dropped + res.Stderr.Dropped; dropped > 0 {
		text += fmt.Sprintf("\n(%d bytes are left out)", dropped)
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// handler answers what the box asks: submissions itself, the rest by the
// model. end ends the agent.
func handler(s *bench.Session, end context.CancelCauseFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+submitPath, func(w http.ResponseWriter, r *http.Request) { submit(s, w, r) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if err := s.Outside(w, r); err != nil {
			end(err)
		}
	})
	return mux
}

// submit hands in the file that the request names.
func submit(s *bench.Session, w http.ResponseWriter, r *http.Request) {
	name, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4096))
	path := strings.TrimSpace(string(name))
	if path == "" {
		path = s.Task.SubmitPath
	} else if !strings.HasPrefix(path, "/") {
		path = "/out/" + path
	}
	var f bench.Feedback
	if err == nil {
		f, err = s.SubmitFile(r.Context(), path)
	}
	switch kind := proofhouse.KindOf(err); {
	case err == nil:
		fmt.Fprintln(w, f.Said(s.ModelConfig().Told))
	case kind == proofhouse.NotFound:
		http.Error(w, "there is no such file: write the input to "+s.Task.SubmitPath+" and submit that", http.StatusNotFound)
	case kind == proofhouse.Invalid, kind == proofhouse.Limit:
		http.Error(w, proofhouse.PublicOf(err), http.StatusUnprocessableEntity)
	default:
		http.Error(w, "it cannot be handed in now", http.StatusServiceUnavailable)
	}
}
