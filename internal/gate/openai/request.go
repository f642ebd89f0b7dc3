package openai

import (
	"slices"
	"strings"

	"proofhouse/internal/gate"
)

// The constants of the bound on input tokens: byte-level BPE makes at most
// one token of a byte, chat templates and pictures add to that (facts, "Exact
// budgets").
const (
	perRequest = 1024
	perMessage = 64
	perMedia   = 8192
)

// media are the fields that hold a picture or a sound inline.
// vLLM's "uuid" names one that it has cached.
var media = []string{"image_url", "audio_url", "image_embeds", "audio_embeds", "input_audio"}

// links are the fields that hold a URL, or an object with a field "url".
var links = []string{"image_url", "audio_url", "file_url"}

// opaque are the paths below which names are the caller's own: a tool may
// well have an argument called file_id.
var opaque = []string{
	"metadata", "tools.*.parameters", "tools.*.tools.*.parameters", "tools.*.function.parameters", "functions.*.parameters",
	"response_format.json_schema", "text.format.schema",
}

// unbounded are fields of vLLM that make more of a request than its bytes: a
// template of the caller's may loop, and pictures may be taken at any size.
var unbounded = []string{"chat_template", "mm_processor_kwargs", "media_io_kwargs"}

// inputs bounds the input tokens of everything below body but for its
// messages and tools, and finds the first reference in it.
func inputs(body gate.Value) (n int64, byRef string) {
	n = perRequest
	gate.Walk(body, func(path []string, v gate.Value) bool {
		if len(path) == 0 {
			return true
		}
		if (v.Kind() == '{' || v.Kind() == '[') && slices.Contains(opaque, strings.Join(path, ".")) {
			return false
		}
		if v.Null() {
			return true
		}
		key := gate.FoldName(path[len(path)-1])
		cached := key == "uuid" && len(path) == 5 && path[0] == "messages"
		if slices.Contains(media, key) || cached {
			n += perMedia
		}
		if ref := reference(path, key, v); byRef == "" {
			byRef = ref
		}
		return true
	})
	return n, byRef
}

// reference is what v is called if its tokens are not bounded by its bytes.
func reference(path []string, key string, v gate.Value) string {
	switch {
	case key == "file_id", key == "file_ids", len(path) == 1 && slices.Contains(unbounded, key):
		return key
	case key == "video_url", key == "file_data":
		return key // inline as well: frames and compressed documents have no bound in their bytes
	case slices.Contains(links, key) && fetched(v):
		return key
	case key == "url" && len(path) > 1 && slices.Contains(links, gate.FoldName(path[len(path)-2])) && fetched(v):
		return gate.FoldName(path[len(path)-2])
	case key == "id" && len(path) == 4 && path[0] == "messages" && gate.FoldName(path[2]) == "audio":
		return "audio.id" // an earlier answer of the model, spoken
	case key == "type" && is(v, "item_reference"):
		return "item_reference"
	}
	return ""
}

// fetched says that v is a URL whose content is not in it. vLLM takes file:
// as well as http:.
func fetched(v gate.Value) bool {
	s, ok := v.Text()
	return ok && s != "" && (len(s) < 5 || !strings.EqualFold(s[:5], "data:"))
}

func is(v gate.Value, s string) bool {
	t, ok := v.Text()
	return ok && t == s
}

// length is the number of elements of the array v.
func length(v gate.Value) (n int64) {
	for range gate.Elements(v) {
		n++
	}
	return n
}

// outputs reads n and best_of: vLLM draws as many answers as the larger says.
func outputs(f map[string]gate.Value) (int64, error) {
	n, err := f["n"].Requested("n", 1)
	if err != nil {
		return 0, err
	}
	best, err := f["best_of"].Requested("best_of", 1)
	return max(n, best), err
}
