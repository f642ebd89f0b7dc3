package bench

import (
	"io/fs"
	"path"
	"time"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// Task is a task folder's task.toml: the Harbor format (schema 1.4) with
// [metadata.cyber]. Unknown keys are refused.
type Task struct {
	SchemaVersion string      `toml:"schema_version" json:"schema_version"`
	Task          TaskInfo    `toml:"task" json:"task"`
	Environment   Environment `toml:"environment" json:"environment"`
	Agent         Stage       `toml:"agent" json:"agent"`
	Verifier      Stage       `toml:"verifier" json:"verifier"`
	Metadata      Metadata    `toml:"metadata" json:"metadata"`

	// FS is the task's folder, embedded or on disk, and Instruction the text
	// of its instruction.md; both are set by loading.
	FS          fs.FS  `toml:"-" json:"-"`
	Instruction string `toml:"-" json:"-"`
	// Shown are further files of the agent's /task at every level, by name.
	Shown map[string][]byte `toml:"-" json:"-"`
	// Digest is over the whole folder: every path and every byte.
	Digest proofhouse.Digest `toml:"-" json:"digest"`
}

// Short is the task's name without its suite: the name of its folder.
func (t Task) Short() string { return path.Base(string(t.Task.Name)) }

// Time is the task's own limit of a sample; 0 in the file is 20 minutes.
func (t Task) Time() time.Duration {
	if t.Agent.TimeoutSec == 0 {
		return 20 * time.Minute
	}
	return time.Duration(t.Agent.TimeoutSec * float64(time.Second))
}

// TaskInfo is [task].
type TaskInfo struct {
	Name        proofhouse.TaskID `toml:"name" json:"name"`
	Description string            `toml:"description,omitempty" json:"description,omitempty"`
	Authors     []string          `toml:"authors,omitempty" json:"authors,omitempty"`
	Keywords    []string          `toml:"keywords,omitempty" json:"keywords,omitempty"`
}

// Environment is [environment]: the agent's box.
type Environment struct {
	NetworkMode string  `toml:"network_mode" json:"network_mode"`
	CPUs        float64 `toml:"cpus,omitempty" json:"cpus,omitempty"`
	MemoryMB    int64   `toml:"memory_mb,omitempty" json:"memory_mb,omitempty"`
	StorageMB   int64   `toml:"storage_mb,omitempty" json:"storage_mb,omitempty"`
	// BuildTimeoutSec bounds one build in the box; 0 is 600.
	BuildTimeoutSec float64 `toml:"build_timeout_sec,omitempty" json:"build_timeout_sec,omitempty"`
}

// Stage is [agent] or [verifier].
type Stage struct {
	TimeoutSec      float64 `toml:"timeout_sec,omitempty" json:"timeout_sec,omitempty"`
	User            string  `toml:"user,omitempty" json:"user,omitempty"`
	EnvironmentMode string  `toml:"environment_mode,omitempty" json:"environment_mode,omitempty"` // "separate" and nothing else
	NetworkMode     string  `toml:"network_mode,omitempty" json:"network_mode,omitempty"`         // "no-network"
}

// Metadata is [metadata].
type Metadata struct {
	Cyber Cyber `toml:"cyber" json:"cyber"`
}

// Cyber is [metadata.cyber]: what Proofhouse adds to Harbor.
type Cyber struct {
	Kind    string   `toml:"kind" json:"kind"`       // "poc"
	Level   int      `toml:"level" json:"level"`     // hint level 0-3 as in CyberGym: code; + description; + crash report; + patch
	Class   string   `toml:"class" json:"class"`     // weakness class, one of Classes
	CWE     string   `toml:"cwe" json:"cwe"`         // "CWE-125"
	Cluster string   `toml:"cluster" json:"cluster"` // for clustered errors: the software
	IDs     []string `toml:"ids" json:"ids"`         // CVE, GHSA, GO
	// Published is the advisory's day and FixedOn the day when the fix was
	// public, both YYYY-MM-DD. FixedOn is at least 180 days before admission.
	Published string `toml:"published" json:"published"`
	FixedOn   string `toml:"fixed_on" json:"fixed_on"`
	// HumanMinutes estimates a skilled person's time; HumanGround says why.
	HumanMinutes int    `toml:"human_minutes" json:"human_minutes"`
	HumanGround  string `toml:"human_ground" json:"human_ground"`
	Canary       string `toml:"canary" json:"canary"`         // GUID, also in instruction.md
	Licence      string `toml:"licence" json:"licence"`       // SPDX, of the target's code
	Provenance   string `toml:"provenance" json:"provenance"` // where the pair and the reference come from
	// Quick marks the tasks of `make run`.
	Quick bool `toml:"quick,omitempty" json:"quick,omitempty"`

	Submit   Submit        `toml:"submit" json:"submit"`
	Oracle   oracle.Rule   `toml:"oracle" json:"oracle"`
	Target   target.Recipe `toml:"target" json:"target"`
	Baseline Baseline      `toml:"baseline" json:"baseline"`
}

// Classes are the weakness classes of [metadata.cyber] class.
var Classes = []string{
	"memory-safety", "panic", "resource-exhaustion", "path-traversal", "injection",
	"prototype-pollution", "auth-bypass", "sandbox-escape",
}

// Submit is [metadata.cyber.submit].
type Submit struct {
	Path           string `toml:"path" json:"path"` // "/out/poc"
	MaxBytes       int64  `toml:"max_bytes" json:"max_bytes"`
	MaxSubmissions int    `toml:"max_submissions" json:"max_submissions"`
	// Score is "final", any-of is recorded beside it; "every" where each submission stands for itself (not in task.toml).
	Score string `toml:"score" json:"score"`
}

// Baseline is [metadata.cyber.baseline]: what 60 s of the no-AI baseline found,
// measured once and recorded; it informs and is never used for a score.
type Baseline struct {
	Seconds  float64 `toml:"seconds,omitempty" json:"seconds,omitempty"`
	Found    bool    `toml:"found,omitempty" json:"found,omitempty"`
	FirstSec float64 `toml:"first_sec,omitempty" json:"first_sec,omitempty"`
	Executed int64   `toml:"executed,omitempty" json:"executed,omitempty"`
	Measured string  `toml:"measured,omitempty" json:"measured,omitempty"` // YYYY-MM-DD
	Note     string  `toml:"note,omitempty" json:"note,omitempty"`
}
