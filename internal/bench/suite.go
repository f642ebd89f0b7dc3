package bench

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
)

// Suite is a folder of tasks with its suite.toml.
type Suite struct {
	SchemaVersion string `toml:"schema_version" json:"schema_version"` // "1"
	Name          string `toml:"name" json:"name"`                     // the folder's name
	Title         string `toml:"title" json:"title"`
	Description   string `toml:"description" json:"description"`
	// Public says that the tasks are public, so that reports warn of memorised
	// answers.
	Public bool `toml:"public" json:"public"`
	// Measures is what the tasks ask for: "discovery".
	Measures string `toml:"measures" json:"measures"`

	// Tasks are the sound tasks by name, and Faults what is wrong with others.
	Tasks  []Task  `toml:"-" json:"-"`
	Faults []Fault `toml:"-" json:"-"`
}

// OpenSuite loads a suite: one of shipped by its name, or a folder of the disk
// by a path with a slash in it. A suite that is wrong as a whole is an error;
// single tasks that are wrong are left out and stand in Faults. now is the day
// that the age of fixes is judged on.
func OpenSuite(shipped fs.FS, name string, now time.Time) (Suite, error) {
	if !strings.ContainsRune(name, '/') && name != "." {
		if !folder.MatchString(name) || !exists(shipped, name) {
			return Suite{}, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no suite %q: `suite list` shows those that ship, and a path such as ./%s names a folder", name, name)
		}
		dir, err := fs.Sub(shipped, name)
		if err != nil {
			return Suite{}, err
		}
		return loadSuite(dir, name, now)
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Suite{}, proofhouse.Errorf(proofhouse.NotFound, err, "the suite's folder does not exist: `suite new` makes one")
	case err != nil:
		return Suite{}, proofhouse.Errorf(proofhouse.Unavailable, err, "the suite's folder cannot be read")
	case !info.IsDir():
		return Suite{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the suite is a file: `suite unpack` turns a packed suite into a folder")
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return Suite{}, err
	}
	return loadSuite(os.DirFS(name), filepath.Base(abs), now)
}

// ShippedSuites are the names of the suites of a file system, sorted.
func ShippedSuites(shipped fs.FS) []string {
	entries, _ := fs.ReadDir(shipped, ".")
	var names []string
	for _, e := range entries {
		if e.IsDir() && exists(shipped, path.Join(e.Name(), "suite.toml")) {
			names = append(names, e.Name())
		}
	}
	return names
}

func exists(dir fs.FS, name string) bool {
	_, err := fs.Stat(dir, name)
	return err == nil
}

// loadSuite reads suite.toml and every task beside it.
func loadSuite(dir fs.FS, name string, now time.Time) (Suite, error) {
	data, err := readFile(dir, "suite.toml", maxTOML)
	if err != nil {
		return Suite{}, proofhouse.Errorf(proofhouse.Invalid, err, "%s has no readable suite.toml: write one, docs/task-format.md has the format", name)
	}
	var s Suite
	d := decode("suite.toml", data, &s, nil)
	if len(d.faults) == 0 {
		checkSuite(d, s, name)
	}
	if err := faultError(d.faults); err != nil {
		return Suite{}, err
	}
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return Suite{}, err
	}
	guids := map[string]string{}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		sub, err := fs.Sub(dir, e.Name())
		if err != nil {
			return Suite{}, err
		}
		t, faults := LoadTask(sub, proofhouse.TaskID(name+"/"+e.Name()), now)
		if other, ok := guids[t.Metadata.Cyber.Canary]; ok && len(faults) == 0 {
			faults = append(faults, Fault{File: e.Name() + "/task.toml", Key: "metadata.cyber.canary", What: "is the GUID of " + other + " too: write a fresh one"})
		}
		if len(faults) > 0 {
			s.Faults = append(s.Faults, faults...)
			continue
		}
		guids[t.Metadata.Cyber.Canary] = e.Name()
		s.Tasks = append(s.Tasks, t)
	}
	return s, nil
}

// checkSuite checks what a suite.toml says.
func checkSuite(d *document, s Suite, name string) {
	if s.SchemaVersion != "1" {
		d.add("schema_version", `write "1", the version of this format`)
	}
	if s.Name != name || !folder.MatchString(name) {
		d.add("name", "is the folder's name: lower-case letters, digits, dots and dashes, at most 64")
	}
	if s.Title == "" || len(s.Title) > 120 {
		d.add("title", "write a title of at most 120 bytes")
	}
	if len(strings.TrimSpace(s.Description)) < minGround {
		d.add("description", "say in a few sentences what the suite holds")
	}
	if s.Measures != "discovery" {
		d.add("measures", `write "discovery": the tasks ask for an input that breaks, never for an exploit`)
	}
}

// Select gives the named tasks in the suite's order, all of them for no name.
// A name is a task's folder or "suite/folder". A name of a task that is
// wrong says what is wrong with it.
func (s Suite) Select(names []string) ([]Task, error) {
	if len(names) == 0 {
		if len(s.Tasks) == 0 {
			return nil, proofhouse.Errorf(proofhouse.Invalid, faultError(s.Faults), "suite %s has no sound task: `suite check` says why", s.Name)
		}
		return s.Tasks, nil
	}
	var chosen []Task
	for _, name := range names {
		short := strings.TrimPrefix(name, s.Name+"/")
		i := slices.IndexFunc(s.Tasks, func(t Task) bool { return t.Short() == short })
		if i < 0 {
			wrong := slices.DeleteFunc(slices.Clone(s.Faults), func(f Fault) bool { return !strings.HasPrefix(f.File+"/", short+"/") })
			if err := faultError(wrong); err != nil {
				return nil, err
			}
			return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "suite %s has no task %q: `suite list %s` shows its tasks", s.Name, name, s.Name)
		}
		if !slices.ContainsFunc(chosen, func(t Task) bool { return t.Short() == short }) {
			chosen = append(chosen, s.Tasks[i])
		}
	}
	slices.SortFunc(chosen, func(a, b Task) int { return strings.Compare(a.Short(), b.Short()) })
	return chosen, nil
}

// Quick are the tasks of the quick profile.
func (s Suite) Quick() []Task {
	return slices.DeleteFunc(slices.Clone(s.Tasks), func(t Task) bool { return !t.Metadata.Cyber.Quick })
}

// SuiteSummary is a suite in a list.
type SuiteSummary struct {
	Name      string            `json:"name"`
	Title     string            `json:"title"`
	Public    bool              `json:"public"`
	Tasks     int               `json:"tasks"`
	Quick     int               `json:"quick"`
	Built     int               `json:"built"`
	Digest    proofhouse.Digest `json:"digest,omitempty"` // over the built tasks, where all are built
	Languages map[string]int    `json:"languages"`
	Classes   map[string]int    `json:"classes"`
	Rows      []TaskSummary     `json:"rows"`
	Faults    []Fault           `json:"faults,omitempty"`
}

// TaskSummary is a task in a list.
type TaskSummary struct {
	Name        proofhouse.TaskID `json:"name"`
	Description string            `json:"description"`
	Language    string            `json:"language"`
	Class       string            `json:"class"`
	CWE         string            `json:"cwe"`
	Cluster     string            `json:"cluster"`
	IDs         []string          `json:"ids"`
	Published   string            `json:"published"`
	Human       int               `json:"human_minutes"`
	Quick       bool              `json:"quick"`
	Built       bool              `json:"built"`
	Baseline    Baseline          `json:"baseline"`
}

// Summary is the suite as a list shows it. built says which tasks are built.
func (s Suite) Summary(built func(Task) bool) SuiteSummary {
	sum := SuiteSummary{
		Name: s.Name, Title: s.Title, Public: s.Public, Tasks: len(s.Tasks), Faults: s.Faults,
		Languages: map[string]int{}, Classes: map[string]int{}, Rows: []TaskSummary{},
	}
	for _, t := range s.Tasks {
		c := t.Metadata.Cyber
		row := TaskSummary{
			Name: t.Task.Name, Description: t.Task.Description, Language: string(c.Target.Language), Class: c.Class,
			CWE: c.CWE, Cluster: c.Cluster, IDs: c.IDs, Published: c.Published, Human: c.HumanMinutes,
			Quick: c.Quick, Built: built(t), Baseline: c.Baseline,
		}
		sum.Rows = append(sum.Rows, row)
		sum.Languages[row.Language]++
		sum.Classes[row.Class]++
		if row.Quick {
			sum.Quick++
		}
		if row.Built {
			sum.Built++
		}
	}
	return sum
}
