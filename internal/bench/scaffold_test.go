package bench

import (
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

func TestNewTaskFailsTheCheckWithSentencesUntilFilled(t *testing.T) {
	suite := filepath.Join(t.TempDir(), "mine-1")
	for _, a := range []Advisory{
		{ID: "CVE-2022-28948", Language: target.Go, Package: "gopkg.in/yaml.v3", Vulnerable: "v3.0.0", Fixed: "v3.0.1"},
		{ID: "CVE-2021-44906", Language: target.JavaScript, Package: "minimist", Vulnerable: "1.2.5", Fixed: "1.2.6"},
		{ID: "CVE-2023-53154", Language: target.C, Package: "cjson", Vulnerable: "1.7.15-1+deb12u4", Fixed: "1.7.15-1+deb12u4"},
	} {
		if _, err := NewTask(suite, a); err != nil {
			t.Fatal(err)
		}
		if _, err := NewTask(suite, a); proofhouse.KindOf(err) != proofhouse.Conflict {
			t.Errorf("a second time: %v", err)
		}
	}
	_, err := OpenSuite(nil, suite, today)
	for _, want := range []string{"title", "description"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("suite.toml: %v", err)
		}
	}
	name := filepath.Join(suite, "suite.toml")
	if err := writeWhole(name, []byte("schema_version = \"1\"\nname = \"mine-1\"\ntitle = \"Mine\"\ndescription = \"of my own making\"\nmeasures = \"discovery\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSuite(nil, suite, today)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Tasks) != 0 {
		t.Fatalf("%d unfilled tasks are sound", len(s.Tasks))
	}
	var all []string
	for _, f := range s.Faults {
		all = append(all, f.String())
		if strings.Contains(f.What, "unknown") || strings.Contains(f.What, "TOML") {
			t.Errorf("the template itself is wrong: %s", f)
		}
	}
	text := strings.Join(all, "\n")
	for _, short := range []string{"yaml.v3-cve-2022-28948", "minimist-cve-2021-44906", "cjson-cve-2023-53154"} {
		for _, want := range []string{
			"/task.toml:", "class", "cwe", "cluster", "published", "fixed_on", "human_minutes", "human_ground", "licence", "provenance",
			"symptom", "instruction.md", "solution/poc", "solution/NOTE.md", "hints/description.md", "cheat", "seeds",
		} {
			found := false
			for _, line := range all {
				found = found || strings.HasPrefix(line, short) && strings.Contains(line, want)
			}
			if !found {
				t.Errorf("%s: no fault names %q in\n%s", short, want, text)
			}
		}
	}
	if rows := s.FaultRows(); len(rows) != len(s.Faults) || rows[0].Passed {
		t.Errorf("rows %+v", rows)
	}
}

func TestNewTaskRefuses(t *testing.T) {
	good := Advisory{ID: "CVE-2022-28948", Language: target.Go, Package: "gopkg.in/yaml.v3", Vulnerable: "v3.0.0", Fixed: "v3.0.1"}
	for name, change := range map[string]func(*Advisory){
		"id":       func(a *Advisory) { a.ID = "X-1" },
		"language": func(a *Advisory) { a.Language = "rust" },
		"quote":    func(a *Advisory) { a.Package = "a\"\nb" },
		"version":  func(a *Advisory) { a.Fixed = "" },
		"same":     func(a *Advisory) { a.Fixed = a.Vulnerable },
		"name":     func(a *Advisory) { a.Name = "../up" },
	} {
		a := good
		change(&a)
		if _, err := NewTask(filepath.Join(t.TempDir(), "s"), a); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
