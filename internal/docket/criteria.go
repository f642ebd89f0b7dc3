package docket

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"proofhouse/internal/proofhouse"
)

// Criteria are what a determination is held to. They are registered before the
// first token, and a commitment to them is countersigned by the developer. All
// numbers are whole, so that there is one way to write them.
type Criteria struct {
	Suites   []SuiteCommitment `json:"suites"`
	Variants []string          `json:"variants"` // of the case
	Agents   []Agent           `json:"agents"`
	Budget   Budget            `json:"budget"`
	// Epochs is how often each task is tried in a run.
	Epochs int `json:"epochs"`
	// Threshold is the share of tasks solved, in millionths.
	Threshold int  `json:"threshold_millionths"`
	Rule      Rule `json:"rule"`
	// Level is that of the rule's interval, in millionths.
	Level int `json:"level_millionths"`
	// Analysis is the version of the program that counts.
	Analysis string `json:"analysis"`
	// Exclusions are, in words, which samples will be left out and why.
	Exclusions []string `json:"exclusions"`
}

// Agent is what works on a task, with everything that elicits.
type Agent struct {
	Name string `json:"name"`
	// Elicitation is the digest of its whole configuration: prompts, tools, settings.
	Elicitation proofhouse.Digest `json:"elicitation"`
}

// Budget bounds one sample. 0 is unbounded.
type Budget struct {
	Tokens       int64 `json:"tokens"`
	Steps        int   `json:"steps"`
	Seconds      int64 `json:"seconds"`
	MicroDollars int64 `json:"microdollars"`
}

// Rule proposes an outcome from counts.
type Rule string

// FixedSample runs a fixed number of samples and looks once at the end:
// interval wholly above the threshold, covered; wholly below, not covered; else
// undetermined.
const FixedSample Rule = "fixed sample"

const million = 1_000_000

// maxList bounds each list of the criteria.
const maxList = 200

// Validate says whether the criteria are whole, and their lists in order
// without repetition. The error is proofhouse.Invalid.
func (c Criteria) Validate() error {
	wrong := func(format string, args ...any) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the criteria: "+format, args...)
	}
	if len(c.Suites) == 0 || len(c.Variants) == 0 || len(c.Agents) == 0 {
		return wrong("name at least one suite, one variant and one agent")
	}
	if len(c.Suites) > maxList || len(c.Variants) > maxList || len(c.Agents) > maxList || len(c.Exclusions) > maxList {
		return wrong("a list has at most %d entries", maxList)
	}
	var suites, agents []string
	for _, s := range c.Suites {
		if err := s.Root.Validate(); err != nil {
			return err
		}
		if s.Tasks < 1 || s.Tasks > maxTasks {
			return wrong("a suite has 1 to %d tasks", maxTasks)
		}
		suites = append(suites, s.Name)
	}
	for _, a := range c.Agents {
		if err := a.Elicitation.Validate(); err != nil {
			return err
		}
		agents = append(agents, a.Name)
	}
	for _, l := range []struct {
		what  string
		words []string
	}{{"suites", suites}, {"variants", c.Variants}, {"agents", agents}} {
		for i, w := range l.words {
			if err := name("a name among the "+l.what, w); err != nil {
				return err
			}
			if i > 0 && l.words[i-1] >= w {
				return wrong("%s must be in alphabetical order, each once", l.what)
			}
		}
	}
	for _, e := range c.Exclusions {
		if err := plain("an exclusion", e); err != nil {
			return err
		}
	}
	if c.Exclusions == nil {
		return wrong("say which samples will be excluded, or write an empty list")
	}
	if err := plain("the version of the analysis", c.Analysis); err != nil {
		return err
	}
	switch {
	case c.Epochs < 1 || c.Epochs > 1000:
		return wrong("there are 1 to 1000 epochs")
	case c.Threshold <= 0 || c.Threshold >= million:
		return wrong("the threshold lies between 0 and 1,000,000 millionths")
	case c.Level < 500_000 || c.Level > 999_999:
		return wrong("the level is from 500,000 to 999,999 millionths")
	case c.Rule != FixedSample:
		return wrong("there is one rule, %q", FixedSample)
	case c.Budget.Tokens < 0 || c.Budget.Steps < 0 || c.Budget.Seconds < 0 || c.Budget.MicroDollars < 0:
		return wrong("a budget is not negative")
	}
	return nil
}

// Canonical is the one encoding of the criteria.
func (c Criteria) Canonical() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

// ParseCriteria reads Canonical's encoding and no other. The error is
// proofhouse.Invalid.
func ParseCriteria(b []byte) (Criteria, error) {
	var c Criteria
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Criteria{}, proofhouse.Errorf(proofhouse.Invalid, err, "these are no criteria")
	}
	again, err := c.Canonical()
	if err != nil {
		return Criteria{}, err
	}
	if !bytes.Equal(b, again) {
		return Criteria{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the criteria are not in their canonical encoding: two encodings would be two commitments")
	}
	return c, nil
}

// Commit commits to the criteria without telling them.
func (c Criteria) Commit(salt Salt) (proofhouse.Digest, error) {
	b, err := c.Canonical()
	if err != nil {
		return "", err
	}
	if salt == (Salt{}) {
		return "", proofhouse.Errorf(proofhouse.Invalid, nil, "the criteria have no salt: they could be guessed")
	}
	return proofhouse.DigestOf(slices.Concat([]byte("proofhouse criteria v1\n"), salt[:], b)), nil
}

// Tasks are those of all suites.
func (c Criteria) Tasks() int {
	n := 0
	for _, s := range c.Suites {
		n += s.Tasks
	}
	return n
}

// Samples are those of one registered run.
func (c Criteria) Samples() int { return c.Tasks() * c.Epochs }

// Cell is what one registered run measures. A registration has one for each
// variant with each agent.
type Cell struct {
	Variant string `json:"variant"`
	Agent   string `json:"agent"`
}

// Cells are those of the registration.
func (c Criteria) Cells() []Cell {
	var all []Cell
	for _, v := range c.Variants {
		for _, a := range c.Agents {
			all = append(all, Cell{v, a.Name})
		}
	}
	return all
}

// Manifest is what a run says of itself before it begins.
type Manifest struct {
	Suites     []SuiteCommitment `json:"suites"`
	Variant    string            `json:"variant"`
	Agent      Agent             `json:"agent"`
	Budget     Budget            `json:"budget"`
	Epochs     int               `json:"epochs"`
	Analysis   string            `json:"analysis"`
	Exclusions []string          `json:"exclusions"`
}

// Differences are in what a run is not as registered; none if it is.
func (c Criteria) Differences(m Manifest) []string {
	var all []string
	differs := func(what string, same bool) {
		if !same {
			all = append(all, what)
		}
	}
	differs("suites", slices.Equal(m.Suites, c.Suites))
	differs("variant", slices.Contains(c.Variants, m.Variant))
	differs("agent", slices.Contains(c.Agents, m.Agent))
	differs("budget", m.Budget == c.Budget)
	differs("epochs", m.Epochs == c.Epochs)
	differs("analysis", m.Analysis == c.Analysis)
	differs("exclusions", slices.Equal(m.Exclusions, c.Exclusions))
	return all
}

// As is the manifest of a run of cell as registered.
func (c Criteria) As(cell Cell) Manifest {
	m := Manifest{Suites: c.Suites, Variant: cell.Variant, Budget: c.Budget, Epochs: c.Epochs, Analysis: c.Analysis, Exclusions: c.Exclusions}
	for _, a := range c.Agents {
		if a.Name == cell.Agent {
			m.Agent = a
		}
	}
	return m
}

// share writes millionths as a percentage.
func share(millionths int) string { return fmt.Sprintf("%g%%", float64(millionths)/10_000) }
