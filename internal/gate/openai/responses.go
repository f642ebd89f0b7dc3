package openai

import (
	"slices"

	"proofhouse/internal/gate"
)

// Responses is the Responses API: POST /v1/responses.
type Responses struct{ bearer }

// Name is "openai-responses".
func (Responses) Name() string { return "openai-responses" }

// Path is that of the OpenAI API reference.
func (Responses) Path() string { return "/v1/responses" }

// Refuse is the error body of the OpenAI API reference.
func (Responses) Refuse(r gate.Refusal) []byte { return refuse(r) }

// Cut is the "error" event. Its sequence_number is 0: the gate does not count
// events, and no SDK orders by it.
func (Responses) Cut(r gate.Refusal) []byte {
	data := encode(struct {
		Type    string      `json:"type"`
		Code    gate.Reason `json:"code"`
		Message string      `json:"message"`
		Param   *string     `json:"param"`
		Number  int         `json:"sequence_number"`
	}{"error", r.Reason, r.Message, nil, 0})
	return append(append([]byte("event: error\ndata: "), data...), "\n\n"...)
}

// Read implements gate.Protocol.
func (Responses) Read(body []byte) (gate.Call, error) {
	root, err := gate.Request(body)
	if err != nil {
		return gate.Call{}, err
	}
	f, err := gate.Governed(root, "the body", "model", "stream", "stream_options", "max_output_tokens", "n", "best_of", "tools", "input",
		"previous_response_id", "conversation", "prompt", "background", "context_management")
	if err != nil {
		return gate.Call{}, err
	}
	c := gate.Call{ModelAt: f["model"].Span, CapField: "max_output_tokens"}
	if c.Model, err = gate.ModelOf(f["model"]); err != nil {
		return gate.Call{}, err
	}
	if c.Stream, err = f["stream"].Flag("stream"); err != nil {
		return gate.Call{}, err
	}
	background, err := f["background"].Flag("background")
	if err != nil {
		return gate.Call{}, err
	}
	if err := gate.Want(f["stream_options"], "stream_options", "{", "an object"); err != nil {
		return gate.Call{}, err
	}
	if err := gate.Want(f["tools"], "tools", "[", "an array"); err != nil {
		return gate.Call{}, err
	}
	if err := gate.Want(f["input"], "input", `"[`, "a string or an array"); err != nil {
		return gate.Call{}, err
	}
	if c.Outputs, err = outputs(f); err != nil {
		return gate.Call{}, err
	}
	if c.OutputCap, err = f["max_output_tokens"].Requested("max_output_tokens", 0); err != nil {
		return gate.Call{}, err
	}

	for _, name := range []string{"previous_response_id", "conversation", "prompt", "context_management"} {
		// Context management compacts: it reads the input once more.
		if !f[name].Null() && c.ByRef == "" {
			c.ByRef = name
		}
	}
	if background && c.ByRef == "" {
		c.ByRef = "background" // outlives the connection, so no budget can cut it
	}
	tools, hosted, err := responsesTools(&c, f["tools"])
	if err != nil {
		return gate.Call{}, err
	}
	item, err := stored(f["input"])
	if err != nil {
		return gate.Call{}, err
	}
	n, ref := inputs(root)
	for _, r := range []string{hosted, item, ref} {
		if c.ByRef == "" {
			c.ByRef = r
		}
	}
	c.Inputs = int64(len(body)) + n + perMessage*(length(f["input"])+tools)
	return c, nil
}

// responsesTools lists the tools by name, or by type where they have none. It
// returns how many there are, and the first type that may run at the
// upstream: all but those known to run at the caller, since the list grows.
func responsesTools(c *gate.Call, tools gate.Value) (n int64, hosted string, err error) {
	for tool := range gate.Elements(tools) {
		n++
		t, err := gate.Governed(tool, "a tool", "type", "name", "tools")
		if err != nil {
			return 0, "", err
		}
		typ, _ := t["type"].Text()
		name, named := t["name"].Text()
		switch typ {
		case "namespace":
			more, h, err := responsesTools(c, t["tools"])
			if err != nil {
				return 0, "", err
			}
			if n += more; hosted == "" {
				hosted = h
			}
		case "function", "custom":
			if !named {
				name = typ
			}
			c.Tools = append(c.Tools, name)
		case "local_shell", "apply_patch":
			c.Tools = append(c.Tools, typ)
		default:
			if typ == "" {
				typ = "tools"
			}
			if hosted == "" {
				hosted = typ
			}
			c.Tools = append(c.Tools, typ)
		}
	}
	return n, hosted, nil
}

// hostedItems are the items of which the upstream keeps more than they show.
var hostedItems = []string{"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call", "mcp_list_tools"}

// stored is the first item of input whose content the upstream holds. The
// type of an item_reference may be left out, and reasoning without its
// content is looked up by its id.
func stored(input gate.Value) (first string, err error) {
	for item := range gate.Elements(input) {
		i, err := gate.Governed(item, "an item of the input", "type", "role", "encrypted_content", "content")
		if err != nil {
			return "", err
		}
		found := ""
		switch typ, _ := i["type"].Text(); {
		case item.Kind() != '{':
		case typ == "" && i["role"].Null():
			found = "item_reference"
		case typ == "reasoning" && i["encrypted_content"].Null() && length(i["content"]) == 0:
			found = "reasoning"
		case slices.Contains(hostedItems, typ):
			found = typ
		}
		if first == "" {
			first = found
		}
	}
	return first, nil
}

// Meter implements gate.Protocol.
func (Responses) Meter(gate.Call) gate.Meter { return &responsesMeter{} }

type responsesMeter struct {
	meter
	grown map[gate.Thread]bool // those that came in pieces
}

// Body implements gate.Meter.
func (m *responsesMeter) Body(body []byte, names gate.Names) []byte {
	root, ok := m.text.Document(body)
	if !ok {
		return body
	}
	if u, ok := usageOf(gate.Field(root, "usage"), "input", "output"); ok {
		m.usage, m.ok = u, true
	}
	return gate.ReplaceStrings(body, names.Code, m.Models(nil, root)...)
}

// Event implements gate.Meter. The events that hold a response hold its model.
func (m *responsesMeter) Event(event []byte, names gate.Names) []byte {
	e := gate.SplitSSE(event)
	root, ok := m.text.Document(e.Data)
	if !ok {
		return event
	}
	var at []gate.Span
	var usage gate.Value
	for key, v := range gate.Fields(root) {
		switch key {
		case "model":
			at = m.Named(at, v)
		case "response":
			at = m.Models(at, v)
			usage = gate.Field(v, "usage")
		}
	}
	for i := range at {
		at[i] = e.InEvent(at[i])
	}
	if u, ok := usageOf(usage, "input", "output"); ok {
		m.usage = u
		switch typ, _ := gate.Field(root, "type").Text(); typ {
		case "response.completed", "response.incomplete", "response.failed":
			m.ok = true
		}
	}
	return gate.ReplaceStrings(event, names.Code, at...)
}
