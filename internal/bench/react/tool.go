package react

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

const submitName = "submit"

// tools are what the model may call; names and parameters are Inspect's.
func tools(submitPath string) []chat.Tool {
	object := func(required string, properties string) json.RawMessage {
		return json.RawMessage(`{"type":"object","properties":{` + properties + `},"required":[` + required + `],"additionalProperties":false}`)
	}
	path, _ := json.Marshal("Absolute path of the file to submit (default: " + submitPath + ")") // a string
	return []chat.Tool{
		{
			Name: "bash", Description: "Use this function to execute bash commands.",
			Parameters: object(`"command"`, `"command":{"type":"string","description":"The bash command to execute."}`),
		},
		{
			Name: "python", Description: "Use the python function to execute Python code. Only what it prints is shown.",
			Parameters: object(`"code"`, `"code":{"type":"string","description":"The python code to execute."}`),
		},
		{
			Name: "text_editor", Description: "Use this function to view, create and edit text files.",
			Parameters: object(`"command","path"`, `"command":{"type":"string","enum":["view","create","str_replace","insert","undo_edit"],"description":"The command to execute."},`+
				`"path":{"type":"string","description":"Absolute path to file or directory, e.g. /out/make.py or /src."},`+
				`"file_text":{"type":"string","description":"Required parameter of create: the content of the file."},`+
				`"insert_line":{"type":"integer","description":"Required parameter of insert: new_str is inserted AFTER this line; 0 is the beginning."},`+
				`"new_str":{"type":"string","description":"Optional parameter of str_replace: the new string (if not given, nothing is put in its place). Required parameter of insert."},`+
				`"old_str":{"type":"string","description":"Required parameter of str_replace: the string to replace, which must occur exactly once."},`+
				`"view_range":{"type":"array","items":{"type":"integer"},"description":"Optional parameter of view for a file: the first and last line to show, from 1; [11, -1] shows all from line 11."}`),
		},
		{
			Name: submitName, Description: "Submit an input for evaluation.",
			Parameters: object(``, `"answer":{"type":"string","description":`+string(path)+`}`),
		},
	}
}

// toolbox runs tools in a sample's box as the user without rights.
type toolbox struct {
	box    sandbox.Box
	time   time.Duration
	output int
	undo   map[string][]edit // by path, the last one last
}

// workDir is where tools start: what the agent may write.
const workDir = "/out"

// doer runs a tool. fault is told to the model; err is ours.
type doer func(ctx context.Context, args json.RawMessage) (text string, fault *chat.ToolError, err error)

func (t *toolbox) tools() map[string]doer {
	return map[string]doer{"bash": t.bash, "python": t.python, "text_editor": t.edit}
}

// decode reads a call's arguments; what is not known is passed over, as
// models add fields.
func decode(args json.RawMessage, into any) *chat.ToolError {
	if err := json.Unmarshal(args, into); err != nil {
		return &chat.ToolError{Type: "parsing", Message: "the arguments are not as the tool's description says: " + strings.TrimPrefix(err.Error(), "json: ")}
	}
	return nil
}

func missing(name string) *chat.ToolError {
	return &chat.ToolError{Type: "parsing", Message: "the call lacks the parameter " + name}
}

func (t *toolbox) bash(ctx context.Context, args json.RawMessage) (string, *chat.ToolError, error) {
	var in struct {
		Command *string `json:"command"`
		Cmd     *string `json:"cmd"` // as older versions of Inspect's tool have it
	}
	if fault := decode(args, &in); fault != nil {
		return "", fault, nil
	}
	if in.Command == nil {
		in.Command = in.Cmd
	}
	if in.Command == nil {
		return "", missing("command"), nil
	}
	return t.shell(ctx, []string{"/bin/bash", "-c", *in.Command}, nil)
}

// noPython is what a box without Python says, and says so.
const noPython = 127

func (t *toolbox) python(ctx context.Context, args json.RawMessage) (string, *chat.ToolError, error) {
	var in struct {
		Code *string `json:"code"`
	}
	if fault := decode(args, &in); fault != nil {
		return "", fault, nil
	}
	if in.Code == nil {
		return "", missing("code"), nil
	}
	if res, err := t.exec(ctx, []string{"/bin/sh", "-c", "command -v python3 >/dev/null"}, nil); err != nil || res.Exit == noPython || res.Exit == 1 {
		return "", &chat.ToolError{Type: "file_not_found", Message: "there is no Python in this box: use bash"}, t.ours(ctx, err)
	}
	return t.shell(ctx, []string{"/bin/sh", "-c", "exec python3 -"}, []byte(*in.Code))
}

// ours is an error of a box as one of the house's, which ends the sample; what
// is not in the box is the model's to learn of.
func (t *toolbox) ours(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil && (proofhouse.KindOf(err) == proofhouse.NotFound || proofhouse.KindOf(err) == proofhouse.Invalid) {
		return nil
	}
	return err
}

// shell runs a program and gives what it wrote, errors first, as Inspect does.
func (t *toolbox) shell(ctx context.Context, argv []string, stdin []byte) (string, *chat.ToolError, error) {
	res, err := t.exec(ctx, argv, stdin)
	if err != nil {
		if ours := t.ours(ctx, err); ours != nil {
			return "", nil, ours
		}
		return "", &chat.ToolError{Type: "unknown", Message: "the command cannot be run in this box: it is too long, holds a zero byte, or its program is missing"}, nil
	}
	text := joined(res.Stderr)
	if out := joined(res.Stdout); text != "" && out != "" {
		text = strings.TrimSuffix(text, "\n") + "\n" + out
	} else {
		text += out
	}
	text = cut(text, t.output)
	switch {
	case res.Limit == sandbox.BoundMemory:
		return "", nil, proofhouse.Errorf(proofhouse.Limit, nil, "the box used up its memory")
	case res.Limit != "":
		fault := &chat.ToolError{Type: "timeout", Message: fmt.Sprintf("the command was ended after %v", t.time)}
		return strings.TrimPrefix(text+"\n("+fault.Message+")", "\n"), fault, nil
	case res.Signal != 0:
		text = strings.TrimPrefix(fmt.Sprintf("%s\n(ended by signal %d)", text, res.Signal), "\n")
	case res.Exit != 0:
		text = strings.TrimPrefix(fmt.Sprintf("%s\n(exit status %d)", text, res.Exit), "\n")
	}
	return text, nil, nil
}

func (t *toolbox) exec(ctx context.Context, argv []string, stdin []byte) (sandbox.Result, error) {
	cmd := sandbox.Command{Argv: argv, Dir: workDir, User: sandbox.Nobody, Wall: t.time}
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	return t.box.Exec(ctx, cmd)
}

// joined is an output with a word about what is missing.
func joined(o sandbox.Output) string {
	if o.Dropped == 0 {
		return string(o.Head) + string(o.Tail)
	}
	return fmt.Sprintf("%s\n… %d bytes left out …\n%s", o.Head, o.Dropped, o.Tail)
}

// cut keeps the head and the tail of a text, and says how much is missing.
func cut(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	head, tail := most-most/2, len(s)-most/2
	for head > 0 && s[head]&0xC0 == 0x80 {
		head--
	}
	for tail < len(s) && s[tail]&0xC0 == 0x80 {
		tail++
	}
	return fmt.Sprintf("%s\n… %d bytes left out …\n%s", s[:head], tail-head, s[tail:])
}
