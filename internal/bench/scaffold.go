package bench

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/google/uuid"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// Advisory is what a new task is made from.
type Advisory struct {
	ID         string // CVE, GHSA, GO or DSA
	Language   target.Language
	Package    string // Go module, npm package, or, for C, a Debian source package
	Vulnerable string // exact version
	Fixed      string
	Name       string // of the task's folder; "" is made from the package
}

//go:embed all:scaffold
var scaffold embed.FS

// NewTask makes a task's folder in a suite's folder, with every field of
// task.toml, a comment at each, and empty values where only a person can say.
// It makes the suite.toml too where there is none. `suite check` says what is
// still missing. It gives the folder's path.
func NewTask(suite string, a Advisory) (string, error) {
	if err := a.check(); err != nil {
		return "", err
	}
	abs, err := filepath.Abs(suite)
	if err != nil {
		return "", err
	}
	suiteName := filepath.Base(abs)
	if !folder.MatchString(suiteName) {
		return "", proofhouse.Errorf(proofhouse.Invalid, nil, "a suite's folder has lower-case letters, digits, dots and dashes: choose another name than %q", suiteName)
	}
	dir := filepath.Join(suite, a.Name)
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return "", proofhouse.Errorf(proofhouse.Conflict, err, "there is a task %s already: choose another name", a.Name)
	}
	values := map[string]any{"A": a, "Suite": suiteName, "GUID": uuid.NewString(), "Debian": a.Language == target.C}
	made := map[string]string{}
	for _, sub := range []string{"task", "harness/" + string(a.Language)} {
		root := path.Join("scaffold", sub)
		err := fs.WalkDir(scaffold, root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := template.ParseFS(scaffold, name)
			if err != nil {
				return err
			}
			var b strings.Builder
			if err := text.Execute(&b, values); err != nil {
				return err
			}
			to := strings.TrimSuffix(strings.TrimPrefix(name, root+"/"), ".tmpl")
			if sub != "task" {
				to = "environment/harness/" + to
			}
			made[to] = b.String()
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return dir, writeScaffold(suite, suiteName, dir, made)
}

// writeScaffold writes the files in a folder that appears whole.
func writeScaffold(suite, name, dir string, made map[string]string) error {
	if err := os.MkdirAll(suite, 0o755); err != nil {
		return diskError(err)
	}
	if _, err := os.Stat(filepath.Join(suite, "suite.toml")); errors.Is(err, fs.ErrNotExist) {
		text := "schema_version = \"1\"\nname = \"" + name + "\"\n# A title of at most 120 bytes.\ntitle = \"\"\n# A few sentences on what the suite holds.\ndescription = \"\"\n" +
			"# Whether the tasks are public: reports then say that memorisation is not excluded.\npublic = false\nmeasures = \"discovery\"\n"
		if err := writeWhole(filepath.Join(suite, "suite.toml"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	stage, err := os.MkdirTemp(suite, ".new-*")
	if err != nil {
		return diskError(err)
	}
	defer os.RemoveAll(stage)
	if err := os.Chmod(stage, 0o755); err != nil {
		return err
	}
	for _, sub := range []string{"cheat", "environment/harness/seeds", "solution/partial", "tests"} {
		if err := os.MkdirAll(filepath.Join(stage, sub), 0o755); err != nil {
			return diskError(err)
		}
	}
	for file, text := range made {
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(file, ".sh") {
			mode = 0o755
		}
		if err := writeWhole(filepath.Join(stage, filepath.FromSlash(file)), []byte(text), mode); err != nil {
			return err
		}
	}
	return diskError(os.Rename(stage, dir))
}

// check completes and checks what was given.
func (a *Advisory) check() error {
	bad := func(format string, args ...any) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, format, args...)
	}
	if a.Name == "" {
		a.Name = strings.Trim(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
				return r
			}
			return '-'
		}, strings.ToLower(path.Base(a.Package)+"-"+a.ID)), "-.")
	}
	for _, v := range []string{a.Package, a.Vulnerable, a.Fixed} {
		if v == "" || strings.ContainsAny(v, "\"\\\n\r\t ") {
			return bad("name the package and both versions, without spaces or quotes")
		}
	}
	switch {
	case advisory.FindString(a.ID) != a.ID:
		return bad("%q is no CVE, GHSA, GO or DSA id", a.ID)
	case a.Language != target.C && a.Language != target.Go && a.Language != target.JavaScript:
		return bad("the language is c, go or javascript")
	case !folder.MatchString(a.Name):
		return bad("a task's name has lower-case letters, digits, dots and dashes, at most 64")
	case a.Vulnerable == a.Fixed && a.Language != target.C:
		return bad("the vulnerable and the fixed version are the same")
	}
	return nil
}
