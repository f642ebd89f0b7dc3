package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// Built is a task made ready on this machine: a file of the data folder.
type Built struct {
	Version int               `json:"version"` // 1
	Task    proofhouse.TaskID `json:"task"`
	Folder  proofhouse.Digest `json:"folder"` // Task.Digest of what was built
	Target  target.Target     `json:"target"`
	// Crash is the symbolised report of the reference submission (hint level 2)
	// and Patch the difference of the sources (hint level 3).
	Crash string `json:"crash"`
	Patch string `json:"patch"`
}

// Builder builds a task's pair of programs. app adapts target's.
type Builder interface {
	// Build fetches, checks every pin and builds in a box. It may be repeated;
	// what is there already is not made again.
	Build(ctx context.Context, folder fs.FS, recipe target.Recipe) (target.Target, error)
	// Patch is the unified difference from the vulnerable to the fixed source.
	Patch(ctx context.Context, folder fs.FS, recipe target.Recipe) ([]byte, error)
}

// Case is what a submission is judged against.
type Case struct {
	Task   proofhouse.TaskID
	Target target.Target
	Rule   oracle.Rule
	// Fresh asks for boxes that nothing ran in before; it is always set for a score.
	Fresh bool
}

// Judgement is a verdict with what is kept of it.
type Judgement struct {
	Verdict oracle.Verdict
	Report  string // symbolised crash report of the vulnerable build, or what was seen in its place
	// Statement is the verdict's in-toto statement in its DSSE envelope.
	Statement []byte
	Signed    bool
	// Artifacts are the raw outputs that the verdict names by digest.
	Artifacts map[proofhouse.Digest][]byte
}

// Verifier judges submissions. It is safe for concurrent use and bounds its
// own boxes. A submission that breaks the fixed build too is in the
// quarantine when Verify returns, and its Judgement holds the outcome alone.
// An error is ours: a task's failure is an outcome.
type Verifier interface {
	Verify(ctx context.Context, c Case, submission []byte) (Judgement, error)
}

// Warmer is a Verifier that can start boxes ahead for a case that is about to
// be judged. Warm returns at once and may be called again.
type Warmer interface {
	Verifier
	Warm(c Case)
}

// BuiltStore holds built tasks: data/suites/<suite>/<task>.json.
type BuiltStore struct {
	Dir    string
	Images sandbox.Images
}

func (s BuiltStore) path(t proofhouse.TaskID) string {
	return filepath.Join(s.Dir, filepath.FromSlash(string(t))+".json")
}

// Build makes a task ready and stores it. A task that is built and whole is
// left as it is unless again is set.
func (s BuiltStore) Build(ctx context.Context, t Task, by Builder, v Verifier, again bool) (Built, error) {
	if !again {
		if b, err := s.Load(t, nil); err == nil {
			return b, nil
		}
	}
	c := t.Metadata.Cyber
	tgt, err := by.Build(ctx, t.FS, c.Target)
	if err != nil {
		return Built{}, err
	}
	patch, err := by.Patch(ctx, t.FS, c.Target)
	if err != nil {
		return Built{}, err
	}
	poc, err := readFile(t.FS, "solution/poc", maxFile)
	if err != nil {
		return Built{}, err
	}
	j, err := v.Verify(ctx, t.Case(tgt), poc)
	if err != nil {
		return Built{}, err
	}
	b := Built{Version: 1, Task: t.Task.Name, Folder: t.Digest, Target: tgt, Crash: j.Report, Patch: cutPatch(patch)}
	if j.Verdict.Outcome == oracle.InfraError {
		return b, proofhouse.Errorf(proofhouse.Unavailable, nil, "task %s: the reference could not be judged on this machine (%s): `sandbox doctor` says what it can hold", t.Task.Name, j.Verdict.Reason)
	}
	if !j.Verdict.Outcome.Counts() {
		return b, proofhouse.Errorf(proofhouse.Failed, nil, "task %s: the reference does not solve it (%s: %s): mend the task before it is used", t.Task.Name, j.Verdict.Outcome, j.Verdict.Reason)
	}
	return b, s.Put(b)
}

// maxPatch bounds the patch of hint level 3, in bytes: two versions far apart
// differ in more than anybody reads.
const maxPatch = 1 << 20

// cutPatch is a patch of at most maxPatch bytes, cut at the end of a line,
// which the last line then says.
func cutPatch(patch []byte) string {
	if len(patch) <= maxPatch {
		return string(patch)
	}
	kept := patch[:bytes.LastIndexByte(patch[:maxPatch], '\n')+1]
	return fmt.Sprintf("%s[cut: the first %d of %d bytes]\n", kept, len(kept), len(patch))
}

// Case is what submissions to the task are judged against.
func (t Task) Case(tgt target.Target) Case {
	return Case{Task: t.Task.Name, Target: tgt, Rule: t.Metadata.Cyber.Oracle, Fresh: true}
}

// Put stores a built task; it is whole or not there.
func (s BuiltStore) Put(b Built) error {
	data, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return err
	}
	return writeWhole(s.path(b.Task), data, 0o644)
}

// record reads a built task and checks that it was made from the task as it
// is now.
func (s BuiltStore) record(t Task) (Built, error) {
	data, err := os.ReadFile(s.path(t.Task.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return Built{}, proofhouse.Errorf(proofhouse.NotFound, nil, "task %s is not built: run `suite build`", t.Task.Name)
	}
	if err != nil {
		return Built{}, err
	}
	var b Built
	if err := json.Unmarshal(data, &b); err != nil || b.Version != 1 || b.Task != t.Task.Name {
		return Built{}, proofhouse.Errorf(proofhouse.Integrity, err, "the record of the built task %s cannot be read: run `suite build` again", t.Task.Name)
	}
	if b.Folder != t.Digest {
		return Built{}, proofhouse.Errorf(proofhouse.Conflict, nil, "task %s has changed since it was built: run `suite build` again", t.Task.Name)
	}
	return b, nil
}

// Load reads a built task and checks that it was made from the task as it is
// now, and that every image has the digest that the record names. verified
// remembers images across calls, since tasks share roots; nil checks all.
func (s BuiltStore) Load(t Task, verified map[proofhouse.Digest]bool) (Built, error) {
	b, err := s.record(t)
	if err != nil {
		return Built{}, err
	}
	if verified == nil {
		verified = map[proofhouse.Digest]bool{}
	}
	for _, img := range b.images() {
		if !verified[img.Digest] {
			if err := s.Images.Verify(img.Digest); err != nil {
				return Built{}, err
			}
			verified[img.Digest] = true
		}
		img.Path = filepath.Join(s.Images.Dir, img.Digest.Hex()+".erofs")
	}
	return b, nil
}

// Has says whether a task is built from its folder as it is now and all its
// images are there. It is for lists: it reads no image, as Load does.
func (s BuiltStore) Has(t Task) bool {
	b, err := s.record(t)
	if err != nil {
		return false
	}
	for _, img := range b.images() {
		if _, err := s.Images.Open(img.Digest); err != nil {
			return false
		}
	}
	return true
}

// images are all images of a built task, each once per use.
func (b *Built) images() []*sandbox.Image {
	t := &b.Target
	all := []*sandbox.Image{
		&t.Vulnerable.Root, &t.Vulnerable.Image, &t.Fixed.Root, &t.Fixed.Image, &t.SourceTree, &t.Fuzz.Root, &t.Fuzz.Image,
	}
	return slices.DeleteFunc(all, func(i *sandbox.Image) bool { return i.Digest == "" })
}

// Digest names everything that a built task measures with. How long a build
// took is no part of it.
func (b Built) Digest() proofhouse.Digest {
	for _, build := range []*target.Build{&b.Target.Vulnerable, &b.Target.Fixed, &b.Target.Fuzz} {
		build.Took = 0
	}
	data, err := json.Marshal(b)
	if err != nil {
		panic(err) // the type holds nothing that JSON refuses
	}
	return proofhouse.DigestOf(data)
}

// Trial is a task with its build: what a sample runs on.
type Trial struct {
	Task  Task
	Built Built
}

// LoadTrials loads the built tasks and the reference to them, which names
// each task by digest.
func (s BuiltStore) LoadTrials(suite string, tasks []Task) ([]Trial, SuiteRef, error) {
	verified := map[proofhouse.Digest]bool{}
	var trials []Trial
	for _, t := range tasks {
		b, err := s.Load(t, verified)
		if err != nil {
			return nil, SuiteRef{}, err
		}
		trials = append(trials, Trial{t, b})
	}
	return trials, SuiteRef{Name: suite, Digest: trialsDigest(trials), Tasks: len(trials)}, nil
}

// trialsDigest is the digest over the sorted digests of built tasks.
func trialsDigest(trials []Trial) proofhouse.Digest {
	lines := make([]string, len(trials))
	for i, t := range trials {
		lines[i] = t.Built.Digest().Hex() + " " + string(t.Task.Task.Name) + "\n"
	}
	slices.Sort(lines)
	return proofhouse.DigestOf([]byte(strings.Join(lines, "")))
}
