package app

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// sealable is a case with everybody in it but pat, taken up.
func (s *served) sealable(t *testing.T) proofhouse.CaseID {
	t.Helper()
	c, err := s.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "canary-codename", Variants: []string{"deployed"}}, Profile: "institute"}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, "rita", c.ID, docket.Accept{})
	for _, m := range []proofhouse.Actor{
		{Organisation: "institute", Person: "eve", Role: proofhouse.Evaluator},
		{Organisation: "institute", Person: "otto", Role: proofhouse.Authority},
		{Organisation: "institute", Person: "ann", Role: proofhouse.SecurityOfficer},
		{Organisation: "audit", Person: "al", Role: proofhouse.Auditor},
		{Organisation: "bank", Person: "pat", Role: proofhouse.Partner},
	} {
		who := "rita"
		if m.Role == proofhouse.Partner {
			who = "ada"
		}
		s.do(t, who, c.ID, docket.Join{Member: m})
	}
	s.do(t, "ada", c.ID, docket.Join{Member: proofhouse.Actor{Organisation: "lab", Person: "bob", Role: proofhouse.Developer}})
	return c.ID
}

func (s *served) principal(t *testing.T, name string) policy.Principal {
	t.Helper()
	p, err := s.Directory.Authenticate(t.Context(), s.tokens[name], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return policy.Principal{Person: p}
}

// clear lets people read what lies in a compartment.
func (s *served) clear(t *testing.T, clearance string, names ...string) {
	t.Helper()
	if err := s.Directory.GiveRole(t.Context(), s.principal(t, "ann"), "bob@lab", policy.HouseSecurityOfficer, time.Now()); err != nil && proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := s.Directory.GiveClearance(t.Context(), s.principal(t, "bob"), name, clearance, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

var aboutLog = wire.NewArtifact{Name: "canary-name.log", Media: "text/plain", Source: "canary-source"}

func (s *served) seal(t *testing.T, who string, id proofhouse.CaseID, about wire.NewArtifact, text string) docket.Artifact {
	t.Helper()
	sealed, err := s.as(who).Seal(t.Context(), id, about, strings.NewReader(text), wire.Options{})
	if err != nil {
		t.Fatalf("%s seals: %v", who, err)
	}
	return sealed.Artifact.Artifact
}

// content is what who reads of an artifact.
func (s *served) content(t *testing.T, who string, id proofhouse.CaseID, artifact proofhouse.Digest) (string, error) {
	var b strings.Builder
	err := s.as(who).Artifact(t.Context(), id, artifact, &b)
	return b.String(), err
}

// sealedFiles are all files of the vault and of the heads.
func sealedFiles(t *testing.T, data string) (names []string) {
	t.Helper()
	for _, dir := range []string{filepath.Join(data, "vault"), filepath.Join(data, "keys", "artifact")} {
		if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && d.Name() != ".lock" {
				names = append(names, path)
			}
			return err
		}); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return names
}

// TestSealArtifact has everybody bring a file, know of it and read it, refusals first.
func TestSealArtifact(t *testing.T) {
	data := t.TempDir()
	s := serveHouse(t, data, "")
	s.populate(t)
	id := s.sealable(t)
	for who, kind := range map[string]proofhouse.Kind{
		"otto": proofhouse.Refused, "ann": proofhouse.Refused, "al": proofhouse.Refused, "pat": proofhouse.Refused,
	} {
		if _, err := s.as(who).Seal(t.Context(), id, aboutLog, strings.NewReader("canary-text"), wire.Options{}); proofhouse.KindOf(err) != kind {
			t.Errorf("%s seals: %v", who, err)
		}
	}
	other, err := s.as("bob").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "ibis", Variants: []string{"deployed"}}, Profile: "institute"}, "")
	if err != nil {
		t.Fatal(err)
	}
	_, there := s.as("pat").Seal(t.Context(), other.ID, aboutLog, strings.NewReader("canary-text"), wire.Options{})
	_, absent := s.as("pat").Seal(t.Context(), "case-none", aboutLog, strings.NewReader("canary-text"), wire.Options{})
	if proofhouse.KindOf(there) != proofhouse.NotFound || there.Error() != absent.Error() {
		t.Errorf("an outsider seals: %v, and in no case: %v", there, absent)
	}
	for what, about := range map[string]wire.NewArtifact{
		"no source":            {Name: "canary-name"},
		"a path":               {Name: "../canary-name", Source: "x"},
		"an unseen character":  {Name: "canary\u202ename", Source: "x"},
		"no media type":        {Name: "canary-name", Media: "canary", Source: "x"},
		"a marking of its own": {Name: "canary-name", Marking: "TLP:CANARY", Source: "x"},
		"no such compartment":  {Name: "canary-name", Compartment: string(other.ID), Source: "x"},
	} {
		_, err := s.as("ada").Seal(t.Context(), id, about, strings.NewReader("canary-text"), wire.Options{})
		if k := proofhouse.KindOf(err); k != proofhouse.Invalid && k != proofhouse.NotFound || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "CANARY") && what != "a marking of its own" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if left := sealedFiles(t, data); len(left) != 0 {
		t.Errorf("what was refused left %v", left)
	}

	text := strings.Repeat("canary-text ", 100_000)
	a := s.seal(t, "eve", id, aboutLog, text)
	if a.Bytes != int64(len(text)) || a.Name != aboutLog.Name || a.Marking != proofhouse.AmberStrict || a.Compartment != string(id) {
		t.Errorf("sealed as %+v", a)
	}
	s.clear(t, string(id), "rita@institute", "otto@institute", "al@audit", "pat@bank")
	for who, w := range map[string]struct {
		knows bool
		reads proofhouse.Kind
	}{
		"eve": {true, ""}, "rita": {true, ""}, "otto": {true, ""}, "ada": {false, proofhouse.NotFound}, "ann": {false, proofhouse.NotFound},
		"al": {true, proofhouse.Refused}, "pat": {false, proofhouse.Refused},
	} {
		l, err := s.as(who).Artifacts(t.Context(), id)
		if err != nil || (len(l.Artifacts) == 1) != w.knows {
			t.Errorf("%s knows of %+v, %v", who, l, err)
		}
		got, err := s.content(t, who, id, a.ID)
		if err != nil && proofhouse.KindOf(err) != w.reads || err == nil && (w.reads != "" || got != text) {
			t.Errorf("%s reads %d bytes, %v", who, len(got), err)
		}
		c, err := s.as(who).Case(t.Context(), id)
		if err != nil || (len(c.Artifacts) == 1) != w.knows {
			t.Errorf("the case shows %s %+v, %v", who, c.Artifacts, err)
		}
		if who == "pat" {
			continue
		}
		events, err := s.as(who).Events(t.Context(), id, 0)
		if err != nil || strings.Contains(string(events[len(events)-1].Says), "canary-name") != w.knows {
			t.Errorf("among the events %s reads %s, %v", who, events[len(events)-1].Says, err)
		}
	}
	none := proofhouse.DigestOf([]byte("none"))
	_, hidden := s.content(t, "ada", id, a.ID)
	if _, err := s.content(t, "ada", id, none); hidden == nil || err == nil || err.Error() != hidden.Error() {
		t.Errorf("what is hidden: %v, and what is not there: %v", hidden, err)
	}
	// The request again is answered, and sealed once.
	before := len(sealedFiles(t, data))
	var first wire.Sealed
	for i := range 2 {
		got, err := s.as("ada").Seal(t.Context(), id, aboutLog, strings.NewReader("once"), wire.Options{Key: "k"})
		if i == 0 {
			first = got
		}
		if err != nil || got.Artifact.ID != first.Artifact.ID || got.Seq != first.Seq {
			t.Errorf("%+v and then %+v, %v", first, got, err)
		}
	}
	if after := len(sealedFiles(t, data)); after != before+2 {
		t.Errorf("%d files more", after-before)
	}
	if _, err := s.as("ada").Seal(t.Context(), id, aboutLog, strings.NewReader("another"), wire.Options{Key: "k"}); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("another file under the same key: %v", err)
	}
	if _, err := s.as("ada").Seal(t.Context(), id, aboutLog, strings.NewReader("late"), wire.Options{At: 1}); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("an older version: %v", err)
	}
	if after := len(sealedFiles(t, data)); after != before+2 {
		t.Errorf("what was refused left %d files", after-before-2)
	}
	s.do(t, "ada", id, docket.Withdraw{})
	if _, err := s.as("ada").Seal(t.Context(), id, aboutLog, strings.NewReader("late"), wire.Options{}); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("after the withdrawal: %v", err)
	}
	s.canaries(t, data, "", id)
}

// TestBrokenUploads brings what is no file of a form, or half of one.
func TestBrokenUploads(t *testing.T) {
	data := t.TempDir()
	s := serveHouse(t, data, "")
	s.populate(t)
	id := s.sealable(t)
	head := "--b\r\nContent-Disposition: form-data; name=\"about\"\r\n\r\n"
	about := head + `{"name":"canary-name","source":"x"}` + "\r\n--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n"
	for what, body := range map[string]string{
		"nothing":              "",
		"no JSON":              head + "canary\r\n--b--\r\n",
		"no file":              head + `{"name":"x","source":"x"}` + "\r\n--b--\r\n",
		"an unknown word":      head + `{"name":"x","source":"x","canary":1}` + "\r\n--b--\r\n",
		"much about it":        head + strings.Repeat(" ", 1<<20) + "\r\n--b--\r\n",
		"an end that is cut":   about + "canary",
		"something behind":     about + "canary\r\n--b\r\nContent-Disposition: form-data; name=\"more\"\r\n\r\nx\r\n--b--\r\n",
		"the file before that": "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\ncanary\r\n--b--\r\n",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/cases/"+string(id)+"/artifacts", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.tokens["ada"])
		req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusUnprocessableEntity || bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s: %d %s", what, resp.StatusCode, b)
		}
	}
	for _, name := range sealedFiles(t, data) {
		if base := filepath.Base(name); base != "recipient" && base != "key.age" {
			t.Errorf("%s is left", name)
		}
	}
}

// TestHostileArtifacts brings archives: those that would do harm are refused whole,
// whatever they are called, and so they are where the house cannot read what it has sealed.
func TestHostileArtifacts(t *testing.T) {
	data := t.TempDir()
	s := serveHouse(t, data, "")
	s.populate(t)
	id := s.sealable(t)
	var keys []string
	for range 2 {
		k, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k.Recipient().String())
	}
	s.do(t, "ada", id, docket.MakePart{Name: "two", Custodians: keys})
	good, up := zipOf(t, "report.txt"), zipOf(t, "../canary.txt")
	var upTar bytes.Buffer
	w := tar.NewWriter(&upTar)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "/canary", Mode: 0o600, Typeflag: tar.TypeReg}), w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"", docket.Compartment(id, "two")} {
		for what, a := range map[string]struct {
			name, text string
			taken      bool
		}{
			"an archive":              {"a.zip", good, true},
			"a text":                  {"a.txt", "plain", true},
			"a gzipped text":          {"a.gz", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x4b\x04\x00\x43\xbe\xb7\xe8\x01\x00\x00\x00", true},
			"an archive that climbs":  {"a.zip", up, false},
			"one by another name":     {"a.txt", up, false},
			"a tar from the root":     {"a.log", upTar.String(), false},
			"no archive, called one":  {"a.zip", "plain", false},
			"one with something else": {"a.zip", "x" + good, false},
		} {
			_, err := s.as("ada").Seal(t.Context(), id, wire.NewArtifact{Name: a.name, Source: "x", Compartment: part}, strings.NewReader(a.text), wire.Options{})
			if (err == nil) != a.taken || err != nil && (proofhouse.KindOf(err) != proofhouse.Invalid || strings.Contains(err.Error(), "canary")) {
				t.Errorf("%s in %q: %v", what, part, err)
			}
		}
	}
	if l, err := s.as("ada").Artifacts(t.Context(), id); err != nil || len(l.Artifacts) != 6 {
		t.Errorf("%+v, %v", l, err)
	}
	bodies, heads := 0, 0
	for _, name := range sealedFiles(t, data) {
		switch filepath.Ext(name) {
		case ".body":
			bodies++
		case ".head":
			heads++
		case ".new":
			t.Errorf("%s is left", name)
		}
	}
	if bodies != 6 || heads != 6 {
		t.Errorf("%d bodies and %d heads", bodies, heads)
	}
}

func zipOf(t *testing.T, name string) string {
	t.Helper()
	var b strings.Builder
	z := zip.NewWriter(&b)
	f, err := z.Create(name)
	if err == nil {
		_, err = io.WriteString(f, "text")
	}
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestTwoCustodians opens what takes two custodians, step by step; each step is tried too early, and by others.
func TestTwoCustodians(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.sealable(t)
	var public []string
	var secret []vault.Secret
	for range 2 {
		k, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		public, secret = append(public, k.Recipient().String()), append(secret, vault.Secret(k.String()))
	}
	for what, a := range map[string]docket.MakePart{
		"one custodian":      {Name: "two", Custodians: public[:1]},
		"the same one twice": {Name: "two", Custodians: []string{public[0], public[0]}},
		"no key":             {Name: "two", Custodians: []string{"age1pq1x", public[0]}},
		"a path":             {Name: "two/three"},
	} {
		if _, err := s.as("ada").Do(t.Context(), id, a, wire.Options{}); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.do(t, "ada", id, docket.MakePart{Name: "two", Custodians: public})
	compartment := docket.Compartment(id, "two")
	a := s.seal(t, "ada", id, wire.NewArtifact{Name: "weights", Source: "ours", Compartment: compartment}, "canary-weights")
	s.clear(t, compartment, "eve@institute", "ada@lab")
	if _, err := s.content(t, "ada", id, a.ID); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("read without the custodians: %v", err)
	}
	ask := func(on proofhouse.Digest) string {
		r, err := s.as("eve").Ask(t.Context(), id, wire.AskTwo{What: policy.Unseal, On: string(on), Reason: "to look"})
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	layer := func(who, request string) ([]byte, error) {
		var b bytes.Buffer
		err := s.as(who).Layer(t.Context(), id, a.ID, request, &b)
		return b.Bytes(), err
	}
	request, other := ask(a.ID), ask(proofhouse.DigestOf(nil))
	for _, r := range []string{request, "", "request-none"} {
		if _, err := layer("eve", r); err == nil {
			t.Errorf("a layer by the request %q", r)
		}
	}
	for _, who := range []string{"rita", "otto"} {
		for _, r := range []string{request, other} {
			if _, err := s.as(who).Approve(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	for who, r := range map[string]string{"eve": other, "ada": request, "pat": request, "rita": request} {
		if _, err := layer(who, r); err == nil {
			t.Errorf("%s gets a layer by %s", who, r)
		}
	}
	outer, err := layer("eve", request)
	if err != nil {
		t.Fatal(err)
	}
	unseal := func(who, r string, l []byte) (string, error) {
		var b strings.Builder
		err := s.as(who).Unsealed(t.Context(), id, a.ID, r, l, &b)
		return b.String(), err
	}
	if _, err := vault.Layer(outer).UnwrapBy(secret[1]); err == nil {
		t.Error("the second custodian was first")
	}
	half, err := vault.Layer(outer).UnwrapBy(secret[0])
	if err != nil {
		t.Fatal(err)
	}
	inner, err := half.UnwrapBy(secret[1])
	if err != nil {
		t.Fatal(err)
	}
	for what, l := range map[string][]byte{"nothing": nil, "the house's layer": outer, "one custodian's": half, "another text": []byte("{}\n")} {
		if _, err := unseal("eve", request, l); err == nil {
			t.Errorf("opened with %s", what)
		}
	}
	for who, r := range map[string]string{"eve": other, "ada": request} {
		if _, err := unseal(who, r, inner); err == nil {
			t.Errorf("%s opens it by %s", who, r)
		}
	}
	if got, err := unseal("eve", request, inner); err != nil || got != "canary-weights" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := unseal("eve", request, inner); err == nil {
		t.Error("one approval opened it twice")
	}
}
