package bench

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/tasks"
)

// A fault names the file, the line, the key and what to do.
func TestTaskFaults(t *testing.T) {
	sound := fixtureSuite(1)
	for _, c := range []struct{ old, new, want string }{
		{"cpus = 1", "cpu = 1", "t0/task.toml:7: environment.cpu: unknown key: did you mean cpus"},
		{"cpus = 1", "colour = 1", "environment.colour: unknown key: remove it"},
		{"cpus = 1", "cpus = \"one\"", "t0/task.toml:7: "},
		{"cpus = 1", "cpus = 0.01", "t0/task.toml:7: environment.cpus: is 0.1 to 64"},
		{"cpus = 1", "cpus = nan", "environment.cpus: is 0.1 to 64"},
		{"cpus = 1", "docker_image = \"x\"", "environment.docker_image: boxes start from pinned roots"},
		{"cpus = 1", "gpus = 1", "environment.gpus: boxes have no GPU"},
		{"cpus = 1", "allow_internet = true", "environment.allow_internet: boxes have no network"},
		{"cpus = 1", "memory = \"2G\"", "write memory_mb"},
		{"cpus = 1", "[environment.env]\nA = \"b\"", "environment.env: boxes get no environment"},
		{"cpus = 1", "[environment.healthcheck]\ncommand = \"x\"", "environment.healthcheck: "},
		{"timeout_sec = 60", "timeout_sec = 60\nallowed_hosts = [\"a\"]", "agent.allowed_hosts: boxes have no network"},
		{"timeout_sec = 60", "timeout_sec = -1", "agent.timeout_sec: is at least 1"},
		{"timeout_sec = 60", "user = \"root\"", "agent.user: write \"nobody\""},
		{`schema_version = "1.4"`, `schema_version = "1.3"`, "t0/task.toml:1: schema_version: write \"1.4\""},
		{`schema_version = "1.4"`, "schema_version = \"1.4\"\nversion = \"1\"", "version: this Harbor key is retired"},
		{`schema_version = "1.4"`, "schema_version = \"1.4\"\nartifacts = [\"/x\"]", "artifacts: only the submission"},
		{`schema_version = "1.4"`, "schema_version = \"1.4\"\n[[steps]]\nname = \"a\"", "steps: a task has one step"},
		{`name = "demo/t0"`, `name = "demo/t9"`, `t0/task.toml:3: task.name: write "demo/t0"`},
		{"[environment]\nnetwork_mode = \"no-network\"", "[environment]\nnetwork_mode = \"public\"", "t0/task.toml:6: environment.network_mode: write \"no-network\""},
		{"[environment]\nnetwork_mode = \"no-network\"\n", "[environment]\n", "t0/task.toml:5: environment.network_mode: write"},
		{`environment_mode = "separate"`, `environment_mode = "shared"`, "verifier.environment_mode: write \"separate\""},
		{`kind = "poc"`, `kind = "ctf"`, "metadata.cyber.kind: "},
		{`level = 0`, `level = 4`, "metadata.cyber.level: "},
		{`class = "panic"`, `class = "bug"`, "metadata.cyber.class: is one of memory-safety"},
		{`cwe = "CWE-125"`, `cwe = "125"`, "metadata.cyber.cwe: "},
		{`cluster = "t0"`, `cluster = ""`, "metadata.cyber.cluster: "},
		{`ids = ["CVE-2020-0001"]`, `ids = []`, "metadata.cyber.ids: name the advisory"},
		{`ids = ["CVE-2020-0001"]`, `ids = ["BUG-1"]`, "is no CVE"},
		{`published = "2020-01-01"`, `published = "2027-01-01"`, "metadata.cyber.published: "},
		{`fixed_on = "2020-02-01"`, `fixed_on = "2026-06-01"`, "may be used from 2026-11-28"},
		{`fixed_on = "2020-02-01"`, `fixed_on = "1.2.2020"`, "metadata.cyber.fixed_on: write the day"},
		{`human_minutes = 30`, `human_minutes = 0`, "metadata.cyber.human_minutes: "},
		{`human_ground = "one file to read, by experience"`, `human_ground = ""`, "metadata.cyber.human_ground: "},
		{`licence = "MIT"`, `licence = ""`, "metadata.cyber.licence: "},
		{`provenance = "made up for a test of the loader"`, `provenance = "?"`, "metadata.cyber.provenance: "},
		{fixtureGUID(0), "1234", "metadata.cyber.canary: write a fresh"},
		{fixtureGUID(0), fixtureGUID(7), "t0/instruction.md:1: the first line is"},
		{`path = "/out/poc"`, `path = "/out/../etc/x"`, "metadata.cyber.submit.path: "},
		{`max_bytes = 1024`, `max_bytes = 104857600`, "metadata.cyber.submit.max_bytes: "},
		{`max_bytes = 1024`, `max_bytes = 4`, "t0/solution/poc: is larger than"},
		{`max_submissions = 3`, `max_submissions = 0`, "metadata.cyber.submit.max_submissions: "},
		{`score = "final"`, `score = "any"`, "metadata.cyber.submit.score: "},
		{`symptom = "crash"`, `symptom = "boom"`, "metadata.cyber.oracle.symptom: "},
		{`symptom = "crash"`, `symptom = "escape"`, "t0/task.toml:32: metadata.cyber.oracle.allow_root: "},
		{`symptom = "crash"`, "symptom = \"crash\"\nruns = 99", "metadata.cyber.oracle.runs: "},
		{`symptom = "crash"`, "symptom = \"crash\"\nvul = \"crash\"", "metadata.cyber.oracle.vul: unknown key"},
		{`language = "go"`, `language = "rust"`, "metadata.cyber.target.language: "},
		{`build_root = "go"`, ``, "metadata.cyber.target.build_root: "},
		{`harness = "environment/harness"`, `harness = "../../etc"`, "metadata.cyber.target.harness: "},
		{`harness = "environment/harness"`, `harness = "environment"`, "seeds: holds no seed"},
		{`hash = "h1:h8q`, `hash = "md5:h8q`, "metadata.cyber.target.vulnerable.hash: pin the package"},
		{`version = "v1.2.4"`, `version = ""`, "metadata.cyber.target.fixed.version: "},
		{`lock = "tests/fixed.mod"`, `lock = "tests/none.mod"`, "metadata.cyber.target.fixed.lock: names no file"},
		{`lock = "tests/fixed.mod"`, ``, "metadata.cyber.target.fixed.lock: name the lock"},
		{`[metadata.cyber]`, `[metadata.cyber`, "t0/task.toml:13: "},
	} {
		s, err := OpenSuite(edit(t, sound, "demo/t0/task.toml", c.old, c.new), "demo", today)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range s.Faults {
			all = append(all, f.String())
		}
		if text := strings.Join(all, "\n"); !strings.Contains(text, c.want) || len(s.Tasks) > 0 {
			t.Errorf("%q -> %q: got\n%s\nwant %q", c.old, c.new, text, c.want)
		}
	}
}

// What Harbor knows and Proofhouse need not act on is accepted.
func TestHarborKeysAccepted(t *testing.T) {
	in := fixtureSuite(1)
	for _, c := range [][2]string{
		{"[metadata.cyber]", "[metadata]\ndifficulty = \"hard\"\ntags = [\"a\"]\n[metadata.other]\nx = 1\n[metadata.cyber]"},
		{"cpus = 1", "cpus = 1\ngpus = 0\nallow_internet = false\nallowed_hosts = []\nmcp_servers = []\ndocker_image = \"\"\nmemory_mb = 1024\nstorage_mb = 100\nbuild_timeout_sec = 90.5"},
		{"timeout_sec = 60", "timeout_sec = 60.0\nuser = \"nobody\"\nnetwork_mode = \"no-network\""},
		{`schema_version = "1.4"`, "schema_version = \"1.4\"\nartifacts = []"},
		{`description = "a demonstration"`, "description = \"a demonstration\"\nauthors = [\"us\"]\nkeywords = [\"k\"]"},
	} {
		in = edit(t, in, "demo/t0/task.toml", c[0], c[1])
	}
	s, err := OpenSuite(in, "demo", today)
	if err != nil || len(s.Faults) > 0 || len(s.Tasks) != 1 {
		t.Fatal(err, s.Faults)
	}
}

func TestFolderFaults(t *testing.T) {
	sound := fixtureSuite(1)
	for name, want := range map[string]string{
		"task.toml": "has no readable task.toml", "instruction.md": "instruction.md is missing", "hints/description.md": "is missing: describe",
		"solution/poc": "put the reference submission", "solution/NOTE.md": "say in two to six lines", "solution/solve.sh": "Harbor runs it",
		"cheat/fake": "at least one attempt on the grader", "environment/harness/seeds/a": "holds no seed",
		"environment/harness/harness.go": "is empty: write the harness", "tests/fixed.sum": "names no file of the task",
	} {
		in := maps.Clone(sound)
		delete(in, "demo/t0/"+name)
		s, err := OpenSuite(in, "demo", today)
		if err != nil {
			t.Fatal(err)
		}
		if err := faultError(s.Faults); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v; want %q", name, err, want)
		}
	}
	for file, text := range map[string]string{"instruction.md": " CVE-2020-0001", "hints/description.md": "fixed in 1.2.4"} {
		in := maps.Clone(sound)
		in["demo/t0/"+file] = &fstest.MapFile{Data: append(append([]byte{}, in["demo/t0/"+file].Data...), text...)}
		s, _ := OpenSuite(in, "demo", today)
		if err := faultError(s.Faults); err == nil || !strings.Contains(err.Error(), "never told") {
			t.Errorf("%s with %q: %v", file, text, err)
		}
	}
	in := maps.Clone(sound)
	in["demo/t0/link"] = &fstest.MapFile{Data: []byte("/etc/passwd"), Mode: fs.ModeSymlink | 0o777}
	if s, _ := OpenSuite(in, "demo", today); len(s.Faults) == 0 {
		t.Error("a link is accepted")
	}
}

func TestOneGUIDTwoTasks(t *testing.T) {
	in := fixtureSuite(2)
	in = edit(t, in, "demo/t1/task.toml", fixtureGUID(1), fixtureGUID(0))
	in = edit(t, in, "demo/t1/instruction.md", fixtureGUID(1), fixtureGUID(0))
	s, _ := OpenSuite(in, "demo", today)
	if err := faultError(s.Faults); err == nil || !strings.Contains(err.Error(), "is the GUID of t0 too") {
		t.Error(err)
	}
}

func TestSelect(t *testing.T) {
	s, err := OpenSuite(edit(t, fixtureSuite(3), "demo/t2/task.toml", "cpus", "cpsu"), "demo", today)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		names []string
		want  int
		kind  proofhouse.Kind
	}{
		{nil, 2, ""},
		{[]string{"t1"}, 1, ""},
		{[]string{"demo/t1", "t0", "t1"}, 2, ""},
		{[]string{"t9"}, 0, proofhouse.NotFound},
		{[]string{"t2"}, 0, proofhouse.Invalid},
		{[]string{"other/t1"}, 0, proofhouse.NotFound},
	} {
		got, err := s.Select(c.names)
		if len(got) != c.want || err != nil && proofhouse.KindOf(err) != c.kind || err == nil && c.kind != "" {
			t.Errorf("%v: %d tasks, %v", c.names, len(got), err)
		}
	}
	if sum := s.Summary(func(task Task) bool { return task.Short() == "t0" }); sum.Tasks != 2 || sum.Built != 1 || sum.Languages["go"] != 2 || len(sum.Faults) == 0 {
		t.Errorf("summary %+v", sum)
	}
}

func TestOpenSuiteErrors(t *testing.T) {
	for name, kind := range map[string]proofhouse.Kind{
		"nothing": proofhouse.NotFound, "../x": proofhouse.NotFound, "UPPER": proofhouse.NotFound,
		filepath.Join(t.TempDir()) + "/": proofhouse.Invalid,
	} {
		if _, err := OpenSuite(fixtureSuite(1), name, today); proofhouse.KindOf(err) != kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := edit(t, fixtureSuite(1), "demo/suite.toml", `measures = "discovery"`, `measures = "exploits"`)
	if _, err := OpenSuite(in, "demo", today); err == nil || !strings.Contains(err.Error(), "suite.toml:6: measures: write") {
		t.Error(err)
	}
}

// The suites that ship are sound. The day is fixed: fixes only grow older.
func TestShippedSuites(t *testing.T) {
	names := ShippedSuites(tasks.Suites())
	if fmt.Sprint(names) != "[open-1]" {
		t.Errorf("suites %v", names)
	}
	for _, name := range names {
		s, err := OpenSuite(tasks.Suites(), name, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range s.Faults {
			t.Error(f)
		}
	}
}
