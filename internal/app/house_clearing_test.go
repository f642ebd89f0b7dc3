package app

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/clearing"
	"proofhouse/internal/ledger"
	"proofhouse/internal/oracle"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/storetest"
	"proofhouse/internal/target"
)

const (
	example = "../../examples/name/"
	project = "pkg:generic/name"
)

// toy is examples/name as it would run in a box, without one: what breaks where, and which patch stops it.
type toy struct{}

func patched(patches [][]byte, word string) bool {
	return slices.ContainsFunc(patches, func(p []byte) bool { return bytes.Contains(p, []byte(word)) })
}

// Build implements clearing.Workshop.
func (toy) Build(_ context.Context, patches ...[]byte) (clearing.Program, error) {
	return toyProgram{fixed: patched(patches, "+\t\tn = 7;"), one: patched(patches, "+\t\t\tn = 8;")}, nil
}

// Test implements clearing.Workshop.
func (toy) Test(_ context.Context, patches ...[]byte) (target.Tested, error) {
	if patched(patches, "b/tests/long.c") && !patched(patches, "+\t\tn = 7;") {
		return target.Tested{Exit: 1}, nil
	}
	return target.Tested{}, nil
}

type toyProgram struct{ fixed, one bool }

// Close implements clearing.Program.
func (toyProgram) Close() error { return nil }

// Observe implements clearing.Program.
func (p toyProgram) Observe(_ context.Context, in []byte, n int) (oracle.Sight, error) {
	var s oracle.Sight
	in = bytes.TrimSuffix(in, []byte("\n"))
	long := len(in) > 8 && !p.fixed && (in[0] == 'M' || in[0] == 'N' && !p.one)
	divided := len(in) > 3 && in[0] == 'D' && in[3] == '0'
	for i := range n {
		o := oracle.Observation{Run: i + 1, Returned: true, Raw: map[string]proofhouse.Digest{"stdout": proofhouse.DigestOf(in)}}
		if long || divided {
			o.Broke, o.Symptom, o.Class, o.Exit, o.Returned = true, oracle.Crash, "heap-buffer-overflow", 77, false
			o.Function = map[bool]string{true: "copy_name", false: "divide"}[long]
			s.Frames, s.Report = []string{o.Function, "parse"}, "crash: heap-buffer-overflow\n#0 "+o.Function
		}
		s.Observations = append(s.Observations, o)
	}
	return s, nil
}

// works lets a desk with the toy work until nothing waits.
func (s *served) works(t *testing.T, database string) {
	t.Helper()
	w := clearing.Witness{Key: s.key, Program: "test", Provider: "none", Isolation: "none", Now: time.Now}
	d, err := s.app.openDesk(t.Context(), database, w, func(clearing.Folder) clearing.Workshop { return toy{} })
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := s.app.openDesk(t.Context(), database, w, nil); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a second desk: %v", err)
	}
	if err := d.Run(t.Context(), true, func(purl, did string) { t.Log(purl, did) }); err != nil {
		t.Fatal(err)
	}
}

// filing is a report of the example: proof is the input.
func filing(t testing.TB, proof string, change func(*clearing.Report)) clearing.Report {
	t.Helper()
	packed, err := clearing.PackFolder(example + "target")
	if err != nil {
		t.Fatal(err)
	}
	r := clearing.Report{Purl: project + "@1.0", Title: "canary-title", AI: "none", Attachments: []clearing.Attachment{
		{Filename: "target.zip", Type: clearing.OfTarget, ContentType: "application/zip", Data: base64.StdEncoding.EncodeToString(packed)},
		{Filename: "proof", Type: clearing.OfProof, ContentType: "text/plain", Data: proof},
	}}
	if change != nil {
		change(&r)
	}
	return r
}

func exampleFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(example + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// finders populates the house and gives it its offices.
func (s *served) finders(t *testing.T) {
	t.Helper()
	s.populate(t)
	s.offices(t)
}

// offices makes otto a coordinator who is cleared for red, eve one who is not, al an auditor and rita a security officer.
func (s *served) offices(t *testing.T) {
	t.Helper()
	now, ann := time.Now(), principal(t, s, "ann")
	for person, role := range map[string]policy.HouseRole{"otto@institute": policy.HouseCoordinator, "eve@institute": policy.HouseCoordinator, "al@audit": policy.HouseAuditor, "rita@institute": policy.HouseSecurityOfficer} {
		if err := s.Directory.GiveRole(t.Context(), ann, person, role, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Directory.GiveClearance(t.Context(), principal(t, s, "rita"), "otto@institute", "TLP:RED", now); err != nil {
		t.Fatal(err)
	}
}

// TestFindings takes findings from reports to a released packet on both databases, with a refusal for each wrong role, and puts a backup of it all back.
func TestFindings(t *testing.T) {
	storetest.EachAddress(t, func(t *testing.T, database string) {
		data := t.TempDir()
		s := serveHouse(t, data, database)
		s.finders(t)
		brought := s.tenReports(t)
		s.works(t, database)
		id := clearing.FindingID(brought[1].Receipt)
		s.seenBy(t, id)
		packet := s.onePacket(t, id)
		s.receipted(t, brought[1])
		s.secret(t, data, database)
		s.putBack(t, data, database, id, packet)
	})
}

// tenReports are nine of one bug, by three organisations, and one of nothing. The second has the right patch, the first a wrong one.
func (s *served) tenReports(t *testing.T) []wire.Accepted {
	t.Helper()
	who := []string{"pat", "carl", "trudy"}
	var all []wire.Accepted
	for i := range 10 {
		proof := strings.Repeat("x", 10+i)
		proof = string("NM"[i%2]) + proof
		if i == 9 {
			proof = "Nabc"
		}
		r := filing(t, proof, func(r *clearing.Report) {
			patch := func(name, file string) {
				r.Attachments = append(r.Attachments, clearing.Attachment{Filename: name, Type: clearing.OfPatch, ContentType: "text/plain", Data: exampleFile(t, file)})
			}
			switch i {
			case 0:
				patch("fix.diff", "one-caller.diff")
			case 1:
				patch("fix.diff", "fix.diff")
				patch("regression.diff", "fix-test.diff")
			}
		})
		got, err := s.as(who[i%3]).Submit(t.Context(), r, "")
		if err != nil {
			t.Fatal(err)
		}
		// The same again, as one does whose connection broke.
		if again, err := s.as(who[i%3]).Submit(t.Context(), r, ""); err != nil || again != got {
			t.Errorf("sent twice: %+v and %+v, %v", got, again, err)
		}
		if got.Marking != proofhouse.Red || got.Project != project || time.Since(got.Aware) > time.Minute || len(got.Commitment) != 64 {
			t.Errorf("the receipt: %+v", got)
		}
		all = append(all, got)
	}
	return all
}

// seenBy holds what each may see of a finding to what the rules say.
func (s *served) seenBy(t *testing.T, id clearing.FindingID) {
	t.Helper()
	ctx := t.Context()
	f, err := s.as("carl").Finding(ctx, id)
	if err != nil || f.State != clearing.State(clearing.Confirmed) || f.Bug == nil || f.Bug.Reports != 9 || f.Bug.Finders != 3 || f.Bug.ID != "" || len(f.Patches) != 1 || f.Patches[0].Check.Outcome != clearing.Verified {
		t.Fatalf("its finder sees %+v, %v", f, err)
	}
	if mine, err := s.as("carl").Findings(ctx, "", "", "", 0); err != nil || len(mine.Findings) != 3 {
		t.Errorf("a finder lists %d, %v", len(mine.Findings), err)
	}
	var listed []clearing.FindingID
	for after := ""; ; {
		page, err := s.as("otto").Findings(ctx, clearing.State(clearing.Confirmed), project, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page.Findings {
			listed = append(listed, l.ID)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	slices.Sort(listed)
	if len(slices.Compact(listed)) != 9 {
		t.Errorf("a coordinator lists %v", listed)
	}
	none := func(who string, err error) {
		t.Helper()
		if proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("%s: %v", who, err)
		}
	}
	for _, who := range []string{"pat", "ada", "ann"} {
		_, err := s.as(who).Finding(ctx, id)
		none(who, err)
		_, absent := s.as(who).Finding(ctx, "finding-aaaaaaaaaaaaaaaa")
		if proofhouse.PublicOf(err) != proofhouse.PublicOf(absent) {
			t.Errorf("%s can tell what is there: %q and %q", who, proofhouse.PublicOf(err), proofhouse.PublicOf(absent))
		}
		none(who, s.as(who).FindingFile(ctx, id, f.Files.Proof, io.Discard))
		none(who, s.as(who).FindingReceipt(ctx, id, io.Discard))
		_, err = s.as(who).TakeBack(ctx, id)
		none(who, err)
		_, err = s.as(who).OfferPatch(ctx, id, wire.NewPatch{Fix: exampleFile(t, "other.diff")}, "")
		none(who, err)
	}
	refused := func(who string, err error) {
		t.Helper()
		if proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("%s: %v", who, err)
		}
	}
	// A finder is told that more than its own is for others, and who brought nothing that there is nothing.
	for who, held := range map[string]func(string, error){"pat": refused, "carl": refused, "ann": none} {
		_, err := s.as(who).Cluster(ctx, id)
		held(who, err)
		_, err = s.as(who).Decide(ctx, id, wire.NewDecision{Other: "finding-a", Reason: "r"})
		held(who, err)
		_, err = s.as(who).Project(ctx, project)
		held(who, err)
		_, err = s.as(who).Declare(ctx, project, wire.NewDeclaration{})
		held(who, err)
		_, err = s.as(who).MakePacket(ctx, wire.NewPacket{Finding: id, Contact: "c"})
		held(who, err)
		_, err = s.as(who).Retry(ctx, id, "r")
		held(who, err)
	}
	// Auditors see what became of it, and no proof; coordinators who are not cleared for red neither.
	if v, err := s.as("al").Cluster(ctx, id); err != nil || len(v.Members) != 9 || v.Best == "" {
		t.Errorf("the auditor sees %+v, %v", v.Cluster, err)
	}
	refused("al", s.as("al").FindingFile(ctx, id, f.Files.Proof, io.Discard))
	refused("eve", s.as("eve").FindingFile(ctx, id, f.Files.Proof, io.Discard))
	_, err = s.as("al").MakePacket(ctx, wire.NewPacket{Finding: id, Contact: "c"})
	refused("al", err)
	_, err = s.as("otto").TakeBack(ctx, id)
	refused("otto", err)
	for _, who := range []string{"carl", "otto"} {
		var b bytes.Buffer
		if err := s.as(who).FindingFile(ctx, id, f.Files.Proof, &b); err != nil || b.String() != "M"+strings.Repeat("x", 11) {
			t.Errorf("%s reads %q, %v", who, b.String(), err)
		}
	}
	if _, err := s.as("otto").Retry(ctx, id, "r"); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a confirmed finding is tried again: %v", err)
	}
	none("carl, of another's file", s.as("carl").FindingFile(ctx, id, proofhouse.DigestOf([]byte("Nabc")), io.Discard))
}

// onePacket makes and releases the packet of a bug.
func (s *served) onePacket(t *testing.T, id clearing.FindingID) clearing.PacketID {
	t.Helper()
	ctx := t.Context()
	otto := s.as("otto")
	now := time.Now().UTC().Format(time.DateOnly)
	if _, err := otto.Declare(ctx, project, wire.NewDeclaration{TOML: "wish = 1"}); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("an unknown key: %v", err)
	}
	closed := fmt.Sprintf("capacity = 1\n[[closed]]\nfrom = %q\nuntil = %q\nwhy = \"holiday\"\n", now, now)
	if v, err := otto.Declare(ctx, project, wire.NewDeclaration{TOML: closed}); err != nil || v.Blocked == "" {
		t.Fatal(v, err)
	}
	v, err := otto.MakePacket(ctx, wire.NewPacket{Finding: id, Contact: "Otto <otto@institute.example>"})
	if err != nil || !strings.Contains(v.Letter, "Reported 9 times by 3 independent finders") || !strings.Contains(v.Letter, "n = 7;") || v.Blocked == "" {
		t.Fatalf("%+v %v", v, err)
	}
	if _, err := otto.ReleasePacket(ctx, v.ID); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("released while the project is closed: %v", err)
	}
	if _, err := otto.Declare(ctx, project, wire.NewDeclaration{TOML: "capacity = 1"}); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"carl", "ann"} {
		_, err := s.as(who).Packet(ctx, v.ID)
		_, absent := s.as(who).Packet(ctx, "packet-aaaaaaaaaaaaaaaa")
		if proofhouse.KindOf(err) != proofhouse.NotFound || proofhouse.PublicOf(err) != proofhouse.PublicOf(absent) {
			t.Errorf("%s: %v and %v", who, err, absent)
		}
	}
	if seen, err := s.as("al").Packet(ctx, v.ID); err != nil || seen.Letter != "" {
		t.Errorf("the auditor reads %q, %v", seen.Letter, err)
	}
	// eve looks after findings too, and may not read proofs that are marked TLP:RED: nor what a packet tells of them.
	if seen, err := s.as("eve").Packet(ctx, v.ID); err != nil || seen.Letter != "" {
		t.Errorf("a coordinator without the clearance reads %q, %v", seen.Letter, err)
	}
	_, making := s.as("eve").MakePacket(ctx, wire.NewPacket{Finding: id, Contact: "Eve <eve@institute.example>"})
	_, releasing := s.as("eve").ReleasePacket(ctx, v.ID)
	for what, err := range map[string]error{"makes": making, "releases": releasing, "fetches": s.as("eve").PacketArchive(ctx, v.ID, io.Discard)} {
		if proofhouse.KindOf(err) != proofhouse.Refused || !strings.Contains(proofhouse.PublicOf(err), "TLP:RED") {
			t.Errorf("a coordinator without the clearance %s a packet: %v", what, err)
		}
	}
	if _, err := s.as("al").ReleasePacket(ctx, v.ID); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("the auditor releases: %v", err)
	}
	if f, err := s.as("carl").Finding(ctx, id); err != nil || f.Bug.Packet != nil {
		t.Errorf("the finder sees a packet that did not go out: %+v %v", f.Bug, err)
	}
	if out, err := otto.ReleasePacket(ctx, v.ID); err != nil || out.Released.IsZero() || out.By.Person != "otto" {
		t.Fatal(out, err)
	}
	if f, err := s.as("carl").Finding(ctx, id); err != nil || f.Bug.Packet == nil || len(f.Bug.Packet.Members) != 0 || f.Bug.Packet.By.Person != "" {
		t.Errorf("the finder sees %+v %v", f.Bug.Packet, err)
	}
	var b bytes.Buffer
	if err := otto.PacketArchive(ctx, v.ID, &b); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || len(z.File) < 8 {
		t.Errorf("%d files, %v", len(z.File), err)
	}
	if out, err := otto.Reply(ctx, v.ID, wire.NewReply{Answer: clearing.Fixed, Note: "in 1.1"}); err != nil || out.Answer != clearing.Fixed {
		t.Error(out, err)
	}
	return v.ID
}

// receipted holds a receipt of the public log to the commitment that its finder was given.
func (s *served) receipted(t *testing.T, got wire.Accepted) {
	t.Helper()
	var b bytes.Buffer
	if err := s.as("carl").FindingReceipt(t.Context(), clearing.FindingID(got.Receipt), &b); err != nil {
		t.Fatal(err)
	}
	key, err := ledger.ParseVerifierKey(s.LogKey())
	if err != nil {
		t.Fatal(err)
	}
	r, err := ledger.ParseReceipt(b.Bytes(), key)
	if err != nil || fmt.Sprintf("%x", r.Commitment) != got.Commitment || r.Seq != int64(got.Seq) {
		t.Errorf("%+v, %v; the finder was given %s", r, err, got.Commitment)
	}
}

// secret searches files and database for what findings say.
func (s *served) secret(t *testing.T, data, database string) {
	t.Helper()
	words := [][]byte{[]byte("canary-title"), []byte("copy_name"), []byte("generic/name"), []byte(strings.Repeat("x", 12))}
	if strings.HasPrefix(database, "postgres") {
		pages(t, database, words)
	}
	if err := filepath.WalkDir(data, func(file string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the log went on meanwhile
		}
		for _, w := range words {
			if bytes.Contains(b, w) {
				t.Errorf("%s holds %q", file, w)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// putBack backs the house up and puts it back: the finding is there with its files, and so is the packet.
func (s *served) putBack(t *testing.T, data, database string, id clearing.FindingID, packet clearing.PacketID) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "backup")
	made, err := s.app.Backup(t.Context(), folder, database, time.Now())
	if err != nil || made.Bodies < 12 {
		t.Fatal(made, err)
	}
	storetest.EachAddress(t, func(t *testing.T, to string) {
		a := restoring(t, data)
		r, err := a.Restore(t.Context(), RestoreRequest{Folder: folder, Database: to}, time.Now())
		if err != nil || r.Projects != 1 || r.Bodies != made.Bodies {
			t.Fatalf("%+v %v", r, err)
		}
		again := s.serveRestored(t, a, to)
		var b bytes.Buffer
		if err := again.as("otto").PacketArchive(t.Context(), packet, &b); err != nil {
			t.Error(err)
		}
		if f, err := again.as("carl").Finding(t.Context(), id); err != nil || f.State != clearing.State(clearing.Confirmed) {
			t.Error(f.State, err)
		}
	})
}

// TestProjectWithoutKey puts a house back without the key of a project: it is named, and the rest is there.
func TestProjectWithoutKey(t *testing.T) {
	data := t.TempDir()
	s := serveHouse(t, data, "")
	s.finders(t)
	if _, err := s.as("pat").Submit(t.Context(), filing(t, "Nxxxxxxxxxxxx", nil), ""); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "backup")
	if _, err := s.app.Backup(t.Context(), folder, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	a := restoring(t, data)
	keys, err := filepath.Glob(a.Config.dir("keys", "case", "project-*"))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if err := os.Remove(keys[0]); err != nil {
		t.Fatal(err)
	}
	r, err := a.Restore(t.Context(), RestoreRequest{Folder: folder}, time.Now())
	if proofhouse.KindOf(err) != proofhouse.Failed || r.ProjectsUnopened != 1 || r.Projects != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	again := s.serveRestored(t, a, "")
	if list, err := again.as("otto").Findings(t.Context(), "", "", "", 0); err != nil || len(list.Findings) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	if list, err := again.as("otto").Projects(t.Context(), ""); err != nil || len(list.Projects) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	again.works(t, "")
}

// TestBadReports: what is wrong with a report is said before any of it is kept.
func TestBadReports(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.finders(t)
	zipped := func(files map[string]string) string {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for name, text := range files {
			w, err := z.Create(name)
			if err == nil {
				_, err = io.WriteString(w, text)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(b.Bytes())
	}
	for what, c := range map[string]struct {
		change func(*clearing.Report)
		kind   proofhouse.Kind
		says   string
	}{
		"no proof":  {func(r *clearing.Report) { r.Attachments = r.Attachments[:1] }, proofhouse.Invalid, "brings no input"},
		"no target": {func(r *clearing.Report) { r.Attachments = r.Attachments[1:] }, proofhouse.Invalid, "how the target is built"},
		"two proofs": {func(r *clearing.Report) {
			p := r.Attachments[1]
			p.Filename = "b"
			r.Attachments = append(r.Attachments, p)
		}, proofhouse.Invalid, "two attachments"},
		"a name twice":      {func(r *clearing.Report) { r.Attachments = append(r.Attachments, r.Attachments[1]) }, proofhouse.Invalid, "another file of that name"},
		"a path for a name": {func(r *clearing.Report) { r.Attachments[1].Filename = "../proof" }, proofhouse.Invalid, "not a path"},
		"no base64":         {func(r *clearing.Report) { r.Attachments[0].Data = "*" }, proofhouse.Invalid, "standard base64"},
		"no archive":        {func(r *clearing.Report) { r.Attachments[0].Data = "QUJD" }, proofhouse.Invalid, ""},
		"names that lead out": {func(r *clearing.Report) {
			r.Attachments[0].Data = zipped(map[string]string{"../x": "x", clearing.SpecFile: "x"})
		}, proofhouse.Invalid, ""},
		"no target.toml":     {func(r *clearing.Report) { r.Attachments[0].Data = zipped(map[string]string{"x": "x"}) }, proofhouse.Invalid, clearing.SpecFile},
		"no version":         {func(r *clearing.Report) { r.Purl = project }, proofhouse.Invalid, "names no version"},
		"another version":    {func(r *clearing.Report) { r.Purl = project + "@2.0" }, proofhouse.Invalid, "a finding is of one version"},
		"no word on AI":      {func(r *clearing.Report) { r.AI = "" }, proofhouse.Invalid, "ai_use"},
		"a hidden direction": {func(r *clearing.Report) { r.Title = "a\u202eb" }, proofhouse.Invalid, "title"},
		"a patch that is none": {func(r *clearing.Report) {
			r.Attachments = append(r.Attachments, clearing.Attachment{Filename: "fix", Type: clearing.OfPatch, ContentType: "text/plain", Data: "hello"})
		}, proofhouse.Invalid, ""},
		"another's file": {func(r *clearing.Report) {
			r.Attachments[1].Data, r.Attachments[1].Digest = "", proofhouse.DigestOf([]byte("x"))
		}, proofhouse.NotFound, "brought no file of that digest"},
		"SARIF that is none": {func(r *clearing.Report) {
			r.Attachments = append(r.Attachments, clearing.Attachment{Filename: "a.sarif", ContentType: "application/json", Data: `{"version":"2.1.0","runs":[{}]}`})
		}, proofhouse.Invalid, "SARIF"},
		"a proof too large": {func(r *clearing.Report) { r.Attachments[1].Data = strings.Repeat("x", 1<<20+1) }, proofhouse.Limit, "larger than"},
	} {
		_, err := s.as("pat").Submit(t.Context(), filing(t, "Nxxxxxxxxxxx", c.change), "")
		if proofhouse.KindOf(err) != c.kind || !strings.Contains(proofhouse.PublicOf(err), c.says) {
			t.Errorf("%s: %v: %s", what, proofhouse.KindOf(err), proofhouse.PublicOf(err))
		}
	}
	// As raw JSON: what is not known, and what nobody sent.
	for body, status := range map[string]int{`{"purl":"pkg:npm/a@1","exploit":"x","attachments":[]}`: 422, `{`: 400, ``: 400, `[]`: 422} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/reports", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.tokens["pat"])
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != status {
			t.Errorf("%s: %d", body, resp.StatusCode)
		}
	}
	if _, err := (wire.Client{URL: s.url}).Submit(t.Context(), filing(t, "N", nil), ""); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("without a token: %v", err)
	}
	all, err := s.as("otto").Findings(t.Context(), "", "", "", 0)
	if err != nil || len(all.Findings) != 0 {
		t.Errorf("%d were kept, %v", len(all.Findings), err)
	}
	if kept, err := filepath.Glob(filepath.Join(s.app.Config.Data, "vault", "finding", "*", "*.body")); err != nil || len(kept) != 0 {
		t.Errorf("files were kept: %v %v", kept, err)
	}
}

// TestTAP sends the field's own form, as one of its clients would, with a SARIF log, and reads the status.
func TestTAP(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.finders(t)
	r := filing(t, "Nxxxxxxxxxxxx", nil)
	log := `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"finder","version":"3"}},"results":[{"ruleId":"CWE-122","message":{"text":"a name overflows\nmore"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"name.c"},"region":{"startLine":10}},"logicalLocations":[{"fullyQualifiedName":"copy_name"}]}]}]}]}`
	body, err := json.Marshal(map[string]any{
		"purl": project, "versions": []string{"1.0"}, "software": "name", "ecosystem": "npm", "discovery_method": "ai-discovered", "discovery_tooling": "model-x via agent-y", "notify": "off",
		"references": []string{"https://name.example/1"}, "upstream_ids": []string{"CVE-2026-12345"}, "fixed_commit": "9f8e7d6c5b4a3928",
		"attachments": []map[string]string{
			{"filename": "t.zip", "type": "reproducer", "content_type": "application/zip", "data": r.Attachments[0].Data},
			{"filename": "p.bin", "type": "exploit-proof-of-concept", "content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString([]byte("Nxxxxxxxxxxxx"))},
			{"filename": "r.sarif", "content_type": "application/json", "data": log},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path string, body []byte) (status int, link string, v map[string]any) {
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.tokens["pat"])
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header.Get("Link"), v
	}
	status, link, v := ask(http.MethodPost, "/v1/reports", body)
	receipt, _ := v["receipt"].(string)
	if want := "</v1/submissions/" + receipt + `>; rel="monitor"`; status != http.StatusAccepted || link != want || receipt == "" {
		t.Fatal(status, link, v)
	}
	if _, _, v := ask(http.MethodGet, "/v1/submissions/"+receipt, nil); v["status"] != "queued" || v["receipt"] != receipt {
		t.Error(v)
	}
	s.works(t, "")
	if _, _, v := ask(http.MethodGet, "/v1/submissions/"+receipt, nil); v["status"] != "done" || v["state"] != "confirmed" {
		t.Error(v)
	}
	f, err := s.as("pat").Finding(t.Context(), clearing.FindingID(receipt))
	if err != nil || f.Claim.Title != "a name overflows" || f.Claim.CWE != "CWE-122" || f.Claim.Symbol != (clearing.Symbol{File: "name.c", Function: "copy_name", Line: 10}) || f.Claim.AI != "ai-discovered: model-x via agent-y" ||
		f.Claim.Purl != project+"@1.0" || len(f.Files.Others) != 1 {
		t.Errorf("%+v %v", f.Claim, err)
	}
}

// TestSlowSender lets one organisation be slow in sending a large report: it may send no second one meanwhile, and others are not held up.
func TestSlowSender(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.finders(t)
	ctx, stop := context.WithCancel(t.Context())
	send := func(who string, body io.Reader) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/reports", body)
		if err != nil {
			return 0, err
		}
		req.Header.Set("Authorization", "Bearer "+s.tokens[who])
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	unsaid := func() io.Reader { return io.MultiReader(strings.NewReader("{}")) }
	var w *io.PipeWriter
	done := make(chan error, 1)
	slow := func() {
		var r *io.PipeReader
		r, w = io.Pipe()
		go func() {
			_, err := send("pat", r) // of a length that it does not say
			done <- err
		}()
		_, _ = io.WriteString(w, `{"purl":`) // what came of it, done tells
	}
	slow()
	for status := 0; status != http.StatusTooManyRequests; {
		var err error
		if status, err = send("pat", unsaid()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done: // it came while a quick one was read, and is refused
			if err != nil {
				t.Fatal(err)
			}
			slow()
			status = 0
		default:
		}
	}
	if status, err := send("carl", unsaid()); err != nil || status != http.StatusUnprocessableEntity {
		t.Errorf("another's large report: %d %v", status, err)
	}
	if _, err := s.as("pat").Submit(t.Context(), filing(t, "Nxxxxxxxxxxxx", nil), ""); err != nil {
		t.Errorf("a small one meanwhile: %v", err)
	}
	stop()
	w.Close()
	if err := <-done; err == nil {
		t.Error("the slow one was answered")
	}
}

// TestTriedAgain lets the house fail three times: the finding waits for a person then, and one who has it tried again gets it confirmed. A target that does not build
// is the finder's.
func TestTriedAgain(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.finders(t)
	got, err := s.as("pat").Submit(t.Context(), filing(t, "Nxxxxxxxxxxxx", nil), "")
	if err != nil {
		t.Fatal(err)
	}
	id := clearing.FindingID(got.Receipt)
	state := func(want clearing.State) {
		t.Helper()
		if f, err := s.as("otto").Finding(t.Context(), id); err != nil || f.State != want {
			t.Errorf("%s, not %s: %v", f.State, want, err)
		}
	}
	work := func(w clearing.Workshop) {
		t.Helper()
		d, err := s.app.openDesk(t.Context(), "", clearing.Witness{Now: time.Now}, func(clearing.Folder) clearing.Workshop { return w })
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.Run(t.Context(), true, func(_, did string) { t.Log(did) }); err != nil {
			t.Fatal(err)
		}
	}
	work(unbuilt{proofhouse.Unavailable})
	state(clearing.State(clearing.Infrastructure))
	work(toy{})
	state(clearing.State(clearing.Infrastructure))
	again := func() {
		t.Helper()
		if _, err := s.as("otto").Retry(t.Context(), id, "the machine is mended"); err != nil {
			t.Fatal(err)
		}
		state(clearing.Waiting)
	}
	again()
	work(unbuilt{proofhouse.Failed})
	state(clearing.State(clearing.NotReproduced))
	again()
	work(toy{})
	state(clearing.State(clearing.Confirmed))
}

// TestStuckPatch has a patch that every check of the house's own breaks off at: it holds up neither the patches of others nor the matrix, and waits for a person. A finder who
// brings many patches waits for himself.
func TestStuckPatch(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.finders(t)
	work := func(w clearing.Workshop) (did []string) {
		t.Helper()
		d, err := s.app.openDesk(t.Context(), "", clearing.Witness{Now: time.Now}, func(clearing.Folder) clearing.Workshop { return w })
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.Run(t.Context(), true, func(_, what string) { did = append(did, what) }); err != nil {
			t.Fatal(err)
		}
		return did
	}
	var ids []clearing.FindingID
	for i, who := range []string{"pat", "carl"} {
		got, err := s.as(who).Submit(t.Context(), filing(t, fmt.Sprintf("Nxxxxxxxxxxxx%d", i), nil), "")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, clearing.FindingID(got.Receipt))
	}
	work(toy{})
	bad := strings.Replace(exampleFile(t, "one-caller.diff"), "n = 8;", "n = 8; /* hostile */", 1)
	for i := range 8 {
		if _, err := s.as("pat").OfferPatch(t.Context(), ids[0], wire.NewPatch{Fix: strings.Replace(bad, "hostile", fmt.Sprintf("hostile %d", i), 1)}, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.as("pat").OfferPatch(t.Context(), ids[0], wire.NewPatch{Fix: bad}, ""); proofhouse.KindOf(err) != proofhouse.Limit {
		t.Errorf("a ninth patch: %v", err)
	}
	good, err := s.as("carl").OfferPatch(t.Context(), ids[1], wire.NewPatch{Fix: exampleFile(t, "fix.diff"), Regression: exampleFile(t, "fix-test.diff")}, "")
	if err != nil {
		t.Fatal(err)
	}
	did := work(choking{})
	if i := slices.IndexFunc(did, func(d string) bool { return strings.HasPrefix(d, string(good.Patch)+": verified") }); i < 0 || i > 2 {
		t.Errorf("the other's patch waits behind the flood: %v", did)
	}
	f, err := s.as("otto").Finding(t.Context(), ids[0])
	if err != nil || f.Bug == nil || f.Bug.Reports != 2 || f.Bug.Best != good.Patch {
		t.Errorf("the matrix waits: %+v %v", f.Bug, err)
	}
	for _, q := range f.Patches {
		if q.Troubles != 3 || !q.Stuck() || q.Check != nil {
			t.Errorf("%+v", q)
		}
	}
	if did := work(choking{}); len(did) != 0 {
		t.Errorf("it goes on for ever: %v", did)
	}
	if _, err := s.as("otto").Retry(t.Context(), ids[0], "the machine is mended"); err != nil {
		t.Fatal(err)
	}
	work(toy{})
	if f, err = s.as("otto").Finding(t.Context(), ids[0]); err != nil || f.Patches[0].Check == nil || f.Patches[0].Check.Outcome != clearing.Refused {
		t.Errorf("after that: %+v %v", f.Patches[0], err)
	}
}

// choking is the toy, which cannot build what is hostile.
type choking struct{ toy }

// Build implements clearing.Workshop.
func (c choking) Build(ctx context.Context, patches ...[]byte) (clearing.Program, error) {
	if patched(patches, "hostile") {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, nil, "a box failed")
	}
	return c.toy.Build(ctx, patches...)
}

// unbuilt builds nothing.
type unbuilt struct{ kind proofhouse.Kind }

// Build implements clearing.Workshop.
func (b unbuilt) Build(context.Context, ...[]byte) (clearing.Program, error) {
	return nil, proofhouse.Errorf(b.kind, nil, "it does not build")
}

// Test implements clearing.Workshop.
func (b unbuilt) Test(context.Context, ...[]byte) (target.Tested, error) {
	return target.Tested{}, proofhouse.Errorf(b.kind, nil, "it does not build")
}

// TestFlood lets one finder send many reports at once beside two others who send one each: all are kept, and the others do not wait for the flood. FLOOD=10000 in the
// environment sends as many, and with -v it says how long they took.
func TestFlood(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.finders(t)
	first, err := s.as("pat").Submit(t.Context(), filing(t, "Nxxxxxxxxxxx0", nil), "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.as("pat").Finding(t.Context(), clearing.FindingID(first.Receipt))
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	const senders = 8
	each := 25
	if n, err := strconv.Atoi(os.Getenv("FLOOD")); err == nil {
		each = n / senders
	}
	took := make([]time.Duration, senders*each)
	began := time.Now()
	for i := range senders {
		work.Go(func() {
			for j := range each {
				r := filing(t, fmt.Sprintf("Nxxxxxxxxxxx%d-%d", i, j), func(r *clearing.Report) {
					r.Attachments[0].Data, r.Attachments[0].Digest = "", f.Files.Target
				})
				sent := time.Now()
				if _, err := s.as("pat").Submit(t.Context(), r, ""); err != nil {
					t.Error(err)
				}
				took[i*each+j] = time.Since(sent)
			}
		})
	}
	work.Wait()
	slices.Sort(took)
	t.Logf("%d reports by %d senders in %s: %.0f an hour; half within %s, 99 of 100 within %s, the last %s", len(took), senders, time.Since(began).Round(time.Millisecond),
		float64(len(took))/time.Since(began).Hours(), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	var late []clearing.FindingID
	for _, who := range []string{"carl", "trudy"} {
		got, err := s.as(who).Submit(t.Context(), filing(t, "Mxxxxxxxxxxx", nil), "")
		if err != nil {
			t.Fatal(err)
		}
		late = append(late, clearing.FindingID(got.Receipt))
	}
	p, err := s.findings.Project(t.Context(), project)
	if err != nil || len(p.Findings) != senders*each+3 {
		t.Fatalf("%d findings, %v", len(p.Findings), err)
	}
	// Each is tried once before anybody is tried twice.
	machine := clearing.Event{By: proofhouse.Actor{Role: proofhouse.Coordinator, Organisation: "house", Person: "desk"}}
	var order []clearing.FindingID
	for range 3 {
		id, ok := p.Next()
		if !ok {
			t.Fatal("nothing waits")
		}
		order = append(order, id)
		machine.Act = clearing.Reproduced{Finding: id, Attempt: clearing.AttemptRecord{Verdict: clearing.NotReproduced}}
		if p, err = p.Apply(machine, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range late {
		if !slices.Contains(order, id) {
			t.Errorf("%s waits behind the flood: %v", id, order)
		}
	}
}

// TestDeskProcess is the desk of TestDeskKilled in a process of its own.
func TestDeskProcess(t *testing.T) {
	data := os.Getenv("DESK_DATA")
	if data == "" {
		t.Skip("TestDeskKilled runs it")
	}
	a, err := Open(t.Context(), Config{Data: data, HouseKey: filepath.Join(data, "keys", "house.key")})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	d, err := a.openDesk(t.Context(), os.Getenv("DESK_DATABASE"), clearing.Witness{Program: "test", Now: time.Now}, func(clearing.Folder) clearing.Workshop { return toy{} })
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Run(t.Context(), true, func(string, string) {}); err != nil {
		t.Fatal(err)
	}
}

// TestDeskKilled kills the desk again and again while it works: nothing is lost or done twice, and the end is what it is without.
func TestDeskKilled(t *testing.T) {
	storetest.EachAddress(t, func(t *testing.T, database string) {
		data := t.TempDir()
		s := serveHouse(t, data, database)
		s.finders(t)
		s.tenReports(t)
		kills, version := 0, 0
		for {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDeskProcess$")
			cmd.Env = append(os.Environ(), "DESK_DATA="+data, "DESK_DATABASE="+database)
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- cmd.Wait() }()
			// Each time it does something, and then is killed.
			killed := false
			for !killed {
				select {
				case err := <-done:
					if err != nil {
						t.Fatalf("%v\n%s", err, said.String())
					}
					s.asWithoutKills(t, kills)
					return
				case <-time.After(2 * time.Millisecond):
				}
				p, err := s.findings.Project(t.Context(), project)
				if err != nil {
					t.Fatal(err)
				}
				if p.Version > version && kills < 12 {
					version, killed = p.Version, true
					if err := cmd.Process.Kill(); err != nil {
						t.Fatal(err)
					}
					<-done
					kills++
				}
			}
		}
	})
}

// asWithoutKills holds a project to what the desk makes of it undisturbed.
func (s *served) asWithoutKills(t *testing.T, kills int) {
	t.Helper()
	p, err := s.findings.Project(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d events", kills, p.Version)
	if kills < 5 {
		t.Errorf("it was killed %d times only", kills)
	}
	for _, f := range p.Findings {
		if len(f.Attempts) != 1 {
			t.Errorf("%s was tried %d times", f.ID, len(f.Attempts))
		}
	}
	c := p.Clusters()
	if len(c) != 1 || len(c[0].Members) != 9 || len(p.Patches) != 2 {
		t.Fatalf("%+v, %d patches", c, len(p.Patches))
	}
	if best, ok := p.BestPatch(c[0]); !ok || best.For != p.Findings[1].ID {
		t.Errorf("the best patch is %+v", best)
	}
}
