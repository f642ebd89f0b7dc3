package app

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// keeping is a case with two sealed files, in which ada and rita may know of them.
func (s *served) keeping(t *testing.T) (proofhouse.CaseID, [2]docket.Artifact) {
	t.Helper()
	id := s.sealable(t)
	about := wire.NewArtifact{Name: "<b>canary-name<b>", Media: "text/plain", Source: hostile}
	sealed := [2]docket.Artifact{s.seal(t, "ada", id, about, "canary-one"), s.seal(t, "ada", id, aboutLog, "canary-two")}
	s.clear(t, string(id), "rita@institute", "ada@lab")
	return id, sealed
}

// TestCustodyPages has people ask for what takes two others, approve, export, hold, destroy and break the glass, in browsers without JavaScript.
func TestCustodyPages(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.populate(t)
	id, sealed := s.keeping(t)
	in := map[string]*browser{}
	for _, who := range []string{"ada", "bob", "rita", "otto", "eve", "al", "pat", "carl", "ann"} {
		in[who] = s.browser(t, who)
	}
	c := custody{s, in, id, "/cases/" + string(id)}
	t.Run("export", func(t *testing.T) { c.exports(t) })
	t.Run("glass", func(t *testing.T) { c.breaks(t) })
	t.Run("holds", func(t *testing.T) { c.held(t, sealed) })
	t.Run("unseal", func(t *testing.T) { c.unseals(t) })
	t.Run("destroy", func(t *testing.T) { c.destroys(t, sealed) })
}

// custodyPictured is the address of a case in which there is something to see of requests, holds and destructions.
func (s *served) custodyPictured(t *testing.T) string {
	t.Helper()
	id, sealed := s.keeping(t)
	s.do(t, "rita", id, docket.PlaceHold{ID: "court", Artifacts: []proofhouse.Digest{sealed[1].ID}, Reason: "a court asks for it"})
	s.do(t, "ada", id, docket.Withdraw{})
	if _, err := s.as("rita").Destroy(t.Context(), id, sealed[0].ID, s.approved(t, "rita", id, policy.Destroy, sealed[0].ID, "otto", "ada"), ""); err != nil {
		t.Fatal(err)
	}
	s.approved(t, "rita", id, policy.Destroy, "", "otto", "ann")
	s.approved(t, "ada", id, policy.Export, "", "rita", "otto")
	s.approved(t, "otto", id, policy.Export, "", "ada")
	return "/cases/" + string(id)
}

// custody is a case in browsers.
type custody struct {
	*served
	in   map[string]*browser
	id   proofhouse.CaseID
	path string
}

// asks sends a form that asks for what, from a page of the case, and gives the request.
func (c custody) asks(t *testing.T, who, from, what string, v url.Values) wire.Request {
	t.Helper()
	form := url.Values{"what": {what}, "reason": {hostile}}
	for k := range v {
		form[k] = v[k]
	}
	b := c.in[who]
	page := b.get(c.path + from)
	if !page.says(`<input type="hidden" name="what" value="` + what + `">`) {
		t.Fatalf("%s is not offered to ask to %s: %s", who, what, page.text)
	}
	if p := b.post(c.path+"/requests", form, nil); p.status != http.StatusOK || !p.says("It waits for the approval of two others", "two approvals are missing") || p.form(c.path+"/requests/approve") != nil && c.waits(t, who) == 0 {
		t.Fatalf("%s asks to %s: %d %s", who, what, p.status, p.text)
	}
	all, err := c.as(who).Requests(t.Context(), c.id)
	if err != nil {
		t.Fatal(err)
	}
	return all.Requests[len(all.Requests)-1]
}

func (c custody) waits(t *testing.T, who string) int {
	t.Helper()
	k, err := c.as(who).Case(t.Context(), c.id)
	if err != nil {
		t.Fatal(err)
	}
	return k.Waiting
}

// approve sends the form of the one request that waits.
func (c custody) approve(t *testing.T, names ...string) {
	t.Helper()
	for _, who := range names {
		b := c.in[who]
		for _, page := range []string{"/", c.path, c.path + "/requests"} {
			if !b.get(page).says("1 request waits for you") {
				t.Errorf("%s is not told at %s of what waits", who, page)
			}
		}
		if p := b.send(b.get(c.path+"/requests"), c.path+"/requests/approve", nil); p.status != http.StatusOK || !p.says("You have approved it", "approved by "+b.who(t)) || p.form(c.path+"/requests/approve") != nil {
			t.Fatalf("%s approves: %d %s", who, p.status, p.text)
		}
		for _, page := range []string{"/", c.path, c.path + "/requests"} {
			if b.get(page).says("waits for you") {
				t.Errorf("%s is told at %s of what it has approved", who, page)
			}
		}
	}
}

// who is who has signed in, as the page's head says.
func (b *browser) who(t *testing.T) string {
	t.Helper()
	for n := range b.get("/").Descendants() {
		if n.Data == "a" && attr(n, "href") == "/settings/sign-in" {
			return n.FirstChild.Data
		}
	}
	t.Fatal("the page does not say who has signed in")
	return ""
}

// exports has the developer ask for a bundle, two others approve, and the file verify by the command that the page gives.
func (c custody) exports(t *testing.T) {
	r := c.asks(t, "ada", "/requests", "export", nil)
	// Not oneself, nor who may not, nor a stranger; nor is any of them told that it waits for them.
	for who, want := range map[string]int{"ada": http.StatusForbidden, "eve": http.StatusNotFound, "al": http.StatusNotFound, "pat": http.StatusNotFound, "carl": http.StatusNotFound} {
		if p := c.in[who].post(c.path+"/requests/approve", url.Values{"request": {r.ID}}, nil); p.status != want && (want != http.StatusNotFound || p.status != http.StatusForbidden) {
			t.Errorf("%s approves: %d, not %d", who, p.status, want)
		}
		if p := c.in[who].get(c.path + "/requests"); p.form(c.path+"/requests/approve") != nil || p.says("waits for you") || c.in[who].get("/").says("waits for you") {
			t.Errorf("%s is asked to approve: %s", who, p.text)
		}
	}
	for who, may := range map[string]string{"ada": "export unseal destroy", "eve": "unseal", "al": "export", "pat": "", "otto": "export unseal"} {
		for _, what := range []string{"export", "destroy"} {
			p := c.in[who].get(c.path + "/requests")
			if offered := p.says(`name="what" value="` + what + `"`); offered != slices.Contains(strings.Fields(may), what) {
				t.Errorf("%s is offered to ask to %s: %v", who, what, offered)
			}
			if p := c.in[who].post(c.path+"/requests", url.Values{"what": {what}, "reason": {""}}, nil); p.status == http.StatusOK {
				t.Errorf("%s asks to %s without a reason: %d", who, what, p.status)
			}
		}
	}
	if p := c.in["carl"].post(c.path+"/requests", url.Values{"what": {"export"}, "reason": {"r"}}, nil); p.status != http.StatusNotFound {
		t.Errorf("a stranger asks: %d", p.status)
	}
	download := url.Values{"request": {r.ID}, "for": {""}}
	if p := c.in["ada"].get(c.path + "/bundle"); p.form(c.path+"/bundle") != nil || !p.says("no approved request") {
		t.Error("a bundle is offered that nobody approved")
	}
	if p := c.in["ada"].post(c.path+"/bundle", download, nil); p.status != http.StatusForbidden || p.header.Get("Content-Disposition") != "" {
		t.Errorf("a bundle that nobody approved: %d %v", p.status, p.header)
	}
	c.approve(t, "rita", "otto")
	if p := c.in["ada"].get(c.path + "/requests"); !p.says("approved: ada@lab can make use of it until") {
		t.Errorf("approved, and it says %s", p.text)
	}
	for _, who := range []string{"rita", "bob", "carl"} {
		if p := c.in[who].post(c.path+"/bundle", download, nil); p.status == http.StatusOK {
			t.Errorf("%s downloads by a request of another's", who)
		}
		if p := c.in[who].get(c.path + "/bundle"); p.form(c.path+"/bundle") != nil {
			t.Errorf("%s is offered it", who)
		}
	}
	page := c.in["ada"].get(c.path + "/bundle")
	got := c.in["ada"].send(page, c.path+"/bundle", url.Values{"for": {""}})
	name := string(c.id) + ".bundle"
	if got.status != http.StatusOK || got.header.Get("Content-Disposition") != `attachment; filename="`+name+`"` || got.header.Get("Content-Type") != "application/octet-stream" {
		t.Fatalf("the bundle: %d %v", got.status, got.header)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(got.text), 0o600); err != nil {
		t.Fatal(err)
	}
	// The command is in the page as it stands, but for what HTML writes otherwise.
	command := ""
	for n := range page.Descendants() {
		if n.Data == "pre" {
			command = n.FirstChild.Data
		}
	}
	words := strings.Fields(command)
	if len(words) != 5 || words[0] != "proofhouse" || words[1] != "verify" || words[2] != name || words[3] != "--log-key" {
		t.Fatalf("the command is %q", command)
	}
	if p, err := VerifyBundle(t.Context(), file, BundleTrust{LogKey: words[4]}); err != nil || p.Case.Case != c.id || !p.Log.Pinned {
		t.Errorf("the bundle does not verify by that: %+v, %v", p, err)
	}
	// The same again, since a download can break off, and for no other readers.
	again := c.in["ada"].get(c.path + "/bundle")
	if p := c.in["ada"].send(again, c.path+"/bundle", nil); p.status != http.StatusOK || p.text == "" {
		t.Errorf("the same again: %d", p.status)
	}
	if p := c.in["ada"].post(c.path+"/bundle", url.Values{"request": {r.ID}, "for": {"developer"}}, nil); p.status != http.StatusConflict {
		t.Errorf("for other readers: %d", p.status)
	}
}

// breaks has a security officer who is no member break the glass, and read the case once.
func (c custody) breaks(t *testing.T) {
	now := time.Now()
	ann := c.principal(t, "ann")
	if err := c.Directory.CreatePerson(t.Context(), ann, policy.Person{Organisation: "institute", ID: "sam", Title: "Sam"}, now); err != nil {
		t.Fatal(err)
	}
	if err := c.Directory.GiveRole(t.Context(), ann, "sam@institute", policy.HouseSecurityOfficer, now); err != nil {
		t.Fatal(err)
	}
	token, _, err := c.Directory.IssueToken(t.Context(), ann, "sam@institute", "test", now.Add(time.Hour), now)
	if err != nil {
		t.Fatal(err)
	}
	c.tokens["sam"] = token
	sam := c.browser(t, "sam")
	if !sam.get("/").says(`href="/glass"`) || c.in["rita"].get("/").says(`href="/glass"`) || c.in["rita"].get("/glass").form("/glass") != nil {
		t.Error("the glass is offered to others than security officers, or not to them")
	}
	if p := sam.send(sam.get("/glass"), "/glass", url.Values{"case": {" "}, "reason": {"r"}}); p.status != http.StatusUnprocessableEntity {
		t.Errorf("the glass of nothing: %d", p.status)
	}
	v := url.Values{"case": {string(c.id)}, "reason": {hostile}}
	once := sam.send(sam.get("/glass"), "/glass", v)
	if !once.says("Everybody in the case reads at once", "cannot be taken back") || c.in["ada"].get(c.path).says("The glass was broken") || sam.get(c.path).status != http.StatusNotFound {
		t.Errorf("broken without being asked once more: %d %s", once.status, once.text)
	}
	v.Set("confirm", "yes")
	for who, want := range map[string]int{"rita": http.StatusForbidden, "carl": http.StatusNotFound, "bob": http.StatusForbidden} { // bob is an officer, and not of the body
		if p := c.in[who].post("/glass", v, nil); p.status != want {
			t.Errorf("%s breaks the glass: %d, not %d", who, p.status, want)
		}
	}
	done := sam.send(once, "/glass", nil)
	if done.status != http.StatusOK || !done.says("The glass is broken", `href="`+c.path+`"`) {
		t.Fatalf("broken: %d %s", done.status, done.text)
	}
	for _, who := range []string{"ada", "eve", "pat"} {
		if !c.in[who].get(c.path).says("The glass was broken", "sam@institute") || !c.in[who].get(c.path+"/requests").says("The glass was broken", "can be read through until") {
			t.Errorf("%s is not told of the glass", who)
		}
	}
	if p := sam.get(c.path + "?after=5"); p.status != http.StatusOK || !p.says("open the case") { // all of it, since it opens once
		t.Errorf("read through the glass: %d %s", p.status, p.text)
	}
	for _, page := range []string{"", "/requests", "/artifacts", "/bundle"} {
		if p := sam.get(c.path + page); p.status != http.StatusNotFound {
			t.Errorf("%s, read twice: %d", page, p.status)
		}
	}
}

// held has the registrar place a hold and lift it.
func (c custody) held(t *testing.T, sealed [2]docket.Artifact) {
	at := c.path + "/artifacts"
	p := c.in["ada"].get(at)
	if !p.says(string(sealed[0].ID), string(sealed[1].ID), "canary-name", "10\u00a0bytes", "ada@lab", "must be kept", "TLP:AMBER+STRICT") {
		t.Errorf("the list: %s", p.text)
	}
	for _, who := range []string{"eve", "pat"} { // who is not cleared, and did not bring it
		if p := c.in[who].get(at); p.status != http.StatusOK || !p.says("Nothing is sealed here that you may know of") || strings.Contains(p.text, "canary-name") || strings.Contains(p.text, sealed[0].ID.Hex()) {
			t.Errorf("%s reads %s", who, p.text)
		}
		if p := c.in[who].get(at + "/" + string(sealed[0].ID) + "/content"); p.status != http.StatusNotFound {
			t.Errorf("%s opens it: %d", who, p.status)
		}
	}
	if p := c.in["al"].get(at + "/" + string(sealed[0].ID) + "/content"); p.status != http.StatusForbidden || strings.Contains(p.text, "canary-one") {
		t.Errorf("an auditor opens it: %d", p.status)
	}
	if p := c.in["ada"].get(at + "/" + string(sealed[0].ID) + "/content"); p.text != "canary-one" || p.header.Get("Content-Disposition") != `attachment; filename="artifact-`+sealed[0].ID.Short()+`"` {
		t.Errorf("a copy: %d %v %q", p.status, p.header, p.text)
	}
	hold := url.Values{"name": {"court"}, "artifact": {string(sealed[0].ID)}, "reason": {hostile}}
	if p := c.in["rita"].send(c.in["rita"].get(at), c.path+"/acts/hold", hold); p.status != http.StatusOK || !strings.HasPrefix(p.path, at+"?") || !p.says("stands in the record", "held by court") {
		t.Fatalf("held: %d %s", p.status, p.text)
	}
	for who, want := range map[string]int{"eve": http.StatusForbidden, "carl": http.StatusNotFound} {
		for _, act := range []string{"hold", "lift"} {
			if p := c.in[who].post(c.path+"/acts/"+act, url.Values{"name": {"court"}, "reason": {"r"}, "confirm": {"yes"}}, nil); p.status != want {
				t.Errorf("%s: %s: %d, not %d", who, act, p.status, want)
			}
		}
		if p := c.in[who].get(at); p.form(c.path+"/acts/hold") != nil || p.form(c.path+"/acts/lift") != nil {
			t.Errorf("%s is offered to hold or lift", who)
		}
	}
	once := c.in["rita"].send(c.in["rita"].get(at), c.path+"/acts/lift", url.Values{"name": {"court"}, "reason": {"it is over"}})
	if !once.says("may be destroyed from now on") || !c.in["rita"].get(at).says("held by court") {
		t.Errorf("lifted without being asked once more: %s", once.text)
	}
	if p := c.in["ada"].post(c.path+"/acts/lift", url.Values{"name": {"court"}, "reason": {"r"}, "confirm": {"yes"}}, nil); p.status != http.StatusForbidden {
		t.Errorf("lifted by another: %d", p.status)
	}
	if p := c.in["rita"].send(once, c.path+"/acts/lift", nil); p.status != http.StatusOK || p.says("held by court") || !p.says("lifted") {
		t.Errorf("lifted: %d %s", p.status, p.text)
	}
}

// unseals has an evaluator ask for what two custodians open, and read by which commands.
func (c custody) unseals(t *testing.T) {
	var keys []string
	for range 2 {
		k, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k.Recipient().String())
	}
	c.do(t, "ada", c.id, docket.MakePart{Name: "two", Custodians: keys})
	compartment := docket.Compartment(c.id, "two")
	a := c.seal(t, "ada", c.id, wire.NewArtifact{Name: "weights", Source: "ours", Compartment: compartment}, "canary-weights")
	c.clear(t, compartment, "eve@institute")
	page := c.in["eve"].get(c.path + "/artifacts")
	if !page.says("opens with two custodians", compartment, "case artifact add "+string(c.id)) || page.says("Save a copy") || page.form(c.path+"/acts/hold") != nil {
		t.Errorf("what two custodians open: %s", page.text)
	}
	if p := c.in["eve"].get(c.path + "/artifacts/" + string(a.ID) + "/content"); p.status != http.StatusForbidden || strings.Contains(p.text, "canary-weights") {
		t.Errorf("opened without them: %d", p.status)
	}
	r := c.asks(t, "eve", "/artifacts", "unseal", url.Values{"on": {string(a.ID)}})
	if c.in["eve"].get(c.path + "/requests").says("artifact layer") {
		t.Error("the commands are there before the approvals")
	}
	c.approve(t, "otto", "ada")
	on := string(c.id) + " " + string(a.ID)
	if p := c.in["eve"].get(c.path + "/requests"); !p.says("unseal weights", "proofhouse case artifact layer "+on+" layer-1 --request "+r.ID, "artifact unwrap layer-2 layer-3 --key-file", "artifact open "+on+" FILE --request "+r.ID+" --layer layer-3") {
		t.Errorf("the commands: %s", p.text)
	}
	if p := c.in["rita"].get(c.path + "/requests"); p.says("artifact layer") || p.says("weights") { // who does not know of it
		t.Errorf("another reads of it: %s", p.text)
	}
}

// destroys has the registrar destroy one of two artifacts, and then the case.
func (c custody) destroys(t *testing.T, sealed [2]docket.Artifact) {
	at, rita := c.path+"/artifacts", c.in["rita"]
	r := c.asks(t, "rita", "/artifacts", "destroy", url.Values{"on": {string(sealed[0].ID)}})
	order := url.Values{"artifact": {string(sealed[0].ID)}, "request": {r.ID}, "confirm": {"yes"}}
	if p := rita.get(at); p.form(c.path+"/destroy") != nil {
		t.Error("a destruction is offered that nobody approved")
	}
	if p := rita.post(c.path+"/destroy", order, nil); p.status != http.StatusForbidden {
		t.Errorf("destroyed what nobody approved: %d", p.status)
	}
	c.approve(t, "otto", "ada")
	// The approval is not spent on what has to be kept.
	if p := rita.post(c.path+"/destroy", order, nil); p.status != http.StatusForbidden || !p.says("until the review is over") || !rita.get(at).says("At this time it must be kept") {
		t.Errorf("destroyed while the review goes on: %d %s", p.status, p.text)
	}
	c.do(t, "ada", c.id, docket.Withdraw{})
	if !rita.get(at).says("At this time it may be destroyed") {
		t.Error("the review is over, and it says that it is not")
	}
	for who, want := range map[string]int{"ada": http.StatusForbidden, "eve": http.StatusNotFound, "carl": http.StatusNotFound} {
		if p := c.in[who].post(c.path+"/destroy", order, nil); p.status != want {
			t.Errorf("destroyed by %s: %d, not %d", who, p.status, want)
		}
		if p := c.in[who].get(at); p.form(c.path+"/destroy") != nil {
			t.Errorf("%s is offered to destroy", who)
		}
	}
	once := rita.send(rita.get(at), c.path+"/destroy", nil)
	if !once.says("does not open any more", "cannot be undone") || c.in["ada"].get(at+"/"+string(sealed[0].ID)+"/content").text != "canary-one" {
		t.Errorf("destroyed without being asked once more: %d %s", once.status, once.text)
	}
	if p := rita.get(c.path + "/certificates/1"); p.status != http.StatusNotFound {
		t.Errorf("a certificate of nothing: %d", p.status)
	}
	done := rita.send(once, c.path+"/destroy", nil)
	if done.status != http.StatusOK || !done.says("It is destroyed", "certificate 1", "destroyed "+time.Now().UTC().Format("2 Jan 2006")) || done.form(c.path+"/destroy") != nil {
		t.Fatalf("destroyed: %d %s", done.status, done.text)
	}
	k, err := c.as("rita").Case(t.Context(), c.id)
	if err != nil || len(k.Destructions) != 1 {
		t.Fatal(k.Destructions, err)
	}
	if p := rita.get(c.path + "/certificates/1"); p.text != string(k.Destructions[0].Statements[0])+"\n" || p.header.Get("Content-Disposition") != `attachment; filename="certificate-1"` {
		t.Errorf("the certificate: %d %v", p.status, p.header)
	}
	for _, number := range []string{"0", "2", "-1", "x"} {
		if p := rita.get(c.path + "/certificates/" + number); p.status != http.StatusNotFound {
			t.Errorf("certificate %s: %d", number, p.status)
		}
	}
	if p := c.in["carl"].get(c.path + "/certificates/1"); p.status != http.StatusNotFound {
		t.Errorf("a stranger reads the certificate: %d", p.status)
	}
	if p := c.in["ada"].get(at + "/" + string(sealed[0].ID) + "/content"); p.status != http.StatusNotFound {
		t.Errorf("destroyed, and read: %d", p.status)
	}

	// The whole case, which has to be named.
	c.asks(t, "rita", "/requests", "destroy", nil)
	c.approve(t, "otto", "ada")
	c.do(t, "otto", c.id, docket.PlaceHold{ID: "late", Reason: "a court asks"})
	if !rita.get(at).says("A legal hold stands against it for now") {
		t.Error("what stands against the end of the case is not said")
	}
	c.do(t, "otto", c.id, docket.LiftHold{ID: "late", Reason: "it is over"})
	once = rita.send(rita.get(at), c.path+"/destroy", nil)
	if !once.says("No bundle can be made") {
		t.Errorf("all of it: %d %s", once.status, once.text)
	}
	wrong := rita.send(once, c.path+"/destroy", url.Values{"name": {"case-other"}})
	if !wrong.says("Nothing was destroyed") || rita.get(c.path).status != http.StatusOK {
		t.Fatalf("another case's id: %d %s", wrong.status, wrong.text)
	}
	gone := rita.send(wrong, c.path+"/destroy", url.Values{"name": {string(c.id)}})
	if gone.status != http.StatusOK || !gone.says("The case is destroyed", "payload") {
		t.Fatalf("all of it: %d %s", gone.status, gone.text)
	}
	for _, page := range []string{"", "/requests", "/artifacts", "/bundle", "/certificates/1"} {
		if p := c.in["ada"].get(c.path + page); p.status != http.StatusNotFound {
			t.Errorf("%s of what was destroyed: %d", page, p.status)
		}
	}
	if !c.in["ada"].get("/").says(string(c.id), "destroyed") {
		t.Error("the docket does not say that it was there")
	}
}
