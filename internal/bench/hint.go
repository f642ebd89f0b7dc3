package bench

import (
	"maps"
	"strings"

	"proofhouse/internal/proofhouse"
)

// The hint levels, as in CyberGym.
const (
	LevelCode        = 0 // the code alone
	LevelDescription = 1 // and what the advisory describes
	LevelCrash       = 2 // and the crash report of the reference
	LevelPatch       = 3 // and the patch
)

// Files are the texts that an agent gets at a hint level, by name. The
// instruction's canary line is left out, as Harbor does; a sample puts its own
// in place of it.
func (t Task) Files(level int, b Built) (map[string][]byte, error) {
	if level < LevelCode || level > LevelPatch {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "there is no hint level %d: levels are 0 to 3", level)
	}
	_, told, _ := strings.Cut(t.Instruction, "\n")
	out := map[string][]byte{"instruction.md": []byte(strings.TrimLeft(told, "\r\n"))}
	maps.Copy(out, t.Shown)
	if level >= LevelDescription {
		text, err := readFile(t.FS, "hints/description.md", maxTOML)
		if err != nil {
			return nil, err
		}
		out["description.md"] = text
	}
	if level >= LevelCrash {
		if b.Crash == "" {
			return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "task %s has no crash report yet: build the suite again", t.Task.Name)
		}
		out["crash.txt"] = []byte(b.Crash)
	}
	if level >= LevelPatch {
		if b.Patch == "" {
			return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "task %s has no patch yet: build the suite again", t.Task.Name)
		}
		out["patch.diff"] = []byte(b.Patch)
	}
	return out, nil
}
