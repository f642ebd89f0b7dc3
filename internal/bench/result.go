package bench

import (
	"time"

	"proofhouse/internal/bench/stat"
	"proofhouse/internal/chat"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Result is a run's results.json: everything that a reader of the run needs,
// derived from the journal alone.
type Result struct {
	Version   int              `json:"version"` // 1
	Run       proofhouse.RunID `json:"run"`
	Suite     SuiteRef         `json:"suite"`
	Agent     string           `json:"agent"`
	Provider  string           `json:"provider"` // sandbox provider
	Isolation sandbox.Strength `json:"isolation"`
	Status    string           `json:"status"`          // "started", "success", "cancelled", "error", as in Inspect
	Error     string           `json:"error,omitempty"` // public sentence, for status "error"
	Started   time.Time        `json:"started"`
	Completed time.Time        `json:"completed"`
	Resumes   int              `json:"resumes"` // how often the run was taken up again
	// Took is the wall-clock time of all parts of the run by the times in its
	// journal. What lay between one part and the next is not in it.
	Took    time.Duration `json:"took"`
	Build   string        `json:"build"` // version of this program
	Machine Machine       `json:"machine"`
	Config  Config        `json:"config"`
	Notes   []string      `json:"notes"` // plain words a reader must see: "public tasks: memorisation not excluded"
	// Identity is whether it was the same model all the time, each time that it was asked.
	Identity []Identification `json:"identity,omitempty"`
	Samples  []Sample         `json:"samples"`
	Summary  Summary          `json:"summary"`
	// Journal is what this result was derived from; a journal that was cut
	// afterwards no longer fits it.
	Journal JournalRef `json:"journal"`
}

// JournalRef names the state of a journal.
type JournalRef struct {
	Records int64             `json:"records"`
	Head    proofhouse.Digest `json:"head"` // of the last record
}

// SuiteRef names a suite by name and by the digest over its built tasks.
type SuiteRef struct {
	Name   string            `json:"name"`
	Digest proofhouse.Digest `json:"digest"`
	Tasks  int               `json:"tasks"`
}

// Machine is what the run ran on.
type Machine struct {
	OS     string `json:"os"`
	Kernel string `json:"kernel"`
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory"` // bytes
}

// Config is what the run was asked for.
type Config struct {
	Tasks    []proofhouse.TaskID `json:"tasks"`
	Epochs   int                 `json:"epochs"`
	Time     time.Duration       `json:"time"`               // a sample's limit, box set-up included
	RunTime  time.Duration       `json:"run_time,omitempty"` // the limit of Result.Took; 0 sets none; may be raised when the run is taken up again
	Level    int                 `json:"level"`              // hint level, -1: each task's own
	Parallel int                 `json:"parallel"`           // samples side by side
	Seed     int64               `json:"seed"`
	Args     []string            `json:"args,omitempty"`
	Model    *ModelConfig        `json:"model,omitempty"` // nil in a run without a model
}

// Sample is one task in one epoch. Attempts count every start of it, those
// that were killed included.
type Sample struct {
	Task     proofhouse.TaskID `json:"task"`
	Epoch    int               `json:"epoch"` // from 1
	Cluster  string            `json:"cluster"`
	Class    string            `json:"class"`
	CWE      string            `json:"cwe"`
	Language string            `json:"language"`
	Level    int               `json:"level"`
	Human    int               `json:"human_minutes"`
	Attempts int               `json:"attempts"`
	Status   SampleStatus      `json:"status"`
	Score    Score             `json:"score"`
	// Submissions in order, each with its verdict.
	Submissions []Submission        `json:"submissions"`
	Events      []Event             `json:"events"` // the transcript
	Probe       sandbox.ProbeReport `json:"probe"`  // containment proof of the box
	Usage       sandbox.Usage       `json:"usage"`
	Limits      sandbox.Limits      `json:"limits"` // of the agent's box
	Started     time.Time           `json:"started"`
	Took        time.Duration       `json:"took"`
	Bound       time.Duration       `json:"bound"` // the sample's limit of time, box set-up included
	// Limit is "time", "operator", "token", "cost", "turn", "message" as in
	// Inspect, or "submissions" or "run": the budget or the time of all samples.
	Limit string `json:"limit,omitempty"`
	// Model is what the sample's model used, over all attempts.
	Model *Spent `json:"model,omitempty"`
	// Transcript is the conversation's digest among the artifacts. It is empty
	// if the run has survivors: those conversations stay in the quarantine.
	Transcript proofhouse.Digest `json:"transcript,omitempty"`
	Error      string            `json:"error,omitempty"` // public sentence of an infrastructure error
}

// SampleStatus is where a sample stands.
type SampleStatus string

// The states of a sample.
const (
	Waiting   SampleStatus = "waiting"
	Starting  SampleStatus = "starting" // box set-up and probe
	Running   SampleStatus = "running"
	Scored    SampleStatus = "scored"
	Errored   SampleStatus = "error"     // infrastructure: never the agent's failure
	Cancelled SampleStatus = "cancelled" // by the operator
)

// Score is a sample's score: by the final submission, and any-of beside it.
type Score struct {
	Solved  bool           `json:"solved"` // by the final submission, strict: outcome solved
	Counts  bool           `json:"counts"` // final submission, same_fix_other_signature included
	Any     bool           `json:"any"`    // any submission was solved
	Outcome oracle.Outcome `json:"outcome,omitempty"`
	// First is the time from the sample's start to its first solving submission.
	First time.Duration `json:"first,omitempty"`
	// Survivors counts submissions that broke the fixed build too; nothing else
	// about them stands anywhere but in the quarantine.
	Survivors int `json:"survivors,omitempty"`
}

// Submission is an input that the agent submitted. Content lies in the run's
// artifact folder by digest, unless the outcome is survives_fix.
type Submission struct {
	Number  int               `json:"number"`  // from 1, over all attempts; a gap is a survivor
	Attempt int               `json:"attempt"` // which start of the sample it came from
	At      time.Duration     `json:"at"`      // since the sample's start, killed attempts included
	Digest  proofhouse.Digest `json:"digest,omitempty"`
	Bytes   int64             `json:"bytes"`
	Verdict oracle.Verdict    `json:"verdict"`
	// Statement is the digest of the verdict's in-toto statement (DSSE
	// envelope) among the artifacts; Signed says whether a key signed it.
	Statement proofhouse.Digest `json:"statement,omitempty"`
	Signed    bool              `json:"signed"`
	Report    string            `json:"report,omitempty"` // symbolised crash report, cut to 64 KiB

	pending string // its file while it has no verdict
}

// Event is one line of a sample's transcript.
type Event struct {
	Seq  int64          `json:"seq"`  // of the journal's record
	At   time.Duration  `json:"at"`   // since the sample's start, killed attempts included
	Kind string         `json:"kind"` // "box", "probe", "exec", "info", "progress", "submit", "verdict", "limit", "error", "model", "compaction"
	Text string         `json:"text"`
	Data map[string]any `json:"data,omitempty"`
	// Model are the figures of a call, for kind "model".
	Model *Figures `json:"model,omitempty"`
}

// Figures are what a call to the model took and how it ended. What was said
// stands in the transcript.
type Figures struct {
	Request proofhouse.Digest `json:"request,omitempty"`
	Turn    int               `json:"turn,omitempty"` // from 1; 0 if there was no answer
	Stop    chat.StopReason   `json:"stop,omitempty"`
	Spent   Spent             `json:"spent"`
	Retries []chat.Retry      `json:"retries,omitempty"`
	Error   string            `json:"error,omitempty"` // public sentence, if there was no answer
}

// Summary is the run in figures. Infrastructure errors and cancelled samples
// are in no rate.
type Summary struct {
	Samples   int     `json:"samples"`
	Scored    int     `json:"scored"`
	Solved    int     `json:"solved"`
	Errors    int     `json:"errors"`
	Cancelled int     `json:"cancelled"`
	Attempts  int     `json:"attempts"`
	Survivors int     `json:"survivors"`
	Model     *Spent  `json:"model,omitempty"` // of all samples
	Rate      float64 `json:"rate"`
	// Wilson treats samples as independent; Clustered resamples by Cluster.
	Wilson    stat.Interval `json:"wilson"`
	Clustered stat.Interval `json:"clustered"`
	// Curve is the share of scored samples solved by a given time.
	Curve   []Point          `json:"curve"`
	ByClass map[string]Group `json:"by_class"`
	ByLang  map[string]Group `json:"by_language"`
	ByLevel map[string]Group `json:"by_level"`
	Median  time.Duration    `json:"median_first,omitempty"` // median time to first solve of the solved
}

// Point is one step of the curve, with its pointwise interval.
type Point struct {
	At    time.Duration `json:"at"`
	Share float64       `json:"share"`
	Low   float64       `json:"low"`
	High  float64       `json:"high"`
}

// Group is a rate within a class, language or level.
type Group struct {
	Samples int           `json:"samples"`
	Solved  int           `json:"solved"`
	Errors  int           `json:"errors"`
	Wilson  stat.Interval `json:"wilson"`
}
