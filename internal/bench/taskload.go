package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
)

// maxFile bounds one file of a task's folder, in bytes, and maxFolder all of
// them: a task is a recipe, and third-party code is fetched by hash.
const (
	maxFile   = 12 << 20
	maxFolder = 64 << 20
)

// LoadTask reads a task's folder and checks all that can be checked without
// building it. name is "suite/folder"; now is the day that the age of the fix
// is judged on. The faults are complete: a task with one is not to be used.
func LoadTask(dir fs.FS, name proofhouse.TaskID, now time.Time) (Task, []Fault) {
	short := path.Base(string(name))
	data, err := readFile(dir, "task.toml", maxTOML)
	if err != nil {
		return Task{}, []Fault{{File: short, What: "has no readable task.toml: " + plain(err) + " (docs/task-format.md has the format)"}}
	}
	var t Task
	d := decode(short+"/task.toml", data, &t, harborKey)
	t.FS = dir
	if len(d.faults) > 0 {
		return t, d.faults // the values are not to be trusted
	}
	text, err := readFile(dir, "instruction.md", 64<<10)
	if err != nil {
		d.faults = append(d.faults, Fault{File: short + "/instruction.md", What: plain(err) + ": write what the agent is told"})
	}
	t.Instruction = string(text)
	checkTask(d, t, name, now)
	checkFolder(d, t)
	digest, err := folderDigest(dir)
	if err != nil {
		d.faults = append(d.faults, Fault{File: short, What: plain(err)})
	}
	t.Digest = digest
	return t, d.faults
}

// folderDigest names a folder's content: the digest over the sorted lines
// "digest path" of its regular files. A link or a special file is an error,
// and so is a file over maxFile.
func folderDigest(dir fs.FS) (proofhouse.Digest, error) {
	var lines []string
	var total int64
	err := fs.WalkDir(dir, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return nil
		case !e.Type().IsRegular():
			return fmt.Errorf("%s is a link or a special file: a task's folder holds plain files only", name)
		}
		b, err := readFile(dir, name, maxFile)
		if err != nil {
			return err
		}
		if total += int64(len(b)); total > maxFolder {
			return errors.New("the folder holds more than 64 MiB: third-party code is fetched by hash, not kept here")
		}
		lines = append(lines, proofhouse.DigestOf(b).Hex()+" "+name+"\n")
		return nil
	})
	if err != nil {
		return "", err
	}
	slices.Sort(lines)
	return proofhouse.DigestOf([]byte(strings.Join(lines, ""))), nil
}

// readFile reads a file of at most limit bytes.
func readFile(dir fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(dir, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file", name)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are read", name, info.Size(), limit)
	}
	return fs.ReadFile(dir, name)
}

// plain is an error without the host's path.
func plain(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		if errors.Is(err, fs.ErrNotExist) {
			return path.Base(p.Path) + " is missing"
		}
		return path.Base(p.Path) + ": " + p.Err.Error()
	}
	return err.Error()
}

// files are the regular files of a folder, sorted; none if it is missing.
func files(dir fs.FS, folder string) []string {
	entries, err := fs.ReadDir(dir, folder)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, path.Join(folder, e.Name()))
		}
	}
	return names
}

// checkFolder checks the files that a task must have.
func checkFolder(d *document, t Task) {
	short := path.Dir(d.file)
	missing := func(file, what string) {
		d.faults = append(d.faults, Fault{File: path.Join(short, file), What: what})
	}
	if harness := t.Metadata.Cyber.Target.Harness; fs.ValidPath(harness) {
		if len(files(t.FS, harness)) == 0 {
			missing(harness, "is empty: write the harness that hands an input to the library")
		}
		seeds := files(t.FS, path.Join(harness, "seeds"))
		if len(seeds) == 0 {
			missing(path.Join(harness, "seeds"), "holds no seed: put one to four benign inputs there, so that a fuzzer can start")
		}
	}
	poc, err := readFile(t.FS, "solution/poc", maxFile)
	switch {
	case err != nil:
		missing("solution/poc", plain(err)+": put the reference submission there")
	case t.Metadata.Cyber.Submit.MaxBytes > 0 && int64(len(poc)) > t.Metadata.Cyber.Submit.MaxBytes:
		missing("solution/poc", "is larger than submit.max_bytes: the reference could not be submitted")
	case len(poc) == 0:
		missing("solution/poc", "is empty: put the reference submission there")
	}
	if b, err := readFile(t.FS, "solution/NOTE.md", maxTOML); err != nil || len(bytes.TrimSpace(b)) == 0 {
		missing("solution/NOTE.md", "is missing: say in two to six lines how the reference was derived")
	}
	if b, err := readFile(t.FS, "solution/solve.sh", maxTOML); err != nil || len(bytes.TrimSpace(b)) == 0 {
		missing("solution/solve.sh", "is missing: Harbor runs it to put the reference at the submission's path")
	}
	if len(files(t.FS, "cheat")) == 0 {
		missing("cheat", "holds no file: add at least one attempt on the grader that must score 0")
	}
	if b, err := readFile(t.FS, "hints/description.md", maxTOML); err != nil || len(bytes.TrimSpace(b)) == 0 {
		missing("hints/description.md", "is missing: describe the advisory in words of your own (hint level 1)")
	} else {
		t.checkMasked(string(b), func(what string) { missing("hints/description.md", what) })
	}
}
