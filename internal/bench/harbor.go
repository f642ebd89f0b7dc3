package bench

import "strings"

// harborKey judges a key of the Harbor format (schema 1.4) that Task does not
// have. A key that would change what is measured is refused with a sentence;
// one that is harmless, or that is empty, is accepted. [metadata] is free in
// Harbor, so all of it but [metadata.cyber] is.
func harborKey(key string, value any) (what string, known bool) {
	if rest, ok := strings.CutPrefix(key, "metadata."); ok {
		return "", rest != "cyber" && !strings.HasPrefix(rest, "cyber.")
	}
	what, known = harborRefused[key]
	if !known {
		for table, sentence := range harborRefused {
			if strings.HasPrefix(key, table+".") {
				return sentence, true
			}
		}
		return "", false
	}
	if void(value) {
		return "", true
	}
	return what, true
}

// harborRefused are Harbor's keys that Proofhouse does not act on, with what
// to do about one that is not empty.
var harborRefused = map[string]string{
	"agent.allowed_hosts":        "boxes have no network: remove it",
	"environment.allow_internet": "boxes have no network: write network_mode = \"no-network\" instead",
	"environment.allowed_hosts":  "boxes have no network: remove it",
	"environment.docker_image":   "boxes start from pinned roots: remove it and name build_root and run_root in [metadata.cyber.target]",
	"environment.env":            "boxes get no environment of ours: remove it",
	"environment.gpu_types":      "boxes have no GPU: remove it",
	"environment.gpus":           "boxes have no GPU: write 0 or remove it",
	"environment.healthcheck":    "a box is ready when it has been proved: remove it",
	"environment.mcp_servers":    "boxes have no servers: remove it",
	"environment.memory":         "this Harbor key is retired: write memory_mb",
	"environment.skills_dir":     "agents bring their own skills: remove it",
	"environment.storage":        "this Harbor key is retired: write storage_mb",
	"environment.workdir":        "an agent starts in /out: remove it",
	"verifier.allowed_hosts":     "boxes have no network: remove it",
	"verifier.collect":           "only the submission leaves the agent's box: remove it",
	"verifier.env":               "the oracle decides and takes no environment: remove it",
	"verifier.environment":       "the oracle's boxes follow from [metadata.cyber.oracle]: remove it",
	"solution.env":               "the reference solution is a file, not a program: remove it",
	"solution":                   "the reference solution is a file, not a program: remove it",
	"artifacts":                  "only the submission leaves the agent's box: remove it",
	"steps":                      "a task has one step: make a task of each",
	"version":                    "this Harbor key is retired: write schema_version",
	"multi_step_reward_strategy": "a task has one step: remove it",
}

// void says whether a value means the same as no value.
func void(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case int64:
		return v == 0
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, inner := range v {
			if !void(inner) {
				return false
			}
		}
		return true
	}
	return false
}
