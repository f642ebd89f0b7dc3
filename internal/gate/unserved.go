package gate

import (
	"net/http"
	"strings"
)

// unserved says of the paths that known clients use and the gate does not
// serve why that is and what to use. A path is meant with all that lies below
// it; the first that fits counts.
var unserved = []struct{ path, why string }{
	{"/v1/batches", batched},
	{"/v1/messages/batches", batched},
	{"/v1/files", kept},
	{"/v1/uploads", kept},
	{"/v1/vector_stores", kept},
	{"/v1/containers", kept},
	{"/v1/skills", kept},
	{"/v1/conversations", kept},
	{"/v1/prompts", kept},
	{"/v1/assistants", "assistants run at the upstream, where the gate cannot meter them: use /v1/responses or /v1/chat/completions"},
	{"/v1/threads", "threads run at the upstream, where the gate cannot meter them: use /v1/responses or /v1/chat/completions"},
	{"/v1/responses", "the gate keeps no answers to ask for again: read an answer when it is given, by POST to /v1/responses"},
	{"/v1/chat/completions", "the gate keeps no answers to ask for again: read an answer when it is given, by POST to /v1/chat/completions"},
	{"/v1/realtime", "realtime sessions cannot be metered request by request: use /v1/responses or /v1/chat/completions"},
	{"/v1/completions", "completions without messages are not served: use /v1/chat/completions"},
	{"/v1/complete", "completions without messages are not served: use /v1/messages"},
	{"/v1/embeddings", "embeddings are not served: this gate lends models that write"},
	{"/v1/images", "pictures are priced by the piece, which the gate cannot meter"},
	{"/v1/videos", "videos are priced by their length, which the gate cannot meter"},
	{"/v1/audio", "sound is priced by its length, which the gate cannot meter"},
	{"/v1/moderations", "moderation is not served: this gate lends models that write"},
	{"/v1/rerank", "ranking is not served: this gate lends models that write"},
	{"/v1/score", "ranking is not served: this gate lends models that write"},
	{"/v1/fine_tuning", "a model on loan is not to be trained"},
	{"/v1/evals", "evaluations run at the upstream, where the gate cannot meter them: run them here"},
	{"/v1/organization", owned},
	{"/v1/organizations", owned},
	{"/v1/usage", owned},
	{"/v1/dashboard", owned},
	{"/api/generate", ollama},
	{"/api/chat", ollama},
	{"/api/tags", ollama},
	{"/api/embed", ollama},
	{"/v1beta", "this is another vendor's protocol: use /v1/responses, /v1/chat/completions or /v1/messages"},
	{"/tokenize", tokens},
	{"/detokenize", tokens},
	{"/completion", served},
	{"/completions", served},
	{"/chat/completions", "the base URL lacks /v1: use /v1/chat/completions"},
	{"/responses", "the base URL lacks /v1: use /v1/responses"},
	{"/messages", "the base URL lacks /v1: use /v1/messages"},
	{"/v1/v1", "the base URL has /v1 twice: leave it out once"},
}

const (
	batched = "batches cannot be metered before they run: send the requests one by one"
	kept    = "what is kept at the upstream cannot be metered: send the content in the request itself"
	owned   = "the account at the upstream is its owner's: ask the issuer of this key about its budget"
	ollama  = "this is another server's protocol: use /v1/chat/completions"
	tokens  = "tokens would tell which model this is: count them by /v1/messages/count_tokens or /v1/responses/input_tokens"
	served  = "this server's own protocol is not served: use /v1/chat/completions"
)

// noService is the refusal of a request that is none of a protocol's.
func (g *Gate) noService(r *http.Request) *Refusal {
	path := r.URL.Path
	if bare := strings.TrimRight(path, "/"); g.protocols[bare] != nil {
		return refuse(NoSuchPath, "the path is %s, without a slash at its end", bare)
	}
	for _, u := range unserved {
		if below, ok := strings.CutPrefix(path, u.path); ok && (below == "" || below[0] == '/') {
			return refuse(NoSuchPath, "%s", u.why)
		}
	}
	if len(path) > 100 {
		path = path[:100] + "…"
	}
	return refuse(NoSuchPath, "the gate does not serve %s %s: it serves chat completions, responses and messages", r.Method, strings.ToValidUTF8(path, "?"))
}

// upgrades says whether a request wants to become a WebSocket. Any other
// upgrade is an offer that a server may decline, and is passed over.
func upgrades(h http.Header) bool {
	for _, list := range h["Upgrade"] {
		for word := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(word), "websocket") {
				return true
			}
		}
	}
	return false
}

// probes says whether a request only asks if somebody is there, as clients
// and load balancers do before they have a key.
func probes(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	return r.URL.Path == "/health" || r.URL.Path == "/api/hello" || r.URL.Path == "/" && r.Method == http.MethodHead
}
