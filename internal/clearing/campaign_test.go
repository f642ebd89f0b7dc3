package clearing_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
	"proofhouse/tasks"
)

// Every recipe that ships is a target's folder, has harmless inputs, and its first threat model is a declaration that excludes
// nothing and names what its harness calls.
func TestRecipesAndDrafts(t *testing.T) {
	entry := map[string]string{"cjson": "cJSON_ParseWithLengthOpts", "jsonparser": "jsonparser.Delete"}
	dirs, err := fs.ReadDir(tasks.Recipes(), ".")
	if err != nil || len(dirs) != len(entry) {
		t.Fatalf("%d recipes, %v", len(dirs), err)
	}
	for _, d := range dirs {
		sub, err := fs.Sub(tasks.Recipes(), d.Name())
		if err != nil {
			t.Fatal(err)
		}
		f, err := clearing.ReadFolder(sub)
		if err != nil {
			t.Fatalf("%s: %v", d.Name(), err)
		}
		if benign, err := f.Benign(); err != nil || len(benign) == 0 {
			t.Errorf("%s: %d harmless inputs, %v", d.Name(), len(benign), err)
		}
		draft := clearing.DraftDeclaration(f)
		got, err := clearing.ParseDeclaration([]byte(draft))
		if err != nil || got.Model.Excludes("heap-buffer-overflow:f", []string{"f"}) != "" {
			t.Errorf("%s: %v, %+v", d.Name(), err, got)
		}
		if !strings.Contains(draft, "#   "+entry[d.Name()]+"\n") || strings.Contains(draft, "#   free\n") || strings.Contains(draft, "Harness\n") {
			t.Errorf("%s: the entry points are wrong:\n%s", d.Name(), draft)
		}
	}
}

// What a harness says in comments and texts is no call, and nothing of it ends a comment of the draft.
func TestDraftOfHostileHarness(t *testing.T) {
	f, err := clearing.ReadFolder(fstest.MapFS{
		"target.toml":       {Data: []byte("purl = \"pkg:generic/x@1\"\n[target]\nlanguage = \"c\"\nsources = [\"*.c\"]\n[target.source]\ntree = \"source\"\npackage = \"x\"\n")},
		"harness/harness.c": {Data: []byte("/* evil( */ int own(int a) { return real_one(\"fake(\\\" quoted(\"); } // late(\nx = own(1); if (a) parse (a);")},
	})
	if err != nil {
		t.Fatal(err)
	}
	draft := clearing.DraftDeclaration(f)
	if _, err := clearing.ParseDeclaration([]byte(draft)); err != nil {
		t.Error(err)
	}
	if !strings.Contains(draft, "harness:\n#   real_one\n#   parse\n# In") {
		t.Error(draft)
	}
}

func TestFile(t *testing.T) {
	spec := clearing.Spec{Purl: "pkg:npm/x@1.0.0"}
	proof, statement := proofhouse.DigestOf([]byte("p")), proofhouse.DigestOf([]byte("s"))
	r := clearing.Reproduction{Verdict: clearing.Confirmed, Reason: "broke", Signature: "SEGV:outer", Frames: []string{"in\u202ener" + strings.Repeat("x", 400), "outer"}}
	f, err := clearing.File(spec, proofhouse.DigestOf(nil), proof, statement, r, clearing.Discovery{Method: "fuzzing", Tooling: "t", AI: "none"})
	if err != nil || f.Versions[0] != "1.0.0" || f.Proof != proof || f.Statement != statement || f.AI != "none" || f.Marking != proofhouse.Red || !strings.HasPrefix(f.Title, "SEGV in inner") {
		t.Errorf("%v %+v", err, f)
	}
	for _, v := range []clearing.Verdict{clearing.NotReproduced, clearing.Inconclusive, clearing.OutOfThreatModel, clearing.Infrastructure} {
		r.Verdict = v
		if _, err := clearing.File(spec, "", proof, statement, r, clearing.Discovery{AI: "none"}); proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("%s: %v", v, err)
		}
	}
}
