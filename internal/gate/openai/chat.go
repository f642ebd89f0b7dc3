package openai

import (
	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
)

// Chat is Chat Completions: POST /v1/chat/completions.
type Chat struct {
	bearer
	// CapField is the field that an output cap goes to: "" is
	// "max_completion_tokens"; servers that do not know it want "max_tokens".
	CapField string
}

func (c Chat) capField() string {
	if c.CapField == "" {
		return "max_completion_tokens"
	}
	return c.CapField
}

// Name is "openai-chat".
func (Chat) Name() string { return "openai-chat" }

// Path is that of the OpenAI API reference.
func (Chat) Path() string { return "/v1/chat/completions" }

// Refuse is the error body of the OpenAI API reference.
func (Chat) Refuse(r gate.Refusal) []byte { return refuse(r) }

// Cut is an error chunk. No [DONE] follows: to the SDKs that would be an
// answer that ended well.
func (Chat) Cut(r gate.Refusal) []byte {
	return append(append([]byte("data: "), refuse(r)...), "\n\n"...)
}

// Read implements gate.Protocol.
func (p Chat) Read(body []byte) (gate.Call, error) {
	root, err := gate.Request(body)
	if err != nil {
		return gate.Call{}, err
	}
	f, err := gate.Governed(root, "the body", "model", "stream", "stream_options", "max_tokens", "max_completion_tokens",
		"n", "best_of", "tools", "functions", "messages", "web_search_options")
	if err != nil {
		return gate.Call{}, err
	}
	c := gate.Call{ModelAt: f["model"].Span, CapField: p.capField()}
	if c.Model, err = gate.ModelOf(f["model"]); err != nil {
		return gate.Call{}, err
	}
	for _, name := range []string{"tools", "functions", "messages"} {
		if err := gate.Want(f[name], name, "[", "an array"); err != nil {
			return gate.Call{}, err
		}
	}
	if c.Outputs, err = outputs(f); err != nil {
		return gate.Call{}, err
	}
	old, err := f["max_tokens"].Requested("max_tokens", 0)
	if err != nil {
		return gate.Call{}, err
	}
	if c.OutputCap, err = f["max_completion_tokens"].Requested("max_completion_tokens", 0); err != nil {
		return gate.Call{}, err
	}
	c.OutputCap = max(c.OutputCap, old)
	if err := chatStream(&c, root, f); err != nil {
		return gate.Call{}, err
	}

	if !f["web_search_options"].Null() {
		c.ByRef = "web_search_options"
	}
	hosted, err := chatTools(&c, f)
	if err != nil {
		return gate.Call{}, err
	}
	n, ref := inputs(root)
	for _, r := range []string{hosted, ref} {
		if c.ByRef == "" {
			c.ByRef = r
		}
	}
	c.Inputs = int64(len(body)) + n + perMessage*(length(f["messages"])+length(f["tools"])+length(f["functions"]))
	return c, nil
}

// chatTools lists the tools by name, or by type where they have none, and
// returns the first type that the caller does not run itself.
func chatTools(c *gate.Call, f map[string]gate.Value) (hosted string, err error) {
	for tool := range gate.Elements(f["tools"]) {
		t, err := gate.Governed(tool, "a tool", "type", "function", "custom")
		if err != nil {
			return "", err
		}
		typ, _ := t["type"].Text()
		if t["type"].Null() && !t["function"].Null() {
			typ = "function" // vLLM's default
		}
		in, err := gate.Governed(t[typ], "a tool", "name")
		if err != nil {
			return "", err
		}
		name, named := in["name"].Text()
		switch {
		case typ != "function" && typ != "custom":
			if typ == "" {
				typ = "tools" // untyped: what runs it is not known
			}
			if hosted == "" {
				hosted = typ
			}
			c.Tools = append(c.Tools, typ)
		case named:
			c.Tools = append(c.Tools, name)
		default:
			c.Tools = append(c.Tools, typ)
		}
	}
	for fn := range gate.Elements(f["functions"]) {
		if name, ok := gate.Field(fn, "name").Text(); ok {
			c.Tools = append(c.Tools, name)
		}
	}
	return hosted, nil
}

// chatStream switches usage on. A stream without include_usage never says
// how much it used.
func chatStream(c *gate.Call, root gate.Value, f map[string]gate.Value) (err error) {
	opts := f["stream_options"]
	if c.Stream, err = f["stream"].Flag("stream"); err != nil {
		return err
	}
	if err := gate.Want(opts, "stream_options", "{", "an object"); err != nil {
		return err
	}
	in, err := gate.Governed(opts, "stream_options", "include_usage")
	if err != nil {
		return err
	}
	usage := in["include_usage"]
	asked, err := usage.Flag("stream_options.include_usage")
	if err != nil || asked || !c.Stream {
		return err
	}
	c.HideUsage = true
	switch {
	case opts.Kind() == 0:
		c.Switch = insert(root.At+1, `"stream_options":{"include_usage":true},`)
	case opts.Kind() == 'n':
		c.Switch = &gate.Splice{Span: opts.Span, With: []byte(`{"include_usage":true}`)}
	case usage.Kind() != 0:
		c.Switch = &gate.Splice{Span: usage.Span, With: []byte("true")}
	case empty(opts):
		c.Switch = insert(opts.At+1, `"include_usage":true`)
	default:
		c.Switch = insert(opts.At+1, `"include_usage":true,`)
	}
	return nil
}

func insert(at int, with string) *gate.Splice {
	return &gate.Splice{Span: gate.Span{At: at}, With: []byte(with)}
}

func empty(object gate.Value) bool {
	for range gate.Fields(object) {
		return false
	}
	return true
}

// Meter implements gate.Protocol.
func (Chat) Meter(call gate.Call) gate.Meter { return &chatMeter{call: call} }

type chatMeter struct {
	meter
	call gate.Call
	// perChoice is the output of each choice so far: with continuous usage
	// vLLM counts the choice that a chunk belongs to, not all of them.
	perChoice map[int64]int64
	choices   gate.Value // of the document that was read last
}

// Body implements gate.Meter.
func (m *chatMeter) Body(body []byte, names gate.Names) []byte {
	root, ok := m.text.Document(body)
	if !ok {
		return body
	}
	at, usage, _ := m.read(root)
	if u, ok := usageOf(usage, "prompt", "completion"); ok {
		m.usage, m.ok = u, true
	}
	return gate.ReplaceStrings(body, names.Code, at...)
}

// Event implements gate.Meter. The usage:null that OpenAI adds to each other
// chunk stays: SDKs do not tell it from an absent one, and taking it out
// would change bytes for nothing.
func (m *chatMeter) Event(event []byte, names gate.Names) []byte {
	e := gate.SplitSSE(event)
	m.choices = gate.Value{}
	root, ok := m.text.Document(e.Data)
	if !ok {
		return event
	}
	at, usage, choices := m.read(root)
	for i := range at {
		at[i] = e.InEvent(at[i])
	}
	last := usage.Kind() == '{' && choices.Kind() == '[' && length(choices) == 0
	if u, ok := usageOf(usage, "prompt", "completion"); ok {
		m.take(u, choices, last)
	}
	if last && m.call.HideUsage {
		return nil
	}
	return gate.ReplaceStrings(event, names.Code, at...)
}

// read goes once through an answer's or a chunk's own fields.
func (m *chatMeter) read(root gate.Value) (models []gate.Span, usage, choices gate.Value) {
	for key, v := range gate.Fields(root) {
		switch key {
		case "model":
			models = m.Named(models, v)
		case "usage":
			usage = v
		case "choices":
			choices = v
		}
	}
	m.choices = choices
	return models, usage, choices
}

// take remembers a chunk's usage. It is all that was used if no choice
// follows it, or if it is that of the only choice's end.
func (m *chatMeter) take(u chat.Usage, choices gate.Value, last bool) {
	if last {
		m.usage, m.ok = u, true
		return
	}
	if m.call.Outputs <= 1 {
		for choice := range gate.Elements(choices) {
			if reason, _ := gate.Field(choice, "finish_reason").Text(); reason != "" {
				m.ok = true
			}
		}
		m.usage = u
		return
	}
	for choice := range gate.Elements(choices) {
		index, ok := gate.Field(choice, "index").Count()
		if !ok || index >= m.call.Outputs {
			continue
		}
		if m.perChoice == nil {
			m.perChoice = map[int64]int64{}
		}
		m.perChoice[index] = u.Output
	}
	u.Output, u.Reasoning = 0, 0
	for _, n := range m.perChoice {
		u.Output += n
	}
	m.usage = u
}
