package clearing

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/clearing/planted"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// archiveOf is a planted project as a finder sends it.
func archiveOf(t testing.TB, p *planted.Project, version string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	add := func(name string, b []byte) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	spec := fmt.Sprintf("purl = \"pkg:generic/%s@%s\"\ntests = [%s]\n[target]\nlanguage = %q\n", p.Name, version, quotedList(p.Test), p.Language)
	if p.Language == target.C {
		spec += fmt.Sprintf("sources = [%s]\nflags = [%s]\n[target.source]\ntree = \"source\"\npackage = %q\n", quotedList(p.Recipe.Sources), quotedList(p.Recipe.Flags), p.Name)
	} else {
		spec += fmt.Sprintf("[target.source]\ntree = \"source\"\npackage = %q\n", p.Recipe.Module)
	}
	add(SpecFile, []byte(spec))
	for _, name := range slices.Sorted(maps.Keys(p.Source)) {
		add("source/"+name, p.Source[name])
	}
	for _, name := range slices.Sorted(maps.Keys(p.Harness)) {
		add("harness/"+name, p.Harness[name])
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func quotedList(words []string) string {
	var out []string
	for _, w := range words {
		out = append(out, fmt.Sprintf("%q", w))
	}
	return strings.Join(out, ", ")
}

// TestTenBecomeOne sends ten findings by three finders, of which nine are of one bug and one is nothing, with a right patch and a wrong one,
// and sees one packet come of it, which a person releases.
func TestTenBecomeOne(t *testing.T) {
	if testing.Short() {
		t.Skip("builds some programs")
	}
	p, proofs, right, wrong := oneBug(t)
	m := newMemory()
	purl := "pkg:generic/" + p.Name
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	w := newLocal(t, &p)
	desk := &Desk{Store: m, Shelf: m, Workshop: func(Folder) Workshop { return w }, Witness: Witness{Program: "test", Provider: "none", Isolation: "none", Now: func() time.Time { return now }}}
	defer desk.Close()
	put := func(b []byte) proofhouse.Digest {
		if b == nil {
			return ""
		}
		d, err := m.Put(t.Context(), purl, b)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	archive := put(archiveOf(t, &p, "1.0"))
	var ids []FindingID
	for i := range 10 {
		proof := proofs[i%len(proofs)]
		input := proof.Input
		files := Files{Target: archive, Proof: put(input)}
		switch i {
		case 9:
			files.Proof = put([]byte("nothing at all"))
		case 1:
			files.Fix, files.Regression = put(right.Diff), put(right.Regression)
		case 0:
			files.Fix, files.Regression = put(wrong.Diff), put(wrong.Regression)
		}
		by := proofhouse.Actor{Role: proofhouse.Partner, Organisation: proofhouse.OrganisationID(fmt.Sprintf("bank-%d", i%3)), Person: "ada"}
		claim := Claim{Title: "It breaks", Purl: purl + "@1.0", AI: "model-x by the agent react", Marking: proofhouse.AmberStrict, Credit: fmt.Sprintf("Bank %d", i%3)}
		id := NewFindingID()
		if p, seq, err := m.Change(t.Context(), purl, Request{by, fmt.Sprint(i), files.Proof}, func(Project) (Event, error) {
			return Event{by, Submit{id, claim, files}}, nil
		}, now); err != nil || seq != p.Version {
			t.Fatal(seq, err)
		}
		ids = append(ids, id)
	}
	work(t, desk, purl)
	project, err := m.Project(t.Context(), purl)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := project.Finding(ids[9]); err != nil || f.State() != State(NotReproduced) {
		t.Errorf("nothing: %v %v", f.State(), err)
	}
	clusters := project.Clusters()
	if len(clusters) != 1 || len(clusters[0].Members) != 9 {
		t.Fatalf("clusters: %+v", clusters)
	}
	best, ok := project.BestPatch(clusters[0])
	if fix, err := m.Open(t.Context(), purl, best.Fix); !ok || err != nil || !bytes.Equal(fix, right.Diff) {
		t.Fatalf("the best patch: %+v %v", project.Patches, err)
	}
	content, err := desk.Content(t.Context(), project, clusters[0], "Grace Hopper <grace@example.org>")
	if err != nil {
		t.Fatal(err)
	}
	text, err := content.Text()
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text)
	packed, err := content.Archive(text)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"packet.txt", "proof", "fix.diff", "regression.diff", "target/" + SpecFile} {
		if _, err := z.Open(name); err != nil {
			t.Errorf("the packet's archive: %v", err)
		}
	}
	for _, want := range []string{"Reported 9 times by 3 independent finders", "Grace Hopper", "model-x", "Bank 0; Bank 1; Bank 2", "tests/"} {
		if !strings.Contains(text, want) {
			t.Errorf("the packet lacks %q", want)
		}
	}
	coordinator := proofhouse.Actor{Role: proofhouse.Coordinator, Organisation: "body", Person: "cora"}
	do := func(a Act) error {
		_, _, err := m.Change(context.Background(), purl, Request{}, func(Project) (Event, error) { return Event{coordinator, a}, nil }, now)
		return err
	}
	packet := NewPacketID()
	if err := do(Make{packet, clusters[0].ID, best.ID, put([]byte(text)), put(packed)}); err != nil {
		t.Fatal(err)
	}
	if err := do(Declare{Declaration{Closed: []Window{{From: "2026-11-01", Until: "2026-11-03", Why: "holiday"}}}}); err != nil {
		t.Fatal(err)
	}
	if err := do(Release{packet}); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("released into a closed window: %v", err)
	}
	now = now.AddDate(0, 0, 2)
	if err := do(Release{packet}); err != nil {
		t.Error(err)
	}
	if err := do(Release{packet}); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("released twice: %v", err)
	}
	if err := do(Make{NewPacketID(), clusters[0].ID, best.ID, put([]byte(text)), put(packed)}); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a second packet of the bug: %v", err)
	}
	if err := do(Reply{Packet: packet, Answer: Fixed}); err != nil {
		t.Error(err)
	}
}

// oneBug finds a project with a plain bug, its proofs, and patches for it: a right one and a check in one caller that
// stops the first proof.
func oneBug(t *testing.T) (planted.Project, []planted.Proof, planted.Patch, planted.Patch) {
	t.Helper()
	for seed := range uint64(50) {
		p := planted.C(seed)
		for _, bug := range p.Bugs {
			var proofs []planted.Proof
			var right, wrong planted.Patch
			for _, proof := range p.Proofs {
				if len(proof.Reaches) == 1 && proof.Bug == bug.Name && !proof.Flaky {
					proofs = append(proofs, proof)
				}
			}
			for _, q := range p.Patches {
				switch {
				case len(q.Aims) != 1 || q.Aims[0] != bug.Name:
				case q.Right && q.Alone && !q.Bundle && right.Name == "":
					right = q
				case q.Fault == planted.OneCaller && len(proofs) > 0 && slices.Contains(q.Stops, proofs[0].Name):
					wrong = q
				}
			}
			if bug.Kind == planted.Plain && len(proofs) >= 3 && right.Name != "" && wrong.Name != "" {
				return p, proofs, right, wrong
			}
		}
	}
	t.Fatal("no such project in 50 seeds")
	panic("unreachable")
}

// work does all that waits.
func work(t *testing.T, d *Desk, purl string) {
	t.Helper()
	for range 1000 {
		did, err := d.Work(t.Context(), purl)
		if err != nil {
			t.Fatal(err)
		}
		if did == "" {
			return
		}
		t.Log(did)
	}
	t.Fatal("the work does not end")
}

// TestFolder reads a target's folder, and refuses others.
func TestFolder(t *testing.T) {
	p := planted.C(3)
	good := archiveOf(t, &p, "1.0")
	f, err := OpenFolder(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if benign, err := f.Benign(); err != nil || len(benign) < 3 {
		t.Errorf("benign: %d, %v", len(benign), err)
	}
	if f.Spec.Recipe().BuildRoot != "c-build" || f.Spec.Rule().Runs != 3 {
		t.Errorf("%+v", f.Spec)
	}
	for name, files := range map[string]map[string]string{
		"no spec":       {"a": ""},
		"unknown key":   {SpecFile: "purl = \"pkg:generic/x@1\"\nwish = 1\n"},
		"no version":    {SpecFile: "purl = \"pkg:generic/x\"\n[target]\nlanguage = \"c\"\n[target.source]\ntree = \"s\"\npackage = \"x\"\n"},
		"no source":     {SpecFile: "purl = \"pkg:generic/x@1\"\n[target]\nlanguage = \"c\"\n"},
		"two sources":   {SpecFile: "purl = \"pkg:generic/x@1\"\n[target]\nlanguage = \"c\"\n[target.source]\ntree = \"s\"\npackage = \"x\"\nhash = \"h1:x\"\n"},
		"other version": {SpecFile: "purl = \"pkg:npm/x@2\"\n[target]\nlanguage = \"c\"\n[target.source]\npackage = \"x\"\nversion = \"1\"\nhash = \"sha512-x\"\n"},
		"doctored tree": {SpecFile: "purl = \"pkg:npm/x@1\"\n[target]\nlanguage = \"c\"\n[target.source]\ntree = \"s\"\npackage = \"x\"\n"},
		"leads out":     {SpecFile: "purl = \"pkg:generic/x@1\"\n[target]\nlanguage = \"c\"\nharness = \"../h\"\n[target.source]\ntree = \"s\"\npackage = \"x\"\n"},
		"hostile names": {"../" + SpecFile: "x"},
	} {
		var out bytes.Buffer
		z := zip.NewWriter(&out)
		for n, text := range files {
			w, err := z.Create(n)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(w, text)
		}
		z.Close()
		if _, err := OpenFolder(t.Context(), out.Bytes()); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Log(name, proofhouse.PublicOf(err))
		}
	}
	if _, err := OpenFolder(t.Context(), []byte("no archive")); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Error(proofhouse.KindOf(err), err)
	}
}
