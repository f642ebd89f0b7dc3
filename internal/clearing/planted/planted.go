// Package planted makes small projects in C and in Go with bugs planted in
// them, proofs that break them and patches, right and wrong, and knows the
// truth about all of these: which proofs show the same bug, which patch stops
// which proof, and what is wrong with a wrong patch. Clearing's judgements of
// duplicates and of patches are measured against it.
//
// Everything follows from a seed and nothing is run to make it; that what it
// claims is true is for its test to show, by building every project and every
// patched version of it. How the two judgements are reached is clearing's.
package planted

import "proofhouse/internal/target"

// Reserve is the first seed of the projects kept for measurement: besides other
// seeds they have modules of designs that no project below has.
const Reserve = 1000

// Project is a small made-up project with planted bugs. Equal seeds of a
// language give equal bytes.
type Project struct {
	Seed     uint64          `json:"seed"`
	Language target.Language `json:"language"`
	Name     string          `json:"name"`
	// Source is the project's code, its tests (tests/… in C) and a README, by
	// path.
	Source map[string][]byte `json:"source"`
	// Harness is laid beside the source as docs/design/target.md says:
	// harness.c or harness.go, and seeds/.
	Harness map[string][]byte `json:"harness"`
	Recipe  Recipe            `json:"recipe"`
	// Test runs the project's own tests in the source's folder. In C it takes
	// CC and CFLAGS from the environment. Exit status 0 is a pass.
	Test []string `json:"test"`
	// Benign are inputs that break nothing; a right patch leaves what the
	// harness prints for them as it was.
	Benign  [][]byte `json:"benign"`
	Bugs    []Bug    `json:"bugs"`
	Proofs  []Proof  `json:"proofs"`
	Patches []Patch  `json:"patches"`

	mended map[string][]byte // the source with every bug fixed
}

// Recipe is what a target.Recipe needs to build the project.
type Recipe struct {
	Sources []string `json:"sources,omitempty"` // C: globs of the files to compile, relative to the source
	Flags   []string `json:"flags,omitempty"`   // C: for the compiler, run in the source's folder
	Module  string   `json:"module,omitempty"`  // Go: the module's path; it needs no other module
}

// Kind is the hard case that a bug stands for.
type Kind string

// The kinds.
const (
	Plain      Kind = "plain"
	ManySinks  Kind = "many sinks" // one cause that breaks in several places, in several classes
	OneSink    Kind = "one sink"   // two bugs that break in one place, in one class
	Masked     Kind = "masked"     // a bug whose proofs break in another until that is fixed
	Masking    Kind = "masking"    // that other bug
	Incomplete Kind = "incomplete" // has an obvious patch that stops some of its proofs only
	Ordered    Kind = "ordered"    // two bugs, the patch of the second of which is made on top of that of the first
	Flaky      Kind = "flaky"      // breaks in about half of the runs
	TwoPlaces  Kind = "two places" // can be mended rightly in the caller or in the callee
)

// Bug is one planted cause: what can be fixed independently of every other.
type Bug struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
}

// Proof is an input that breaks the project's unpatched build.
type Proof struct {
	Name  string `json:"name"`
	Input []byte `json:"input"`
	// Bug is the one that the proof is of. Its Reaches are all bugs that the
	// input runs into, in their order: the unpatched build breaks in the first,
	// and only where all are fixed does it run clean. Bug is the last of them.
	Bug     string   `json:"bug"`
	Reaches []string `json:"reaches"`
	// Flaky says that it breaks in about half of the runs.
	Flaky bool `json:"flaky,omitempty"`
	// Class is the sanitizer's or the panic's, as oracle spells it, on the
	// unpatched build.
	Class string `json:"class"`

	atoms []string // the places where it breaks, in their order
}

// Patch is a change that somebody offers, right or wrong.
type Patch struct {
	Name string `json:"name"`
	// Diff is a unified diff for -p1, in git's style.
	Diff []byte `json:"diff"`
	// Regression is one more diff, on top of Diff, that adds a test. That of a
	// right patch fails without the patch and passes with it.
	Regression []byte `json:"regression"`
	// Aims are the bugs that it is offered for, Bugs those all of whose proofs
	// it stops, and Stops the names of the proofs that it stops, each applied
	// alone to the unpatched source.
	Aims  []string `json:"aims"`
	Bugs  []string `json:"bugs,omitempty"`
	Stops []string `json:"stops,omitempty"`
	// After are the patches that it is made on top of: with them it has its
	// effect. Alone says whether it can be applied without them.
	After []string `json:"after,omitempty"`
	Alone bool     `json:"alone"`
	// Bundle says that unrelated changes, or the fixes of several bugs, come
	// with it in hunks that can be told apart.
	Bundle bool `json:"bundle,omitempty"`
	Right  bool `json:"right"`
	// Fault says why it is wrong. Witness is an input for which a wrong patch
	// is found out: its build breaks, or prints something else than the
	// unpatched build does. It is nil where the diff alone shows it. Breaks
	// tells the two apart.
	Fault   Fault  `json:"fault,omitempty"`
	Witness []byte `json:"witness,omitempty"`
	Breaks  bool   `json:"breaks,omitempty"`

	removes, ends []string // atoms
}

// Fault is what is wrong with a patch.
type Fault string

// The faults.
const (
	Silenced    Fault = "symptom silenced"
	FeatureCut  Fault = "feature cut"
	OneCaller   Fault = "check in one caller"
	Partial     Fault = "incomplete"
	WeakTest    Fault = "weakens a test"
	EditHarness Fault = "edits the harness"
	EditBuild   Fault = "changes the build"
	NewBreak    Fault = "new break"
)

// Stopped says whether the proof named runs clean on the source with the
// patches named applied, all of them, in an order in which they can be.
func (p *Project) Stopped(proof string, patches ...string) bool {
	var set []*Patch
	for i := range p.Patches {
		for _, name := range patches {
			if p.Patches[i].Name == name {
				set = append(set, &p.Patches[i])
			}
		}
	}
	for i := range p.Proofs {
		if p.Proofs[i].Name == proof {
			return stopped(&p.Proofs[i], set)
		}
	}
	return false
}

// Matrix is the gold matrix of those patches that can be applied alone: for
// each proof, in the order of Proofs, whether each patch, in the order of
// Patches, stops it.
func (p *Project) Matrix() [][]bool {
	out := make([][]bool, len(p.Proofs))
	for i := range p.Proofs {
		out[i] = make([]bool, len(p.Patches))
		for j := range p.Patches {
			out[i][j] = p.Patches[j].Alone && stopped(&p.Proofs[i], []*Patch{&p.Patches[j]})
		}
	}
	return out
}

// stopped walks through the places where a proof breaks. A patch that ends the
// process at one of them keeps it from all later ones.
func stopped(p *Proof, patches []*Patch) bool {
	for _, atom := range p.atoms {
		gone := false
		for _, patch := range patches {
			for _, a := range patch.ends {
				if a == atom {
					return true
				}
			}
			for _, a := range patch.removes {
				gone = gone || a == atom
			}
		}
		if !gone {
			return false
		}
	}
	return true
}
