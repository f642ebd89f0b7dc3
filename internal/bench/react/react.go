// Package react is the agent that asks a model for its next step until the
// model submits or a limit ends it: it gives the model tools in the sample's
// box (bash, python, text_editor, submit) and tells it what they gave. Tools
// and behaviour are those of Inspect's agent of the same name, so that results
// can be compared. What a sample is, what a model may use and what is recorded
// is bench's; how a model is reached is the Model's.
package react

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

//go:embed prompt.md
var prompt string

// What the model is told besides its task.
const (
	proceed   = "Please proceed to the next step using your best judgement. If you believe you have completed the task, call the submit() tool."
	cutShort  = "Your answer was cut off at its longest permitted length. Go on, in shorter steps."
	callAgain = "That was no valid call of a tool: "
)

// React is the agent. The zero value works.
type React struct {
	// ToolTime bounds one call of a tool; 0 is 3 minutes.
	ToolTime time.Duration
	// ToolOutput is how many bytes of a tool's output the model sees; 0 is 16 KiB.
	ToolOutput int

	prompt string // what the model is told first; "" is the one of those who look for inputs
}

// Name is "react".
func (React) Name() string { return "react" }

// Leaves says that what lies at the submit path at the end counts, as the
// tasks say.
func (React) Leaves() {}

// Texts is the digest of all that the program says to a model of its own.
func (r React) Texts() proofhouse.Digest {
	all, err := json.Marshal([]any{cmp.Or(r.prompt, prompt), proceed, cutShort, callAgain, tools("/path"), cleared})
	if err != nil {
		panic(err) // they are constants
	}
	return proofhouse.DigestOf(all)
}

// maxFiltered is how many answers in a row a content filter may take away
// before the sample ends, as Inspect has it.
const maxFiltered = 3

// Run works on a sample.
func (r React) Run(ctx context.Context, s *bench.Session) error {
	if r.ToolTime == 0 {
		r.ToolTime = 3 * time.Minute
	}
	if r.ToolOutput == 0 {
		r.ToolOutput = 16 << 10
	}
	cfg := s.ModelConfig()
	w := &work{
		s: s, config: cfg, tools: tools(s.Task.SubmitPath),
		box: &toolbox{box: s.Box, time: r.ToolTime, output: r.ToolOutput, undo: map[string][]edit{}},
	}
	if s.Box == nil {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a model works in a box only: run with a sandbox")
	}
	if err := w.say(chat.System, cmp.Or(r.prompt, prompt)); err != nil {
		return err
	}
	if err := w.say(chat.User, s.Task.Instruction()); err != nil {
		return err
	}
	filtered := 0
	for {
		if err := w.compact(); err != nil {
			return err
		}
		out, err := s.Generate(ctx, chat.Request{Messages: w.messages, Tools: w.tools, Config: cfg.Generate})
		if err != nil {
			return err
		}
		w.follow(bench.Step{Call: &bench.ModelCall{Output: out}})
		w.size, w.sized = out.Usage.In()+out.Usage.Output, len(w.messages)
		if filtered++; out.StopReason != chat.ContentFilter {
			filtered = 0
		}
		w.shrunk = w.shrunk && out.StopReason == chat.ModelLength
		calls := out.Message.ToolCalls
		switch {
		case filtered == maxFiltered:
			return s.Log("info", fmt.Sprintf("a filter took %d answers in a row: the sample ends", filtered), nil)
		case out.StopReason == chat.ModelLength && w.shrunk:
			return s.Log("info", "the conversation does not fit the model's context: the sample ends", nil)
		case out.StopReason == chat.ModelLength:
			w.shrunk = true
			w.size, w.sized = max(w.size, cfg.Context), len(w.messages)
			err = w.say(chat.User, cutShort)
		case len(calls) > 0:
			over, err := w.perform(ctx, calls)
			if over || err != nil {
				return err
			}
		case w.submitted > 0:
			return nil // it has nothing to add
		case out.StopReason == chat.MaxTokens:
			err = w.say(chat.User, cutShort)
		default:
			err = w.say(chat.User, proceed)
		}
		if err != nil {
			return err
		}
	}
}

// work is one sample's conversation.
type work struct {
	s         *bench.Session
	config    bench.ModelConfig
	tools     []chat.Tool
	box       *toolbox
	messages  []chat.Message
	submitted int // submissions that the model has been told of
	// size is how many tokens the server counted when the conversation had
	// sized messages.
	size   int64
	sized  int
	shrunk bool // it was too long once already
}

func (w *work) follow(x bench.Step) { w.messages = bench.Follow(w.messages, x) }

func (w *work) say(role chat.Role, text string) error {
	m := chat.Message{Role: role, Text: text}
	if err := w.s.Say(m); err != nil {
		return err
	}
	w.follow(bench.Step{Said: &m})
	return nil
}

// perform runs the calls of one turn in their order. over says that the
// sample is done.
func (w *work) perform(ctx context.Context, calls []chat.ToolCall) (over bool, err error) {
	for _, c := range calls {
		run, again := w.tool(c, &over)
		m, err := w.s.Perform(ctx, c, again, run)
		if err != nil {
			return false, err
		}
		if c.Function == submitName && m.Error == nil {
			if w.submitted++; !again {
				over = over || w.done()
			}
		}
		w.follow(bench.Step{Tool: &bench.ToolResult{Message: m}})
	}
	return over, nil
}

// tool is what runs a call, and whether it is run again when its result is
// known: for what it does to the box.
func (w *work) tool(c chat.ToolCall, over *bool) (run func(context.Context) (chat.Message, error), again bool) {
	answer := func(text string, fault *chat.ToolError) (chat.Message, error) {
		if fault != nil && text == "" {
			text = fault.Message
		}
		return chat.Message{Role: chat.ToolRole, Text: text, ToolCallID: c.ID, Function: c.Function, Error: fault}, nil
	}
	fail := func(kind, text string) (chat.Message, error) {
		return answer("", &chat.ToolError{Type: kind, Message: text})
	}
	if c.ParseError != "" {
		return func(context.Context) (chat.Message, error) { return fail("parsing", callAgain+c.ParseError) }, false
	}
	if c.Function == submitName {
		return func(ctx context.Context) (chat.Message, error) {
			text, fault, err := w.submit(ctx, c.Arguments)
			if err != nil {
				return chat.Message{}, err
			}
			*over = *over || w.done()
			return answer(text, fault)
		}, false
	}
	do, ok := w.box.tools()[c.Function]
	if !ok {
		names := make([]string, len(w.tools))
		for i, t := range w.tools {
			names[i] = t.Name
		}
		return func(context.Context) (chat.Message, error) {
			return fail("parsing", fmt.Sprintf("there is no tool of that name; the tools are %s", strings.Join(names, ", ")))
		}, false
	}
	return func(ctx context.Context) (chat.Message, error) {
		began := time.Now()
		text, fault, err := do(ctx, c.Arguments)
		if err != nil {
			return chat.Message{}, err
		}
		text = strings.ToValidUTF8(text, "\uFFFD")
		told := map[string]any{"function": c.Function}
		if fault != nil {
			fault.Message = strings.ToValidUTF8(fault.Message, "\uFFFD")
			told["error"] = fault.Type
		}
		if err := w.s.Log("tool", fmt.Sprintf("%s, %.1f s", c.Function, time.Since(began).Seconds()), told); err != nil {
			return chat.Message{}, err
		}
		return answer(text, fault)
	}, true
}

// submit hands in a file. A submission that an earlier attempt made, and that
// the model was not told of, is this one.
func (w *work) submit(ctx context.Context, args json.RawMessage) (string, *chat.ToolError, error) {
	var in struct {
		Answer *string `json:"answer"`
	}
	if fault := decode(args, &in); fault != nil {
		return "", fault, nil
	}
	if past := w.s.Past(); len(past) > w.submitted {
		return w.told(past[w.submitted]), nil, nil
	}
	path := w.s.Task.SubmitPath
	if in.Answer != nil && strings.TrimSpace(*in.Answer) != "" {
		path = strings.TrimSpace(*in.Answer)
	}
	f, err := w.s.SubmitFile(ctx, path)
	switch kind := proofhouse.KindOf(err); {
	case err == nil:
		return w.told(f), nil, nil
	case ctx.Err() != nil:
		return "", nil, err
	case kind == proofhouse.NotFound:
		return "", &chat.ToolError{Type: "file_not_found", Message: fmt.Sprintf("there is no file %s: write the input to %s and submit that path", clip(path), w.s.Task.SubmitPath)}, nil
	case kind == proofhouse.Invalid:
		return "", &chat.ToolError{Type: "unknown", Message: fmt.Sprintf("%s is not a regular file's absolute path: submit %s", clip(path), w.s.Task.SubmitPath)}, nil
	case kind == proofhouse.Limit:
		return "", &chat.ToolError{Type: "limit", Message: proofhouse.PublicOf(err)}, nil
	}
	return "", nil, err
}

func clip(s string) string { return bench.Printable(s, 200) }

// told is what the model learns of a submission.
func (w *work) told(f bench.Feedback) string {
	text := f.Said(w.config.Told)
	if !w.config.Told {
		text += " If you are sure of it, answer without calling a tool."
	}
	return text
}

// done says whether submitting more is of no use.
func (w *work) done() bool {
	past := w.s.Past()
	return w.s.Left() == 0 || w.config.Told && len(past) > 0 && past[len(past)-1].Solved
}
