package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/api"
	"proofhouse/internal/api/wire"
	"proofhouse/internal/app"
	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/store/storetest"
	"proofhouse/internal/vault"
)

var start = time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)

// house is a house that listens, with a token for everybody: its holder's name.
type house struct {
	url   string
	now   time.Time
	asked func(token string) // before it is told whose a token is; nil is nothing
	// told counts how often it was asked what members are told of cases.
	told int
}

// people are who has a token.
var people = map[string]policy.Person{
	"ada":  {Organisation: "lab", ID: "ada", Enrolled: true},
	"rita": {Organisation: "institute", ID: "rita", Enrolled: true, House: []policy.HouseRole{policy.HouseRegistrar}},
	"eve":  {Organisation: "institute", ID: "eve", Enrolled: true},
	"otto": {Organisation: "institute", ID: "otto", Enrolled: true},
	"carl": {Organisation: "cyber-centre", ID: "carl", Enrolled: true},
	"pat":  {Organisation: "bank", ID: "pat", Enrolled: true},
	"root": {Organisation: "institute", ID: "root", Enrolled: true, House: []policy.HouseRole{policy.Administrator}},
	"sam":  {Organisation: "institute", ID: "sam", Enrolled: true, House: []policy.HouseRole{policy.HouseSecurityOfficer}},
	"con":  {Organisation: "institute", ID: "con", Enrolled: true, House: []policy.HouseRole{policy.HouseRegistrar}, ConflictsWith: []proofhouse.OrganisationID{"lab"}},
	"sid":  {Organisation: "other", ID: "sid", Enrolled: true},
}

// addPeople adds them to the register.
func addPeople(tx store.PeopleTx) error {
	there := map[proofhouse.OrganisationID]bool{}
	for _, p := range people {
		if !there[p.Organisation] {
			there[p.Organisation] = true
			if err := tx.AddOrganisation(context.Background(), policy.Organisation{ID: p.Organisation, Title: string(p.Organisation)}); err != nil {
				return err
			}
		}
		if err := tx.AddPerson(context.Background(), p); err != nil {
			return err
		}
	}
	return nil
}

type noRecord struct{}

func (noRecord) Export(context.Context, policy.Principal, proofhouse.CaseID, proofhouse.Role, string, time.Time) (func(context.Context, io.Writer) error, error) {
	return nil, policy.NotFound(policy.Case{})
}

func (noRecord) Receipt(context.Context, docket.Case, int) ([]byte, error) { return nil, nil }

// noGate is a house on whose data folder no gate runs.
type noGate struct{}

func (noGate) Uses(context.Context, proofhouse.CaseID) (wire.Uses, error) {
	return wire.Uses{Uses: []wire.GrantUse{}}, nil
}

func (noGate) Ended(context.Context, docket.Case) {}

func (noGate) Status(context.Context) (wire.Gate, error) { return wire.Gate{}, nil }

func (noGate) Suspend(context.Context, policy.Person, wire.NewSuspension, time.Time) (wire.Suspension, error) {
	return wire.Suspension{}, nil
}

func (noGate) Resume(context.Context, policy.Person, string, string, time.Time) error { return nil }

// noState is a house of which nothing is known.
type noState struct{}

func (noState) House(context.Context) (wire.House, error) { return wire.House{}, nil }

// counted counts what h has a count for.
type counted struct {
	app.Directory
	h *house
}

func (c counted) Told(ctx context.Context, who policy.Principal, of []policy.Case, now time.Time) (map[proofhouse.CaseID]api.Told, error) {
	c.h.told++
	return c.Directory.Told(ctx, who, of, now)
}

func newHouse(t testing.TB, db *store.DB) *house {
	t.Helper()
	dir := t.TempDir()
	guard, err := policy.NewGuard()
	if err != nil {
		t.Fatal(err)
	}
	keys := vault.New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Records(filepath.Join(dir, "case"))
	cases := store.NewDocket(db, keys)
	register := app.Directory{People: store.NewPeople(db, keys), Guard: guard, Cases: cases}
	if err := register.People.Change(t.Context(), addPeople); err != nil {
		t.Fatal(err)
	}
	h := &house{now: start}
	server := httptest.NewServer(api.New(api.House{
		Registry: docket.Registry{Store: cases},
		People:   counted{register, h},
		Guard:    guard,
		Clearing: empty{},
		Who: func(_ context.Context, token string, _ time.Time) (policy.Person, error) {
			if h.asked != nil {
				h.asked(token)
			}
			p, ok := people[token]
			if !ok {
				return p, proofhouse.Errorf(proofhouse.NotFound, nil, "no such token")
			}
			return p, nil
		},
		Gate: noGate{}, State: noState{}, Record: noRecord{}, Now: func() time.Time { return h.now }, Version: "test", Wake: func() {},
	}))
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *house) as(name string) wire.Client { return wire.Client{URL: h.url, Token: name} }

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// opened is a case that the body has taken up, with everybody in it but sid.
func (h *house) opened(t testing.TB) proofhouse.CaseID {
	t.Helper()
	c := must[wire.Case](t)(h.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "heron", Variants: []string{"deployed"}}, Profile: "institute"}, ""))
	h.do(t, "rita", c.ID, docket.Accept{})
	for name, m := range map[string]proofhouse.Actor{
		"rita":  {Organisation: "institute", Person: "eve", Role: proofhouse.Evaluator},
		"rita2": {Organisation: "institute", Person: "otto", Role: proofhouse.Authority},
		"rita3": {Organisation: "cyber-centre", Person: "carl", Role: proofhouse.Consultee},
		"ada":   {Organisation: "bank", Person: "pat", Role: proofhouse.Partner},
	} {
		h.do(t, strings.TrimRight(name, "23"), c.ID, docket.Join{Member: m})
	}
	return c.ID
}

func (h *house) do(t testing.TB, who string, id proofhouse.CaseID, a docket.Act) wire.Done {
	t.Helper()
	return must[wire.Done](t)(h.as(who).Do(t.Context(), id, a, wire.Options{}))
}

// TestReview takes a case through its acts by the client, as its people would.
func TestReview(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, _ string) {
		h := newHouse(t, db)
		id := h.opened(t)
		keys := map[string]*ledger.Key{}
		dir := t.TempDir()
		for _, name := range []string{"ada", "otto", "carl"} {
			keys[name] = must[*ledger.Key](t)(ledger.CreateKey(dir, name))
			h.do(t, name, id, docket.NameKey{Key: string(must[[]byte](t)(keys[name].PublicKey().PEM()))})
		}
		signed := func(who string, a docket.Act) wire.Done {
			t.Helper()
			var read string
			done := must[wire.Done](t)(h.as(who).Do(t.Context(), id, a, wire.Options{Sign: keys[who], Read: func(s string) error { read = s; return nil }}))
			if !strings.Contains(read, string(id)) {
				t.Errorf("%s signed %q", who, read)
			}
			return done
		}
		h.do(t, "ada", id, docket.Ask{})
		h.do(t, "rita", id, docket.Register{Criteria: criteria(), Salt: docket.Salt{1}})
		signed("ada", docket.Countersign{Version: 1})
		h.do(t, "ada", id, docket.Lend{Grant: "body", To: "institute"})
		h.do(t, "eve", id, docket.StartRun{Run: "run-1", Registration: 1, Manifest: criteria().As(docket.Cell{Variant: "deployed", Agent: "react"})})
		h.do(t, "eve", id, docket.FinishRun{Run: "run-1", Evidence: proofhouse.DigestOf(nil), Tally: docket.Tally{Solved: 80, Samples: 100}})
		h.do(t, "rita", id, docket.Consult{Organisation: "cyber-centre"})
		signed("carl", docket.Answer{View: docket.Dissents, Reason: "canary: the tasks are public"})
		done := signed("otto", docket.Determine{Outcome: docket.Covered, Registration: 1})
		if d := done.Case.Determinations; len(d) != 1 || !d[0].Follows() || done.Case.State.Engagement != docket.Determined {
			t.Errorf("the case came to %+v", done.Case)
		}
		// Another's key is no signature.
		if _, err := h.as("otto").Do(t.Context(), id, docket.MoveWindow{End: start.Add(time.Hour)}, wire.Options{Sign: keys["ada"]}); proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("the authority moves the window: %v", err)
		}
		if _, err := h.as("ada").Do(t.Context(), id, docket.MoveWindow{End: start.Add(240 * time.Hour)}, wire.Options{Sign: keys["otto"]}); proofhouse.KindOf(err) != proofhouse.Integrity && proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("a signature by another's key: %v", err)
		}
		h.seen(t, id)
		h.do(t, "ada", id, docket.Withdraw{})
		if c := must[wire.Case](t)(h.as("ada").Case(t.Context(), id)); c.Withdrawn.IsZero() || len(c.State.Live) != 0 {
			t.Errorf("after the withdrawal the case is %+v", c)
		}
	})
}

// seen looks at what each may see of the finished case.
func (h *house) seen(t *testing.T, id proofhouse.CaseID) {
	t.Helper()
	manifest := []byte(proofhouse.DigestOf([]byte("suite"))) // which a run says before it begins
	for who, w := range map[string]struct{ criteria, answers, members bool }{
		"ada": {false, false, true}, "rita": {true, true, true}, "eve": {true, false, true}, "otto": {true, true, true}, "carl": {true, true, true},
	} {
		c := must[wire.Case](t)(h.as(who).Case(t.Context(), id))
		if got := c.Registrations[0].Criteria.Threshold != 0; got != w.criteria {
			t.Errorf("%s sees the criteria: %v", who, got)
		}
		if got := c.Consultations[0].Reason != ""; got != w.answers {
			t.Errorf("%s sees the answers: %v", who, got)
		}
		events := must[[]wire.Event](t)(h.as(who).Events(t.Context(), id, 0))
		all, err := json.Marshal(events)
		if err != nil || len(events) != c.Version {
			t.Fatal(err, len(events))
		}
		if got := bytes.Contains(all, []byte("canary")); got != w.answers {
			t.Errorf("%s reads the answers among the events: %v", who, got)
		}
		for _, word := range [][]byte{manifest, []byte(`"exclusions"`), []byte(`"budget"`)} {
			if got := bytes.Contains(all, word); got != w.criteria {
				t.Errorf("%s reads %s of the criteria among the events: %v", who, word, got)
			}
		}
		if got := bytes.Contains(all, []byte("threshold_millionths")); got != (who == "rita") {
			t.Errorf("%s reads the criteria among the events: %v", who, got)
		}
	}
	pat := must[wire.Case](t)(h.as("pat").Case(t.Context(), id))
	if len(pat.Registrations)+len(pat.Runs)+len(pat.Consultations)+len(pat.Determinations) != 0 || len(pat.Members) != 2 {
		t.Errorf("the partner sees %+v", pat.Case)
	}
	if _, err := h.as("pat").Events(t.Context(), id, 0); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("the partner reads the record: %v", err)
	}
}

func criteria() docket.Criteria {
	digest := proofhouse.DigestOf([]byte("suite"))
	return docket.Criteria{
		Suites: []docket.SuiteCommitment{{Name: "open-1", Root: digest, Tasks: 100}}, Variants: []string{"deployed"},
		Agents: []docket.Agent{{Name: "react", Elicitation: digest}}, Epochs: 1, Threshold: 500_000, Rule: docket.FixedSample,
		Level: 950_000, Analysis: "1", Exclusions: []string{},
	}
}

// TestEveryEndpoint tries each endpoint of the document: with no token, with one
// that is nobody's, as a stranger on a case that is there, and on one that is not.
// A stranger cannot tell the last two apart.
func TestEveryEndpoint(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	id := h.opened(t)
	public := map[string]bool{"/v1/setup": true, "/v1/health": true, "/v1/profiles": true, "/v1/reports/{case}": true, "/v1/maintainer/packet": true, "/v1/maintainer/file": true, "/v1/maintainer/reply": true, "/v1/maintainer/stop": true}
	tried := 0
	for path, methods := range h.document(t) {
		for method, op := range methods {
			if public[path] {
				continue
			}
			tried++
			body := op.example()
			for _, token := range []string{"", "nobody"} {
				if status, answer := h.raw(t, method, path, token, string(id), body); status != http.StatusUnauthorized {
					t.Errorf("%s %s with the token %q: %d %s", method, path, token, status, answer)
				}
			}
			if !strings.Contains(path, "{case}") {
				continue
			}
			status, there := h.raw(t, method, path, "sid", string(id), body)
			absent, gone := h.raw(t, method, path, "sid", "case-none", body)
			if status != http.StatusNotFound || absent != http.StatusNotFound || there != gone {
				t.Errorf("%s %s by a stranger: %d %s, and of no case %d %s", method, path, status, there, absent, gone)
			}
		}
	}
	if tried < 35 {
		t.Errorf("only %d endpoints were tried", tried)
	}
}

// TestWrongRoles has each act tried by everybody: whoever the table of moves does not name is refused.
func TestWrongRoles(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	id := h.opened(t)
	roles := map[string]proofhouse.Role{
		"ada": proofhouse.Developer, "rita": proofhouse.Registrar, "eve": proofhouse.Evaluator, "otto": proofhouse.Authority,
		"carl": proofhouse.Consultee, "pat": proofhouse.Partner,
	}
	for path, methods := range h.document(t) {
		name, ok := strings.CutPrefix(path, "/v1/cases/{case}/acts/")
		if !ok {
			continue
		}
		for who, role := range roles {
			named := false
			for _, k := range docket.Kinds {
				if k.Name() == name {
					for _, r := range k.Move().By {
						named = named || r == role
					}
				}
			}
			if named {
				continue
			}
			if status, answer := h.raw(t, "post", path, who, string(id), methods["post"].example()); status != http.StatusForbidden {
				t.Errorf("%s by a %s: %d %s", name, role, status, answer)
			}
		}
	}
}

// document is the API's own description of itself.
func (h *house) document(t *testing.T) map[string]map[string]endpoint {
	t.Helper()
	resp, err := http.Get(h.url + "/v1/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		OpenAPI    string                         `json:"openapi"`
		Paths      map[string]map[string]endpoint `json:"paths"`
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("the document is of OpenAPI %s", doc.OpenAPI)
	}
	for _, methods := range doc.Paths {
		for m, e := range methods {
			e.all = doc.Components.Schemas
			methods[m] = e
		}
	}
	return doc.Paths
}

// endpoint is an operation of the document, as far as a test needs it.
type endpoint struct {
	RequestBody struct {
		Content map[string]struct {
			Schema schema `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
	all map[string]schema
}

type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"`
	Format     string            `json:"format"`
	Enum       []any             `json:"enum"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
}

// example is a body of the right shape that says nothing.
func (e endpoint) example() string {
	c, ok := e.RequestBody.Content["application/json"]
	if !ok {
		return ""
	}
	b, err := json.Marshal(e.value(c.Schema))
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (e endpoint) value(s schema) any {
	if s.Ref != "" {
		return e.value(e.all[s.Ref[strings.LastIndex(s.Ref, "/")+1:]])
	}
	kind := fmt.Sprint(s.Type)
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case strings.Contains(kind, "array"):
		return []any{}
	case strings.Contains(kind, "integer"):
		return 1
	case strings.Contains(kind, "boolean"):
		return false
	case s.Format == "date-time":
		return start
	case strings.Contains(kind, "string"):
		if s.Format == "" {
			return strings.Repeat("0", 64)
		}
		return ""
	}
	v := map[string]any{}
	for _, name := range s.Required {
		v[name] = e.value(s.Properties[name])
	}
	return v
}

func (h *house) raw(t *testing.T, method, path, token, id, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, strings.ToUpper(method), h.url+strings.NewReplacer("{case}", id, "{seq}", "1").Replace(path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestRepeat sends a request twice, and an act on a case that has gone on.
func TestRepeat(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	open := wire.Open{OpenCase: docket.OpenCase{Codename: "heron", Variants: []string{"deployed"}}, Profile: "institute"}
	first := must[wire.Case](t)(h.as("ada").Open(t.Context(), open, "k1"))
	if again := must[wire.Case](t)(h.as("ada").Open(t.Context(), open, "k1")); again.ID != first.ID {
		t.Error("one request opened two cases")
	}
	// Whoever left the case since reads nothing of it by repeating the request.
	left := must[wire.Case](t)(h.as("ada").Open(t.Context(), open, "k3"))
	h.do(t, "ada", left.ID, docket.Join{Member: proofhouse.Actor{Organisation: "lab", Person: "bob", Role: proofhouse.Developer}})
	h.do(t, "ada", left.ID, docket.Leave{Member: proofhouse.Actor{Organisation: "lab", Person: "ada", Role: proofhouse.Developer}})
	if _, err := h.as("ada").Open(t.Context(), open, "k3"); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a request repeated by somebody who left: %v", err)
	}
	open.Codename = "ibis"
	if _, err := h.as("ada").Open(t.Context(), open, "k1"); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("another request under the same key: %v", err)
	}
	announce := docket.Announce{Date: start}
	one := must[wire.Done](t)(h.as("ada").Do(t.Context(), first.ID, announce, wire.Options{Key: "k2", At: 1}))
	two := must[wire.Done](t)(h.as("ada").Do(t.Context(), first.ID, announce, wire.Options{Key: "k2", At: 1}))
	if one.Seq != two.Seq || len(two.Case.Releases) != 1 {
		t.Errorf("done twice: %d, %d", one.Seq, two.Seq)
	}
	if _, err := h.as("ada").Do(t.Context(), first.ID, docket.Ask{}, wire.Options{At: 1}); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("an act on an older version: %v", err)
	}
}

// TestList pages through cases.
func TestList(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	must[wire.Case](t)(h.as("sid").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "crow", Variants: []string{"a"}}, Profile: "institute"}, ""))
	for i := range 7 {
		h.now = start.Add(time.Duration(i+1) * time.Minute)
		must[wire.Case](t)(h.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: fmt.Sprintf("bird-%d", i), Variants: []string{"a"}}, Profile: "institute"}, ""))
	}
	var names []string
	q := wire.Query{Limit: 3}
	for {
		l := must[wire.List](t)(h.as("rita").List(t.Context(), q))
		if len(l.Cases) > 3 {
			t.Errorf("a page of 3 has %d", len(l.Cases))
		}
		for _, c := range l.Cases {
			names = append(names, c.Codename)
		}
		if q.After = l.Next; l.Next == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "bird-6 bird-5 bird-4 bird-3 bird-2 bird-1 bird-0 crow" {
		t.Error(got)
	}
	if l := must[wire.List](t)(h.as("rita").List(t.Context(), wire.Query{Find: "bird-3"})); len(l.Cases) != 1 {
		t.Errorf("found %+v", l)
	}
	if l := must[wire.List](t)(h.as("pat").List(t.Context(), wire.Query{})); len(l.Cases) != 0 || l.Next != "" {
		t.Errorf("a stranger finds %+v", l)
	}
	if l := must[wire.List](t)(h.as("eve").List(t.Context(), wire.Query{})); len(l.Cases) != 0 || l.Next != "" {
		t.Errorf("an evaluator finds what nobody has taken up: %+v", l)
	}
	if _, err := h.as("rita").List(t.Context(), wire.Query{After: "nowhere"}); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("a place that no page gave: %v", err)
	}
	if l := must[wire.List](t)(h.as("con").List(t.Context(), wire.Query{Limit: 1})); len(l.Cases) != 1 || l.Cases[0].Codename != "crow" || l.Next != "" {
		t.Errorf("a registrar with a conflict of interest finds %+v", l)
	}
	// What is found lies behind pages of what does not fit.
	if l := must[wire.List](t)(h.as("rita").List(t.Context(), wire.Query{Find: "bird-0", Limit: 1})); len(l.Cases) != 1 || l.Next != "" {
		t.Errorf("found %+v", l)
	}
}
