package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/storetest"
)

// served is a house of cases that listens.
type served struct {
	*House
	url    string
	tokens map[string]string // by person
	keys   map[string]*ledger.Key
}

// people of the tests, by organisation.
var townsfolk = map[string][]string{"institute": {"ann", "rita", "eve", "otto"}, "lab": {"ada", "bob"}, "cyber-centre": {"carl"}, "bank": {"pat"}, "audit": {"al"}, "treasury": {"trudy"}}

func serveHouse(t *testing.T, data, database string) *served {
	t.Helper()
	return serveHouseAs(t, data, HouseConfig{Database: database, Origin: "example/log"})
}

func serveHouseAs(t *testing.T, data string, cfg HouseConfig) *served {
	t.Helper()
	a, err := Open(t.Context(), Config{Data: data, HouseKey: filepath.Join(data, "keys", "house.key")})
	if err != nil {
		t.Fatal(err)
	}
	h, err := a.OpenHouse(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- h.Serve(ctx, "127.0.0.1:0", func(url string) { ready <- url }) }()
	s := &served{House: h, tokens: map[string]string{}, keys: map[string]*ledger.Key{}}
	select {
	case s.url = <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, h.Close(), a.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// populate brings everybody in: the first administrator by the code, and the others by that.
func (s *served) populate(t *testing.T) {
	t.Helper()
	code, err := s.Directory.FirstCode(t.Context(), time.Now())
	if err != nil || code == "" {
		t.Fatal(code, err)
	}
	claimed, err := wire.Client{URL: s.url}.Claim(t.Context(), wire.Claim{Code: code, Organisation: "institute", OrganisationTitle: "The Institute", Person: "ann", PersonTitle: "Ann"})
	if err != nil {
		t.Fatal(err)
	}
	s.tokens["ann"] = claimed.Token
	s.settle(t)
}

// settle has the first administrator bring in the others.
func (s *served) settle(t *testing.T) {
	t.Helper()
	now, ann := time.Now(), principal(t, s, "ann")
	for o, people := range townsfolk {
		if o != "institute" {
			if err := s.Directory.CreateOrganisation(t.Context(), ann, policy.Organisation{ID: proofhouse.OrganisationID(o), Title: o}, now); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range people {
			if p == "ann" {
				continue
			}
			if err := s.Directory.CreatePerson(t.Context(), ann, policy.Person{Organisation: proofhouse.OrganisationID(o), ID: proofhouse.PersonID(p), Title: p}, now); err != nil {
				t.Fatal(err)
			}
			token, _, err := s.Directory.IssueToken(t.Context(), ann, p+"@"+o, "test", now.Add(time.Hour), now)
			if err != nil {
				t.Fatal(err)
			}
			s.tokens[p] = token
		}
	}
	if err := s.Directory.GiveRole(t.Context(), ann, "rita@institute", policy.HouseRegistrar, now); err != nil {
		t.Fatal(err)
	}
}

func (s *served) as(name string) wire.Client { return wire.Client{URL: s.url, Token: s.tokens[name]} }

func (s *served) do(t *testing.T, who string, id proofhouse.CaseID, a docket.Act) wire.Done {
	t.Helper()
	done, err := s.as(who).Do(t.Context(), id, a, wire.Options{Sign: s.keys[who]})
	if err != nil {
		t.Fatalf("%s by %s: %v", a.Kind(), who, err)
	}
	return done
}

// review takes a case to its determination.
func (s *served) review(t *testing.T) proofhouse.CaseID {
	t.Helper()
	c, err := s.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "canary-codename", Variants: []string{"canary-variant"}}, Profile: "institute"}, "")
	if err != nil {
		t.Fatal(err)
	}
	id := c.ID
	s.do(t, "rita", id, docket.Accept{})
	for _, m := range []proofhouse.Actor{
		{Organisation: "institute", Person: "eve", Role: proofhouse.Evaluator},
		{Organisation: "institute", Person: "otto", Role: proofhouse.Authority},
		{Organisation: "cyber-centre", Person: "carl", Role: proofhouse.Consultee},
	} {
		s.do(t, "rita", id, docket.Join{Member: m})
	}
	s.do(t, "ada", id, docket.Join{Member: proofhouse.Actor{Organisation: "lab", Person: "bob", Role: proofhouse.Developer}})
	dir := t.TempDir()
	s.do(t, "ada", id, docket.Offer{Terms: docket.Terms{Marking: proofhouse.AmberStrict, Retention: 90, Share: []proofhouse.Role{proofhouse.Adopter}}})
	s.do(t, "rita", id, docket.Agree{Version: 1})
	s.do(t, "rita", id, docket.Join{Member: proofhouse.Actor{Organisation: "treasury", Person: "trudy", Role: proofhouse.Adopter}})
	for _, p := range []string{"ada", "otto", "carl", "trudy"} {
		if s.keys[p], err = ledger.CreateKey(dir, p); err != nil {
			t.Fatal(err)
		}
		pem, err := s.keys[p].PublicKey().PEM()
		if err != nil {
			t.Fatal(err)
		}
		s.do(t, p, id, docket.NameKey{Key: string(pem)})
	}
	s.do(t, "ada", id, docket.Ask{})
	s.do(t, "rita", id, docket.Register{Criteria: houseCriteria(), Salt: docket.Salt{1}})
	s.do(t, "ada", id, docket.Countersign{Version: 1})
	s.do(t, "ada", id, docket.Lend{Grant: "body", To: "institute"})
	s.do(t, "eve", id, docket.StartRun{Run: "run-1", Registration: 1, Manifest: houseCriteria().As(docket.Cell{Variant: "canary-variant", Agent: "baseline"})})
	s.do(t, "eve", id, docket.FinishRun{Run: "run-1", Evidence: proofhouse.DigestOf(nil), Tally: docket.Tally{Solved: 80, Samples: 100}})
	s.do(t, "rita", id, docket.Consult{Organisation: "cyber-centre"})
	s.do(t, "carl", id, docket.Answer{View: docket.Dissents, Reason: "canary reason"})
	s.do(t, "eve", id, docket.FileReport{Report: houseReport(), Salt: docket.Salt{2}})
	c = s.do(t, "otto", id, docket.Determine{Outcome: docket.Covered, Registration: 1, Report: 1}).Case
	s.do(t, "trudy", id, docket.Adopt{OwnUse: docket.OwnUse{
		Use: docket.WillUse, Determination: c.Determinations[0].Digest(), Evidence: []proofhouse.Digest{c.Runs[0].Evidence}, Scope: "canary scope",
		Purpose: "canary purpose", Conditions: []string{}, Until: time.Now().Add(time.Hour),
	}})
	return id
}

// houseReport has a paragraph for each tier alone.
func houseReport() docket.Report {
	r := docket.Report{Title: "canary title"}
	for i, t := range docket.Tiers {
		m := []proofhouse.Marking{proofhouse.Red, proofhouse.Red, proofhouse.Amber, proofhouse.Clear}[i]
		r.Paragraphs = append(r.Paragraphs, docket.Paragraph{Text: "canary for the " + string(t), Tiers: []docket.Tier{t}, Marking: m})
	}
	return r
}

func houseCriteria() docket.Criteria {
	digest := proofhouse.DigestOf([]byte("suite"))
	return docket.Criteria{
		Suites: []docket.SuiteCommitment{{Name: "open-1", Root: digest, Tasks: 100}}, Variants: []string{"canary-variant"},
		Agents: []docket.Agent{{Name: "baseline", Elicitation: digest}}, Epochs: 1, Threshold: 500_000, Rule: docket.FixedSample,
		Level: 950_000, Analysis: "1", Exclusions: []string{"canary exclusion"},
	}
}

// export is the case's bundle as a file, with the approvals that it takes.
func (s *served) export(t *testing.T, id proofhouse.CaseID) string {
	t.Helper()
	person := func(p string) policy.Principal {
		who, err := s.Directory.Authenticate(t.Context(), s.tokens[p], time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return policy.Principal{Person: who}
	}
	asked, err := s.Directory.Ask(t.Context(), person("ada"), id, policy.Export, "", "to show it to counsel", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "bundle")
	get := func(request string) error {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return s.as("ada").Bundle(t.Context(), id, "", request, f)
	}
	if err := get(asked.ID); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("an export that nobody approved: %v", err)
	}
	for _, p := range []string{"rita", "otto"} {
		if _, err := s.Directory.Approve(t.Context(), person(p), asked.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.as("ada").Bundle(t.Context(), id, "", asked.ID, brokenPipe{}); err == nil {
		t.Error("a download that broke off is whole")
	}
	if err := get(asked.ID); err != nil {
		t.Fatalf("fetching again what broke off: %v", err)
	}
	if err := s.as("ada").Bundle(t.Context(), id, proofhouse.Developer, asked.ID, io.Discard); err == nil {
		t.Error("one approval gave what is for other readers too")
	}
	return name
}

// brokenPipe takes nothing.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestHouse takes a review from the first administrator to a bundle that verifies, on both databases, and
// searches for what is confidential wherever it must not be.
func TestHouse(t *testing.T) {
	storetest.EachAddress(t, func(t *testing.T, database string) {
		data := t.TempDir()
		if strings.HasPrefix(database, "sqlite:") {
			database = "" // in the data folder, to be searched with the rest
		}
		s := serveHouse(t, data, database)
		s.populate(t)
		id := s.review(t)
		s.seal(t, "eve", id, aboutLog, "canary-text")
		receipt, err := s.as("ada").Receipt(t.Context(), id, 3)
		if err != nil {
			t.Fatal(err)
		}
		receiptFile := filepath.Join(t.TempDir(), "receipt")
		if err := os.WriteFile(receiptFile, receipt, 0o600); err != nil {
			t.Fatal(err)
		}
		bundle := s.export(t, id)
		p, err := VerifyBundle(t.Context(), bundle, BundleTrust{
			LogKey: s.LogKey(), Receipts: []string{receiptFile}, Pins: []string{"lab=" + s.keys["ada"].PublicKey().ID()},
		})
		if err != nil {
			t.Fatal(err)
		}
		if d := p.Case.Determinations; len(d) != 1 || !d[0].Follows || d[0].Countersigned.IsZero() || len(p.Case.Wrong) != 0 || !p.Log.Pinned || p.Log.Receipts != 1 {
			t.Errorf("the bundle proves %+v", p)
		}
		if a := p.Case.Adoptions; len(a) != 1 || a[0].By.Organisation != "treasury" || a[0].Use != docket.WillUse {
			t.Errorf("the bundle proves of other departments %+v", a)
		}
		altered(t, bundle)
		s.forged(t, id)
		s.publicLog(t)
		s.canaries(t, data, database, id)
	})
}

// altered changes a byte here and there in a bundle: each is found.
func altered(t *testing.T, bundle string) {
	t.Helper()
	whole, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	name := bundle + "-altered"
	for i := 11; i < len(whole); i += len(whole) / 200 {
		bad := bytes.Clone(whole)
		bad[i] ^= 1
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyBundle(t.Context(), name, BundleTrust{}); err == nil {
			t.Errorf("byte %d was changed, and nobody noticed", i)
		}
	}
}

// forged has the house itself write bundles whose parts contradict each other.
func (s *served) forged(t *testing.T, id proofhouse.CaseID) {
	t.Helper()
	c, err := s.Registry.Store.Case(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	honest, err := json.Marshal([]docket.Metered{})
	if err != nil {
		t.Fatal(err)
	}
	other := c
	other.Determinations = slices.Clone(c.Determinations)
	other.Determinations[0].Outcome = docket.NotCovered
	none, adopted, alone := c, c, c
	none.Determinations = nil
	adopted.Adoptions = slices.Clone(c.Adoptions)
	adopted.Adoptions[0].Scope = "everything"
	alone.Adoptions = nil
	for name, f := range map[string]struct {
		stated docket.Case
		meter  string
		rules  []byte
	}{
		"another meter than is stated":         {c, `[{"grant":"body","tokens":1}]`, c.Rules.Text},
		"another determination than is stated": {other, string(honest), c.Rules.Text},
		"a determination that is not stated":   {none, string(honest), c.Rules.Text},
		"another deployment decision":          {adopted, string(honest), c.Rules.Text},
		"a decision that is not stated":        {alone, string(honest), c.Rules.Text},
		"other rules":                          {c, string(honest), append([]byte("# \n"), c.Rules.Text...)},
	} {
		statements, err := s.statements(t.Context(), f.stated, honest)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := ledger.WriteBundle(t.Context(), &b, s.log, s.key, ledger.BundleSource{
			Stream: string(id), AtLeast: 1, Entries: s.entries(t.Context(), id, c.Version), Signers: []*ledger.PublicKey{s.key.PublicKey()}, Statements: statements,
			Attachments: []ledger.Attachment{{Name: meterAttachment, Media: "application/json", Data: []byte(f.meter)}, {Name: rulesAttachment, Media: "application/toml", Data: f.rules}},
		}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "forged")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyBundle(t.Context(), file, BundleTrust{}); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// publicLog reads the log as anybody may, and tries for what is not the log.
func (s *served) publicLog(t *testing.T) {
	t.Helper()
	for path, want := range map[string]int{
		"checkpoint": 200, "tile/0/000.p/1": 0, ".state/treeState": 404, ".state/held.lock": 404, "tile/../.state/treeState": 404, "": 404, "tile": 404, "tile/": 404, "tile/0": 404,
	} {
		resp, err := http.Get(s.url + "/log/" + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || want != 0 && resp.StatusCode != want {
			t.Errorf("/log/%s is %d: %s", path, resp.StatusCode, b)
		}
		if path == "checkpoint" && !strings.HasPrefix(string(b), "example/log\n") {
			t.Errorf("the checkpoint is %q", b)
		}
	}
}

// canaries searches all files of the house for what the case says: nothing of
// it lies there in the open.
func (s *served) canaries(t *testing.T, data, database string, id proofhouse.CaseID) {
	t.Helper()
	words := [][]byte{[]byte("canary"), []byte("canary-codename"), []byte("canary reason"), []byte("rita@"), []byte("to show it to counsel")}
	for _, token := range s.tokens {
		words = append(words, []byte(token))
	}
	files := 0
	err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, w := range words {
			if i := bytes.Index(b, w); i >= 0 {
				t.Errorf("%s holds %q", path, b[max(0, i-20):min(len(b), i+40)])
			}
		}
		if strings.HasPrefix(path, filepath.Join(data, "log")) && bytes.Contains(b, []byte(id)) {
			t.Errorf("%s names the case", path)
		}
		return nil
	})
	if err != nil || files < 8 {
		t.Errorf("%d files were searched: %v", files, err)
	}
	if database != "" {
		pages(t, database, words)
	}
	for _, url := range []string{s.url + "/v1/cases/" + string(id), s.url + "/v1/cases/case-none", s.url + "/v1/cases", s.url + "/nothing"} {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || bytes.Contains(b, []byte("canary")) || resp.StatusCode < 400 {
			t.Errorf("%s answers an outsider with %d: %s", url, resp.StatusCode, b)
		}
	}
}

// pages searches the pages and the journal of a PostgreSQL server of this
// machine, as they lie on its disk.
func pages(t *testing.T, database string, words [][]byte) {
	t.Helper()
	db := storetest.SQL(t, database)
	var dir string
	if _, err := db.ExecContext(t.Context(), "CHECKPOINT"); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRowContext(t.Context(), "SHOW data_directory").Scan(&dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadDir(dir); err != nil {
		t.Skipf("the server's files cannot be read here: %v", err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) || err == nil && !d.Type().IsRegular() {
			return nil // the server goes on
		}
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		files++
		for _, w := range words {
			if i := bytes.Index(b, w); i >= 0 && string(w) != "canary" { // which other tests keep there
				t.Errorf("the server's %s holds %q", filepath.Base(path), b[max(0, i-20):min(len(b), i+40)])
			}
		}
		return err
	})
	if err != nil || files < 100 {
		t.Errorf("%d files of the server were searched: %v", files, err)
	}
}

// takenUp is a case that the body has taken up, with eve as its evaluator.
func (s *served) takenUp(t *testing.T) proofhouse.CaseID {
	t.Helper()
	c, err := s.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "heron", Variants: []string{"deployed"}}, Profile: "institute"}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, "rita", c.ID, docket.Accept{})
	s.do(t, "rita", c.ID, docket.Join{Member: proofhouse.Actor{Organisation: "institute", Person: "eve", Role: proofhouse.Evaluator}})
	return c.ID
}

// TestRunEndsWithAccess has a developer withdraw, and the house go away, while
// runs go on in a case.
func TestRunEndsWithAccess(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.takenUp(t)
	if _, err := (&Review{Client: s.as("eve"), Case: id}).lent(t.Context(), RunRequest{}); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("a run without a grant: %v", err)
	}
	s.do(t, "ada", id, docket.Lend{Grant: "body", To: "institute"})
	r := &Review{Client: s.as("eve"), Case: id}
	lent, err := r.lent(t.Context(), RunRequest{})
	if err != nil || lent.Subject != docket.Subject(id, "body") || lent.Until.After(time.Now().Add(31*24*time.Hour)) {
		t.Fatalf("lent %+v, %v", lent, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.watch(ctx, cancel) }()
	time.Sleep(3 * accessPause)
	if ctx.Err() != nil {
		t.Fatalf("a run with access ended: %v", context.Cause(ctx))
	}
	s.do(t, "ada", id, docket.Withdraw{})
	<-done
	if proofhouse.KindOf(context.Cause(ctx)) != proofhouse.Refused {
		t.Errorf("after the withdrawal: %v", context.Cause(ctx))
	}
	// Nobody answers: that is no access either.
	gone := &Review{Client: wire.Client{URL: "http://127.0.0.1:1", Token: s.tokens["eve"]}, Case: id, grant: "body"}
	ctx, cancel = context.WithCancelCause(t.Context())
	gone.watch(ctx, cancel)
	if proofhouse.KindOf(context.Cause(ctx)) != proofhouse.Refused {
		t.Errorf("without a house: %v", context.Cause(ctx))
	}
}

// TestNoReceiptNoRun has a house whose public log does not answer: a run that is not
// shown in the log is not entered in the case, and its model is not asked.
func TestNoReceiptNoRun(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id := s.takenUp(t)
	s.do(t, "ada", id, docket.Lend{Grant: "body", To: "institute"})
	house, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	pass, down := httputil.NewSingleHostReverseProxy(house), true
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down && strings.Contains(r.URL.Path, "/receipts/") {
			http.Error(w, "no log", http.StatusServiceUnavailable)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	defer front.Close()
	r := &Review{Client: wire.Client{URL: front.URL, Token: s.tokens["eve"]}, Case: id, Variant: "deployed", Exploratory: true, Say: func(string) {}}
	req := RunRequest{Agent: "baseline", Time: time.Minute, Epochs: 1}
	if _, err := r.lent(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	runs := func() int {
		c, err := s.as("eve").Case(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return len(c.Runs)
	}
	if _, _, err := r.begin(t.Context(), nil, nil, req); err == nil || runs() != 0 {
		t.Fatalf("a run without a receipt: %v, %d runs in the case", err, runs())
	}
	down = false
	_, end, err := r.begin(t.Context(), nil, nil, req)
	if err != nil || runs() != 1 || len(r.receipt) == 0 {
		t.Fatalf("a run with one: %v, %d runs", err, runs())
	}
	end()
}
