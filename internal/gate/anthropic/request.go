package anthropic

import (
	"slices"
	"strings"

	"proofhouse/internal/gate"
)

// The constants of the bound on input tokens: byte-level BPE makes at most
// one token of a byte, templates and pictures add to that (facts, "Exact
// budgets"). A tool that the vendor defines brings a prompt of up to some 700
// tokens of its own.
const (
	perRequest = 1024
	perMessage = 64
	perMedia   = 8192
	perVendor  = 1024
)

// opaque are the paths below which names are the caller's own: a tool may
// well have an argument called file_id.
var opaque = []string{"metadata", "tools.*.input_schema", "tools.*.input_examples", "messages.*.content.*.input", "output_config", "output_format"}

// local are the beginnings of the vendor-defined tool types that the caller
// runs itself.
var local = []string{"bash_", "text_editor_", "computer_", "memory_"}

// Read implements gate.Protocol.
func (Messages) Read(body []byte) (gate.Call, error) {
	root, err := gate.Request(body)
	if err != nil {
		return gate.Call{}, err
	}
	f, err := gate.Governed(root, "the body", "model", "stream", "max_tokens", "n", "best_of", "tools", "messages",
		"mcp_servers", "container", "context_management", "compaction")
	if err != nil {
		return gate.Call{}, err
	}
	c := gate.Call{ModelAt: f["model"].Span, CapField: "max_tokens"}
	if c.Model, err = gate.ModelOf(f["model"]); err != nil {
		return gate.Call{}, err
	}
	if c.Stream, err = f["stream"].Flag("stream"); err != nil {
		return gate.Call{}, err
	}
	for _, name := range []string{"tools", "messages"} {
		if err := gate.Want(f[name], name, "[", "an array"); err != nil {
			return gate.Call{}, err
		}
	}
	n, err := f["n"].Requested("n", 1)
	if err != nil {
		return gate.Call{}, err
	}
	best, err := f["best_of"].Requested("best_of", 1)
	if err != nil {
		return gate.Call{}, err
	}
	c.Outputs = max(n, best)
	if c.OutputCap, err = f["max_tokens"].Requested("max_tokens", 0); err != nil {
		return gate.Call{}, err
	}

	for _, name := range []string{"mcp_servers", "container"} {
		if v := f[name]; !v.Null() && string(v.Raw) != "[]" && c.ByRef == "" {
			c.ByRef = name
		}
	}
	compacts := !f["compaction"].Null()
	gate.Walk(f["context_management"], func(_ []string, v gate.Value) bool {
		typ, _ := v.Text()
		compacts = compacts || strings.HasPrefix(typ, "compact")
		return true
	})
	if compacts && c.ByRef == "" {
		c.ByRef = "context_management" // compaction reads the input once more than is asked for
	}
	c.Inputs = int64(len(body)) + perRequest
	if err := readTools(&c, f["tools"]); err != nil {
		return gate.Call{}, err
	}
	for range gate.Elements(f["messages"]) {
		c.Inputs += perMessage
	}
	readContent(&c, root)
	return c, nil
}

// readTools lists the tools by name, those that the vendor defines by type.
// Whatever is not known to run at the caller makes the bound false: each of
// its rounds reads the input anew.
func readTools(c *gate.Call, tools gate.Value) error {
	for tool := range gate.Elements(tools) {
		c.Inputs += perMessage
		t, err := gate.Governed(tool, "a tool", "type", "name")
		if err != nil {
			return err
		}
		if err := gate.Want(t["type"], "type", `"`, "a string"); err != nil {
			return err
		}
		typ, _ := t["type"].Text()
		if typ == "" || typ == "custom" {
			name, _ := t["name"].Text()
			c.Tools = append(c.Tools, name)
			continue
		}
		c.Inputs += perVendor
		c.Tools = append(c.Tools, typ)
		if c.ByRef == "" && !slices.ContainsFunc(local, func(p string) bool { return strings.HasPrefix(typ, p) }) {
			c.ByRef = typ
		}
	}
	return nil
}

// readContent counts what stands inline and finds what does not. A source is
// an object in pictures and documents; in search results it is mere text.
func readContent(c *gate.Call, root gate.Value) {
	gate.Walk(root, func(path []string, v gate.Value) bool {
		if len(path) == 0 {
			return true
		}
		if (v.Kind() == '{' || v.Kind() == '[') && slices.Contains(opaque, strings.Join(path, ".")) {
			return false
		}
		key := gate.FoldName(path[len(path)-1])
		if key == "source" && v.Kind() == '{' {
			c.Inputs += perMedia
		}
		if v.Null() || c.ByRef != "" {
			return true
		}
		switch key {
		case "file_id":
			c.ByRef = key
		case "media_type": // a compressed document has no bound in its bytes
			if s, _ := v.Text(); !strings.HasPrefix(s, "image/") && !strings.HasPrefix(s, "text/") {
				c.ByRef = "document"
			}
		case "url":
			if len(path) > 1 && gate.FoldName(path[len(path)-2]) == "source" {
				if s, ok := v.Text(); ok && s != "" && !strings.HasPrefix(strings.ToLower(s), "data:") {
					c.ByRef = key
				}
			}
		}
		return true
	})
}
