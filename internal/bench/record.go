package bench

import (
	"encoding/json"
	"time"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Record is one entry of a run's journal. Exactly one of the fields after At
// that carry a payload is set, besides Sample.
type Record struct {
	Seq int64 `json:"seq"` // from 1, without gaps
	// Prev is the digest of the record before, as it stands in the file.
	Prev proofhouse.Digest `json:"prev"`
	At   time.Time         `json:"at"`
	// Sample says which sample and which attempt at it the record is about.
	Sample *SampleRef `json:"sample,omitempty"`

	Open     *Opening    `json:"open,omitempty"`     // the first record: what the run is
	Resumed  *Resumption `json:"resumed,omitempty"`  // the run was taken up again
	Start    *Beginning  `json:"start,omitempty"`    // an attempt at a sample begins
	Probe    *Probing    `json:"probe,omitempty"`    // the box is proved and the agent starts
	Event    *Event      `json:"event,omitempty"`    // a line of the transcript
	Accepted *Acceptance `json:"accepted,omitempty"` // a submission was accepted; synced before it is acknowledged
	Verdict  *Decision   `json:"verdict,omitempty"`  // the oracle's answer to one
	End      *Ending     `json:"end,omitempty"`      // the attempt is over
	Finish   *Finishing  `json:"finish,omitempty"`   // the run is over
	Steering *Steering   `json:"steering,omitempty"` // somebody paused it, let it go on or stopped it

	// Identity is an answer to whether the model is still the run's.
	Identity *Identification `json:"identity,omitempty"`

	// Step is a step of a conversation and From how many steps stand before it;
	// both are of the private journal only.
	Step *Step `json:"step,omitempty"`
	From int   `json:"from,omitempty"`
	// Impression is the first one of the model; of the private journal only.
	Impression json.RawMessage `json:"impression,omitempty"`
}

// SampleRef names an attempt at a sample.
type SampleRef struct {
	Task    proofhouse.TaskID `json:"task"`
	Epoch   int               `json:"epoch"`
	Attempt int               `json:"attempt"` // from 1, over all resumptions
}

// Opening is what a run is, so that a Result follows from the journal alone.
type Opening struct {
	Format    int              `json:"format"` // 1
	Run       proofhouse.RunID `json:"run"`
	Suite     SuiteRef         `json:"suite"`
	Agent     string           `json:"agent"`
	Provider  string           `json:"provider"`
	Isolation sandbox.Strength `json:"isolation"`
	Build     string           `json:"build"`
	Machine   Machine          `json:"machine"`
	Config    Config           `json:"config"`
	Notes     []string         `json:"notes"`
	Tasks     []TaskFacts      `json:"tasks"` // in the order of the first epoch
}

// TaskFacts are what a Sample says about its task.
type TaskFacts struct {
	Task     proofhouse.TaskID `json:"task"`
	Cluster  string            `json:"cluster"`
	Class    string            `json:"class"`
	CWE      string            `json:"cwe"`
	Language string            `json:"language"`
	Level    int               `json:"level"`
	Human    int               `json:"human_minutes"`
	Limit    time.Duration     `json:"limit"`  // the sample's, box set-up included
	Limits   sandbox.Limits    `json:"limits"` // the agent box's
}

// Resumption says how a run was taken up again.
type Resumption struct {
	Build string `json:"build"`
	Torn  int64  `json:"torn,omitempty"` // bytes of a half-written record that were cut off
	// Budget is that of the run from here on, if it has a model.
	Budget *Budget `json:"budget,omitempty"`
	// RunTime is Config.RunTime from here on.
	RunTime time.Duration `json:"run_time,omitempty"`
}

// Beginning opens an attempt.
type Beginning struct {
	Box string `json:"box,omitempty"`
	// Token is the sample's, the same in each of its attempts.
	Token string `json:"token,omitempty"`
}

// Probing is the containment proof, or its failure.
type Probing struct {
	At     time.Duration       `json:"at"`
	Failed string              `json:"failed,omitempty"` // public sentence: the agent does not start
	Report sandbox.ProbeReport `json:"report"`
}

// Acceptance is a submission that the engine has taken: it is in no way lost
// from here on. Neither size nor digest stands here, since a submission that
// turns out to break the fixed build leaves nothing but a count.
type Acceptance struct {
	Number int           `json:"number"` // from 1, over all attempts
	At     time.Duration `json:"at"`     // since the attempt's start
	File   string        `json:"file"`   // random token: where its content is held
}

// Decision is a verdict on a submission. For survives_fix all but the number
// and the outcome is empty.
type Decision struct {
	Number    int               `json:"number"`
	At        time.Duration     `json:"at"` // since the attempt's start
	Digest    proofhouse.Digest `json:"digest,omitempty"`
	Bytes     int64             `json:"bytes,omitempty"`
	Verdict   oracle.Verdict    `json:"verdict"`
	Statement proofhouse.Digest `json:"statement,omitempty"`
	Signed    bool              `json:"signed,omitempty"`
	Report    string            `json:"report,omitempty"`
}

// Ending is how an attempt ended.
type Ending struct {
	Status SampleStatus  `json:"status"`
	Usage  sandbox.Usage `json:"usage"`
	Took   time.Duration `json:"took"`
	Limit  string        `json:"limit,omitempty"`
	Error  string        `json:"error,omitempty"`
	// Transcript is the digest of the conversation with the model, if there was one.
	Transcript proofhouse.Digest `json:"transcript,omitempty"`
}

// Finishing is how a run ended.
type Finishing struct {
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}
