package inspect

import (
	"proofhouse/internal/bench"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// The types have the names and the order of Inspect's fields; what Inspect may
// leave out and we never set is not here. They are structs because a map of
// any takes nine times as long to encode.

type start struct {
	Version int  `json:"version"`
	Eval    spec `json:"eval"`
	Plan    plan `json:"plan"`
}

// header is EvalLog without samples.
type header struct {
	Version     int      `json:"version"`
	Status      string   `json:"status"`
	Eval        spec     `json:"eval"`
	Plan        plan     `json:"plan"`
	Results     *results `json:"results,omitempty"`
	Stats       stats    `json:"stats"`
	Error       *failure `json:"error,omitempty"`
	Invalidated bool     `json:"invalidated"`
	Tags        []string `json:"tags"`
	Metadata    struct{} `json:"metadata"`
}

// spec is EvalSpec.
type spec struct {
	EvalID              string            `json:"eval_id"`
	RunID               string            `json:"run_id"`
	Created             string            `json:"created"`
	Task                string            `json:"task"`
	TaskID              string            `json:"task_id"`
	TaskVersion         int               `json:"task_version"`
	TaskAttribs         struct{}          `json:"task_attribs"`
	TaskArgs            taskArgs          `json:"task_args"`
	TaskArgsPassed      struct{}          `json:"task_args_passed"`
	Solver              string            `json:"solver"`
	SolverArgs          struct{}          `json:"solver_args"`
	Tags                []string          `json:"tags"`
	Dataset             dataset           `json:"dataset"`
	Sandbox             *sandboxSpec      `json:"sandbox,omitempty"`
	Model               string            `json:"model"`
	ModelGenerateConfig generate          `json:"model_generate_config"`
	ModelArgs           struct{}          `json:"model_args"`
	Config              config            `json:"config"`
	Packages            map[string]string `json:"packages"`
	Metadata            runMetadata       `json:"metadata"`
	Scorers             []scorerSpec      `json:"scorers"`
}

type taskArgs struct {
	Suite string `json:"suite"`
	Level int    `json:"level"` // -1: each task's own
	Seed  int64  `json:"seed"`
}

type dataset struct {
	Name      string   `json:"name"`
	Samples   int      `json:"samples"`
	SampleIDs []string `json:"sample_ids"`
}

type sandboxSpec struct {
	Type   string `json:"type"`
	Config string `json:"config"` // a string: Inspect would look an object up among its own sandboxes
}

type config struct {
	Epochs         int      `json:"epochs"`
	EpochsReducer  []string `json:"epochs_reducer"`
	ContinueOnFail bool     `json:"continue_on_fail"`
	TimeLimit      int      `json:"time_limit,omitempty"` // seconds
	MaxSamples     int      `json:"max_samples,omitempty"`
	TokenLimit     int64    `json:"token_limit,omitempty"`   // of each sample
	MessageLimit   int      `json:"message_limit,omitempty"` // of each sample
}

// runMetadata is ours.
type runMetadata struct {
	Run                  string           `json:"run"`
	SuiteDigest          string           `json:"suite_digest"`
	Provider             string           `json:"provider"`
	Isolation            string           `json:"isolation"`
	Notes                []string         `json:"notes"`
	Resumes              int              `json:"resumes"`
	Attempts             int              `json:"attempts"`
	InfrastructureErrors int              `json:"infrastructure_errors"`
	Cancelled            int              `json:"cancelled"`
	Survivors            int              `json:"survivors"`
	Machine              bench.Machine    `json:"machine"`
	Journal              bench.JournalRef `json:"journal"`
}

type scorerSpec struct {
	Name    string  `json:"name"`
	Metrics []named `json:"metrics"`
}

type named struct {
	Name string `json:"name"`
}

type plan struct {
	Name   string   `json:"name"`
	Steps  []step   `json:"steps"`
	Config struct{} `json:"config"`
}

type step struct {
	Solver       string   `json:"solver"`
	Params       struct{} `json:"params"`
	ParamsPassed struct{} `json:"params_passed"`
}

type results struct {
	TotalSamples     int         `json:"total_samples"`
	CompletedSamples int         `json:"completed_samples"`
	Scores           []evalScore `json:"scores"`
}

type evalScore struct {
	Name            string            `json:"name"`
	Scorer          string            `json:"scorer"`
	Reducer         string            `json:"reducer"`
	ScoredSamples   int               `json:"scored_samples"`
	UnscoredSamples int               `json:"unscored_samples"`
	Params          struct{}          `json:"params"`
	Metrics         map[string]metric `json:"metrics"`
}

type metric struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Params any     `json:"params"` // struct{} or intervalParams
}

type intervalParams struct {
	Level float64 `json:"level"`
}

type stats struct {
	StartedAt              string           `json:"started_at"`
	CompletedAt            string           `json:"completed_at"`
	ModelUsage             map[string]usage `json:"model_usage"`
	RoleUsage              struct{}         `json:"role_usage"`
	ConnectionLimitHistory []struct{}       `json:"connection_limit_history"`
}

// failure is EvalError.
type failure struct {
	Message       string `json:"message"`
	Traceback     string `json:"traceback"`
	TracebackANSI string `json:"traceback_ansi"`
}

type reduction struct {
	Scorer  string    `json:"scorer"`
	Reducer string    `json:"reducer"`
	Samples []reduced `json:"samples"`
}

type reduced struct {
	SampleID string     `json:"sample_id"`
	Value    float64    `json:"value"`
	History  []struct{} `json:"history"`
}

// sample is EvalSample.
type sample struct {
	ID          string           `json:"id"`
	Epoch       int              `json:"epoch"`
	Input       string           `json:"input"`
	Target      string           `json:"target"`
	Messages    []message        `json:"messages"`
	Output      output           `json:"output"`
	Scores      map[string]score `json:"scores,omitempty"`
	Metadata    sampleMetadata   `json:"metadata"`
	Store       struct{}         `json:"store"`
	Events      []any            `json:"events"`
	EventsData  *eventsData      `json:"events_data,omitempty"`
	ModelUsage  map[string]usage `json:"model_usage"`
	TurnCount   int              `json:"turn_count,omitempty"`
	RoleUsage   struct{}         `json:"role_usage"`
	StartedAt   string           `json:"started_at,omitempty"`
	CompletedAt string           `json:"completed_at,omitempty"`
	TotalTime   float64          `json:"total_time"`   // seconds
	WorkingTime float64          `json:"working_time"` // seconds
	UUID        string           `json:"uuid"`
	Error       *failure         `json:"error,omitempty"`
	Attachments struct{}         `json:"attachments"`
	Limit       *limit           `json:"limit,omitempty"`
}

type limit struct {
	Type  string  `json:"type"`
	Limit float64 `json:"limit"`
}

type score struct {
	Value       string         `json:"value"` // "C" or "I"
	Answer      string         `json:"answer,omitempty"`
	Explanation string         `json:"explanation,omitempty"`
	Metadata    *scoreMetadata `json:"metadata,omitempty"`
	History     []struct{}     `json:"history"`
}

// scoreMetadata is ours: the verdict and its grounds.
type scoreMetadata struct {
	Outcome      oracle.Outcome    `json:"outcome"`
	Signature    string            `json:"signature,omitempty"`
	Submission   proofhouse.Digest `json:"submission,omitempty"`
	Bytes        int64             `json:"bytes"`
	Base64       string            `json:"base64,omitempty"` // the submission, if it is small
	Statement    proofhouse.Digest `json:"statement,omitempty"`
	Signed       bool              `json:"signed"`
	FirstSolved  float64           `json:"first_solved,omitempty"` // seconds since the sample's start
	Report       string            `json:"report,omitempty"`
	Observations []observation     `json:"observations"`
}

type observation struct {
	Side       string  `json:"side"`
	Run        int     `json:"run"`
	Broke      bool    `json:"broke"`
	Symptom    string  `json:"symptom,omitempty"`
	Class      string  `json:"class,omitempty"`
	Function   string  `json:"function,omitempty"`
	Exit       int     `json:"exit"`
	Signal     int     `json:"signal,omitempty"`
	Bound      string  `json:"bound,omitempty"`
	CPU        float64 `json:"cpu"`  // seconds
	Wall       float64 `json:"wall"` // seconds
	PeakMemory int64   `json:"peak_memory,omitempty"`
	Detail     string  `json:"detail,omitempty"`
}

// sampleMetadata is ours.
type sampleMetadata struct {
	Task        string              `json:"task"`
	Cluster     string              `json:"cluster"`
	Class       string              `json:"class"`
	CWE         string              `json:"cwe"`
	Language    string              `json:"language"`
	Level       int                 `json:"level"`
	Human       int                 `json:"human_minutes"`
	Attempts    int                 `json:"attempts"`
	Submissions int                 `json:"submissions"`
	Status      bench.SampleStatus  `json:"status"`
	Probe       sandbox.ProbeReport `json:"probe"`
	Usage       sandbox.Usage       `json:"usage"`
}

// summary is EvalSampleSummary.
type summary struct {
	ID           string           `json:"id"`
	Epoch        int              `json:"epoch"`
	Input        string           `json:"input"`
	Target       string           `json:"target"`
	Metadata     thinMetadata     `json:"metadata"`
	Scores       map[string]score `json:"scores,omitempty"`
	ModelUsage   map[string]usage `json:"model_usage"`
	RoleUsage    struct{}         `json:"role_usage"`
	StartedAt    string           `json:"started_at,omitempty"`
	CompletedAt  string           `json:"completed_at,omitempty"`
	TotalTime    float64          `json:"total_time"`
	WorkingTime  float64          `json:"working_time"`
	UUID         string           `json:"uuid"`
	Error        string           `json:"error,omitempty"`
	Limit        string           `json:"limit,omitempty"`
	Retries      int              `json:"retries,omitempty"`
	Completed    bool             `json:"completed"`
	MessageCount int              `json:"message_count"`
}

type thinMetadata struct {
	Class    string `json:"class"`
	Language string `json:"language"`
	Level    int    `json:"level"`
	Cluster  string `json:"cluster"`
}
