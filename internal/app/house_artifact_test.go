package app

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// TestSealingIsSettled stops the house between the event of a sealing and the
// artifact's name, and before the event: the next opening names the one and forgets the other.
func TestSealingIsSettled(t *testing.T) {
	data := t.TempDir()
	a, err := Open(t.Context(), Config{Data: data, HouseKey: filepath.Join(data, "keys", "house.key")})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	h, err := a.OpenHouse(t.Context(), HouseConfig{Origin: "example/log"})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := docket.ShippedProfile("institute")
	if err != nil {
		t.Fatal(err)
	}
	ada := proofhouse.Actor{Organisation: "lab", Person: "ada", Role: proofhouse.Developer}
	now := time.Now()
	c, err := h.Registry.Open(t.Context(), ada, rules, docket.OpenCase{Codename: "heron", Variants: []string{"deployed"}}, docket.Request{}, proofhouse.NewCaseID, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.provide(c, string(c.ID)); err != nil {
		t.Fatal(err)
	}
	var ids []proofhouse.Digest
	for _, recorded := range []bool{true, false} {
		s, err := h.artifacts.Seal(string(c.ID), "x", "text/plain")
		if err == nil {
			_, err = io.WriteString(s, "text")
		}
		var x vault.Artifact
		if err == nil {
			x, err = s.Prepare()
		}
		if err == nil && recorded {
			act := docket.Seal{ID: x.ID, Compartment: x.Compartment, Name: "x", Media: "text/plain", Bytes: x.Bytes, Marking: proofhouse.Amber, Source: "x"}
			_, _, err = h.Registry.Do(t.Context(), c.ID, docket.Event{By: ada, Act: act}, 0, docket.Request{}, now)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Leave()
		ids = append(ids, x.ID)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if h, err = a.OpenHouse(t.Context(), HouseConfig{}); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	o, err := h.Content(t.Context(), docket.Artifact{ID: ids[0], Compartment: string(c.ID)})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if b, err := io.ReadAll(o.Reader()); err != nil || string(b) != "text" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := h.Content(t.Context(), docket.Artifact{ID: ids[1], Compartment: string(c.ID)}); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("what was not recorded: %v", err)
	}
	for _, name := range sealedFiles(t, data) {
		if strings.Contains(name, ids[1].Hex()) || strings.HasSuffix(name, ".new") {
			t.Errorf("%s is left", name)
		}
	}
}

// listening keeps what a client sends that is no body.
type listening struct {
	sent strings.Builder // of one goroutine
}

func (l *listening) RoundTrip(r *http.Request) (*http.Response, error) {
	fmt.Fprintln(&l.sent, r.Method, r.URL, r.Header)
	return http.DefaultTransport.RoundTrip(r)
}

// TestArtifactCanaries looks for an artifact's name, source and content in addresses and headers, and in what
// the house logs, through a sealing, its refusals, a reading, an unsealing that fails, and a destruction.
func TestArtifactCanaries(t *testing.T) {
	var logged bytes.Buffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	defer slog.SetDefault(old)
	data := t.TempDir()
	s := serveHouse(t, data, "")
	s.populate(t)
	id := s.sealable(t)
	l := &listening{}
	client := wire.Client{URL: s.url, Token: s.tokens["ada"], HTTP: &http.Client{Transport: l}}
	sealed, err := client.Seal(t.Context(), id, aboutLog, strings.NewReader("canary-text"), wire.Options{Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	bad := aboutLog
	bad.Name = "canary-name.zip"
	if _, err := client.Seal(t.Context(), id, bad, strings.NewReader("canary-text"), wire.Options{}); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("no archive: %v", err)
	}
	artifact := sealed.Artifact.ID
	if err := client.Artifact(t.Context(), id, artifact, io.Discard); err != nil {
		t.Error(err)
	}
	if err := client.Unsealed(t.Context(), id, artifact, "request-x", []byte("canary-layer"), io.Discard); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("unsealed: %v", err)
	}
	if _, err := client.Artifacts(t.Context(), id); err != nil {
		t.Error(err)
	}
	s.do(t, "ada", id, docket.Offer{Terms: docket.Terms{Marking: proofhouse.Amber, Retention: 0, Share: []proofhouse.Role{}}})
	s.do(t, "rita", id, docket.Agree{Version: 1})
	s.do(t, "ada", id, docket.Withdraw{})
	if err := s.sweep(t.Context(), time.Now().Add(time.Hour)); err != nil || !strings.Contains(logged.String(), "are due to be destroyed") || !strings.Contains(logged.String(), "cases=1") {
		t.Errorf("the house logged %q, %v", &logged, err)
	}
	request := s.approved(t, "ada", id, policy.Destroy, "", "rita", "otto")
	if _, err := client.DestroyAll(t.Context(), id, request, ""); err != nil {
		t.Error(err)
	}
	if err := s.sweep(t.Context(), time.Now().Add(time.Hour)); err != nil || strings.Count(logged.String(), "are due to be destroyed") != 1 {
		t.Errorf("once it is destroyed, the house logged %q, %v", &logged, err)
	}
	for what, text := range map[string]string{"addresses and headers": l.sent.String(), "the log": logged.String()} {
		if text == "" || strings.Contains(text, "canary") {
			t.Errorf("%s: %s", what, text)
		}
	}
	s.canaries(t, data, "", id)
}

// TestFullDiskOfACase fills the disk of the bodies, or of the heads, while a file is brought: a clear
// refusal, nothing is recorded, nothing is left, and what was there opens.
func TestFullDiskOfACase(t *testing.T) {
	for _, full := range []string{"vault", "keys"} {
		t.Run(full, func(t *testing.T) {
			data := t.TempDir()
			s := serveHouse(t, data, "")
			s.populate(t)
			id := s.sealable(t)
			// Of the keys, only the heads: the case's own key is there already.
			dir := map[string]string{"vault": filepath.Join(data, "vault"), "keys": filepath.Join(data, "keys", "artifact")}[full]
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			tinyDisk(t, dir)
			a := s.seal(t, "ada", id, aboutLog, "canary-one")
			before, err := s.as("ada").Case(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			files := len(sealedFiles(t, data))
			ballast := filepath.Join(dir, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("the disk is not full: %v", err)
			}
			_, err = s.as("ada").Seal(t.Context(), id, aboutLog, strings.NewReader(strings.Repeat("canary-two", 100_000)), wire.Options{})
			if proofhouse.KindOf(err) != proofhouse.Unavailable || !strings.Contains(err.Error(), "the disk is full") {
				t.Errorf("on a full disk: %v", err)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			if after, err := s.as("ada").Case(t.Context(), id); err != nil || after.Version != before.Version || len(sealedFiles(t, data)) != files {
				t.Errorf("%d events and %d, %d files and %d, %v", before.Version, after.Version, files, len(sealedFiles(t, data)), err)
			}
			if got, err := s.content(t, "ada", id, a.ID); err != nil || got != "canary-one" {
				t.Errorf("%q, %v", got, err)
			}
			s.seal(t, "ada", id, aboutLog, "canary-three")
		})
	}
}

// tinyDisk mounts a megabyte over a folder.
func tinyDisk(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size=1m"); err != nil {
		t.Skipf("this machine mounts no tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
