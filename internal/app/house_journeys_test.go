package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/clearing"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// TestJourneys goes with people through the house in Chromium, from page to page by clicks and keys alone, and takes pictures on the way. It runs where
// TestBrowser does.
func TestJourneys(t *testing.T) {
	dir := os.Getenv("PROOFHOUSE_PICTURES")
	if dir == "" {
		t.Skip("PROOFHOUSE_PICTURES says where pictures of pages go: .ci/browser sets it")
	}
	s := serveHouseAs(t, t.TempDir(), HouseConfig{Origin: "example/log", URL: visited})
	tab := chromium(t, chromedp.Flag("host-resolver-rules", "MAP "+strings.TrimPrefix(visited, "http://")+" "+strings.TrimPrefix(s.url, "http://")))
	j := &journeys{s, t, tab, dir, map[string]*person{}}
	for _, one := range []struct {
		who string
		is  func(*testing.T)
	}{
		{"citizen", j.citizen},
		{"administrator", j.administrator}, // who brings the others in
		{"developer", func(t *testing.T) { j.developer(t, "ada", "heron") }},
		{"developer without JavaScript", j.withoutScript},
		{"registrar, consultee and authority", j.reviewers},
		{"evaluator", j.evaluator},
		{"partner, coordinator and auditor", j.partner},
		{"authority with a passkey", j.signer},
	} {
		if !t.Run(one.who, one.is) {
			t.Fatal("the next ones go on from there")
		}
	}
}

// citizen reads of the public log, and is let in nowhere else.
func (j *journeys) citizen(t *testing.T) {
	citizen := j.person(t, "")
	citizen.goes("/")
	citizen.reads("Sign in")
	citizen.follows("The public log, and how to verify")
	citizen.reads("The public log", "proofhouse verify CASE.bundle --log-key "+j.LogKey())
	citizen.misses("Docket", "Settings")
	j.isPictured(citizen, "citizen")
	j.closed(t, "", "/cases/new", "/findings", "/access", "/projects", "/settings", "/settings/sign-in")
}

// administrator claims the house, adds a passkey and comes in with it. Others' passkeys do not open it.
func (j *journeys) administrator(t *testing.T) {
	code, err := j.Directory.FirstCode(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ann := j.arrives(t, "ann")
	j.people["ann"] = ann
	ann.goes("/sign-in")
	ann.follows("Become the first administrator")
	for _, try := range []string{"nobody-was-given-this", code} {
		ann.types("Code", try)
		ann.types("Organisation: its id", "institute")
		ann.types("Organisation: what people call it", "The Institute")
		ann.types("You: your id", "ann")
		ann.types("You: what people call you", "Ann")
		ann.presses("Become the first administrator")
		if try != code {
			ann.misses("You are the first administrator", "@institute")
		}
	}
	ann.reads("You are the first administrator", "ann@institute")
	var token string
	doing(t, ann.ctx, "the token", chromedp.Text("main pre", &token, chromedp.ByQuery))
	j.tokens["ann"] = strings.TrimSpace(token)

	own := ann.device()
	ann.follows("Add a passkey")
	ann.types("What you call it", "laptop")
	ann.presses("Add a passkey")
	ann.reads("passkey", "laptop")
	ann.misses("None yet")
	j.isPictured(ann, "administrator-passkey")
	ann.presses("Sign out")
	ann.isTold("API token", "/settings/sign-in")
	var keys []*webauthn.Credential
	doing(t, ann.ctx, "what the device has", chromedp.ActionFunc(func(ctx context.Context) (err error) {
		keys, err = webauthn.GetCredentials(own).Do(ctx)
		return err
	}))
	if len(keys) != 1 || keys[0].RpID != "localhost" {
		t.Fatalf("the device has %v", keys)
	}

	// Another device, which says that it is hers.
	ann.puts(own)
	wrong := ann.device()
	ann.has(wrong, forgedKey(t, keys[0]))
	ann.goes("/sign-in")
	ann.presses("Sign in with a passkey")
	ann.misses("@institute")
	if p := ann.where(); p != "/sign-in/passkey" {
		t.Errorf("a wrong passkey leads to %s", p)
	}
	j.isPictured(ann, "administrator-wrong-passkey")
	ann.puts(wrong)

	again := ann.device()
	ann.has(again, keys[0])
	ann.goes("/settings")
	ann.presses("Sign in with a passkey")
	ann.reads("ann@institute", "Make an organisation")
	if p := ann.where(); p != "/settings" {
		t.Errorf("the passkey leads to %s", p)
	}
	j.settle(t)
	j.offices(t)
	ann.follows("Settings")
	ann.follows("The Institute")
	ann.reads("rita@institute", "registrar")
	j.closed(t, "pat", "/settings/organisations/institute")
}

// developer opens a case and withdraws it, after a second thought.
func (j *journeys) developer(t *testing.T, who, codename string) {
	ada := j.person(t, who)
	ada.goes("/")
	ada.follows("Open a case")
	ada.types("Codename", codename)
	ada.types("Variants that you offer", "deployed, reduced")
	ada.ticks("Pre-deployment evaluation by an AI security institute")
	ada.presses("Open the case")
	ada.reads(codename, "you are developer", "It waits for a registrar of institute to take it up")
	at := ada.where()
	j.isPictured(ada, "developer-"+codename)
	ada.presses("Withdraw")
	ada.reads("All access of the body and its testers ends at once", "It cannot be taken back")
	j.isPictured(ada, "developer-"+codename+"-withdraws")
	ada.follows("No, back to the case")
	ada.misses("withdrawn")
	ada.presses("Withdraw")
	ada.presses("Yes, withdraw")
	ada.reads("The review has ended. No access of the body is left.", "The developer has withdrawn")
	ada.follows("Docket")
	ada.reads(codename, "withdrawn")
	j.closed(t, "pat carl", at)
}

// withoutScript does what a developer does in a browser that runs no script.
func (j *journeys) withoutScript(t *testing.T) {
	bob := j.arrives(t, "bob")
	j.people["bob"] = bob
	doing(t, bob.ctx, "no script", emulation.SetScriptExecutionDisabled(true))
	bob.goes("/sign-in")
	bob.reads("A passkey takes a script, and this browser runs none")
	bob.signsIn(j.tokens["bob"])
	j.developer(t, "bob", "plover")
}

// reviewers take a case up, ask a consultee and sign, with keys that no browser sees.
func (j *journeys) reviewers(t *testing.T) {
	id := j.review(t) // another case: it makes the keys
	ada, rita, carl, otto := j.person(t, "ada"), j.person(t, "rita"), j.person(t, "carl"), j.person(t, "otto")
	ada.goes("/cases/new")
	ada.types("Codename", "swift")
	ada.types("Variants that you offer", "canary-variant")
	ada.ticks("Pre-deployment evaluation by an AI security institute")
	ada.presses("Open the case")
	at := ada.where()

	rita.goes("/")
	rita.reads("waits to be taken up")
	rita.follows("swift")
	rita.opens("Take up the case")
	rita.presses("Take up the case")
	rita.reads("stands in the record as event 2")
	for who, role := range map[string]string{"otto@institute": "authority", "carl@cyber-centre": "consultee", "eve@institute": "evaluator"} {
		rita.opens("Bring somebody in")
		rita.types("PERSON@ORGANISATION", who)
		rita.types("Role", role)
		rita.presses("Bring somebody in")
		rita.reads(strings.Split(who, "@")[0] + "@")
	}
	j.isPictured(rita, "registrar")
	j.measured(t, proofhouse.CaseID(strings.TrimPrefix(at, "/cases/")))
	rita.goes(at)
	rita.opens("Consult")
	rita.types("Organisation", "cyber-centre")
	rita.presses("Consult")
	rita.reads("It waits for the answer of cyber-centre")

	carl.goes("/")
	carl.follows("swift")
	carl.misses("Draft the determination", "Take somebody out")
	carl.opens("Answer the consultation")
	carl.types("Your organisation", "dissents")
	carl.types("Because", "the window was short")
	carl.presses("Answer the consultation")
	j.signs(carl, "answer a consultation")
	carl.reads("dissents", "the window was short")

	otto.goes("/")
	otto.follows("swift")
	otto.reads("the window was short")
	otto.opens("Draft the determination")
	otto.reads("the registered rule says not covered")
	otto.types("Outcome", "not covered")
	otto.presses("Draft the determination")
	otto.reads("Nothing is done yet", "proofhouse case sign to-sign")
	j.isPictured(otto, "authority-draft")
	otto.pastes("3. Paste what it prints", "c29tZWJvZHkgZWxzZSdz")
	otto.presses("Sign: sign a determination")
	otto.reads("Nothing was changed")
	otto.goes(at)
	otto.misses("Determination 1, signed")
	otto.opens("Draft the determination")
	otto.types("Outcome", "not covered")
	otto.presses("Draft the determination")
	j.signs(otto, "sign a determination")
	otto.reads("not covered", "Determination 1, signed", "1 of the consulted dissented", "receipt 1")
	j.isPictured(otto, "authority-determined")
	ada.goes(at)
	ada.reads("The determination is signed. The developer can ask for reconsideration.")
	ada.misses("Draft the determination")
	if receipt := ada.saved("a", "receipt 1"); !strings.Contains(string(receipt), "example/log") {
		t.Errorf("a receipt: %q", receipt)
	}
	j.closed(t, "pat al", at, at+"/receipts/1", "/cases/"+string(id))
}

// measured takes a case to where it waits for a determination.
func (j *journeys) measured(t *testing.T, id proofhouse.CaseID) {
	t.Helper()
	j.do(t, "ada", id, docket.Offer{Terms: docket.Terms{Marking: proofhouse.Amber, Retention: 90, Share: []proofhouse.Role{}}})
	j.do(t, "rita", id, docket.Agree{Version: 1})
	j.do(t, "ada", id, docket.Ask{})
	for _, who := range []string{"ada", "otto", "carl"} {
		pem, err := j.keys[who].PublicKey().PEM()
		if err != nil {
			t.Fatal(err)
		}
		j.do(t, who, id, docket.NameKey{Key: string(pem)})
	}
	j.do(t, "rita", id, docket.Register{Criteria: houseCriteria(), Salt: docket.Salt{1}})
	j.do(t, "ada", id, docket.Countersign{Version: 1})
	j.do(t, "ada", id, docket.Lend{Grant: "body", To: "institute"})
	j.do(t, "eve", id, docket.StartRun{Run: "run-swift", Registration: 1, Manifest: houseCriteria().As(docket.Cell{Variant: "canary-variant", Agent: "baseline"})})
	j.do(t, "eve", id, docket.FinishRun{Run: "run-swift", Evidence: proofhouse.DigestOf(nil), Tally: docket.Tally{Solved: 10, Samples: 100}})
}

// signs saves the text of a draft, signs it outside as `proofhouse case sign` does, and pastes the signature.
func (j *journeys) signs(p *person, what string) {
	p.t.Helper()
	text := p.saved("button", "1. Save the text as a file")
	signature, err := docket.SignText(text, j.keys[p.who])
	if err != nil {
		p.t.Fatal(err)
	}
	p.pastes("3. Paste what it prints", base64.StdEncoding.EncodeToString(signature.Bytes))
	p.presses("Sign: " + what)
	p.reads("It is done, and stands in the record as event")
}

// signer is the authority of a case with a passkey: it names it, reads the determination in words and signs it with a device. Other devices do not, and
// offline the bundle says whose passkey it was.
func (j *journeys) signer(t *testing.T) {
	id, other := j.toDetermine(t, "kestrel"), j.toDetermine(t, "merlin")
	pem, err := j.keys["carl"].PublicKey().PEM()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []proofhouse.CaseID{id, other} {
		j.do(t, "carl", c, docket.NameKey{Key: string(pem)})
		j.do(t, "carl", c, docket.Answer{View: docket.Agrees, Reason: "as measured"})
	}
	otto, at := j.person(t, "otto"), "/cases/"+string(id)
	own := otto.device()
	otto.goes("/settings/sign-in")
	otto.types("What you call it", "key on the ring")
	otto.presses("Add a passkey")
	otto.reads("key on the ring")
	var keys []*webauthn.Credential
	doing(t, otto.ctx, "what the device has", chromedp.ActionFunc(func(ctx context.Context) (err error) {
		keys, err = webauthn.GetCredentials(own).Do(ctx)
		return err
	}))
	if len(keys) != 1 {
		t.Fatalf("the device has %v", keys)
	}

	drafts := func() {
		t.Helper()
		otto.goes(at)
		otto.misses("Determination 1, signed")
		otto.opens("Draft the determination")
		otto.types("Outcome", "not covered")
		otto.presses("Draft the determination")
		otto.reads("Nothing is done yet")
	}
	looks := func(name string) {
		t.Helper()
		for _, screen := range screens {
			look(t, otto.ctx, filepath.Join(j.pictures, "page-"+name+"-"+screen.name+".png"), screen.width, screen.height, screen.scheme)
		}
		doing(t, otto.ctx, "as before", chromedp.EmulateViewport(1400, 900), emulation.SetEmulatedMedia())
	}
	drafts()
	looks("draft")
	otto.reads("You have named no key in this case yet")
	otto.misses("Sign with your passkey")
	otto.goes(at)
	otto.opens("Sign with a passkey of yours")
	otto.reads("Everybody in the case reads which passkey it is")
	otto.types("Passkey", "key on the ring")
	looks("case-passkey")
	otto.opens("Sign with a passkey of yours")
	j.isPictured(otto, "authority-names-passkey")
	otto.presses("Sign with a passkey of yours")
	otto.reads("stands in the record as event", "Who signs with what")

	// One that knows nobody, and another key under the name of this one.
	drafts()
	otto.reads("As otto@institute, authority", "not covered, which this follows", "It shows no text itself")
	looks("draft-passkey")
	j.isPictured(otto, "authority-passkey-draft")
	otto.puts(own)
	var dull webauthn.AuthenticatorID
	doing(t, otto.ctx, "a device that verifies nobody", chromedp.ActionFunc(func(ctx context.Context) (err error) {
		dull, err = webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: false, AutomaticPresenceSimulation: true,
		}).Do(ctx)
		return err
	}))
	otto.has(dull, keys[0])
	otto.clicks("button", "Sign with your passkey: sign a determination")
	otto.reads("The device gave no passkey")
	otto.puts(dull)
	wrong := otto.device()
	otto.has(wrong, forgedKey(t, keys[0]))
	otto.presses("Sign with your passkey: sign a determination")
	otto.reads("Nothing was changed", "not by the passkey that you named")
	j.isPictured(otto, "authority-wrong-passkey")
	otto.puts(wrong)

	right := otto.device()
	otto.has(right, keys[0])
	drafts()
	otto.presses("Sign with your passkey: sign a determination")
	otto.reads("not covered", "Determination 1, signed", "receipt 1")
	j.isPictured(otto, "authority-passkey-signed")

	c, err := j.as("otto").Case(t.Context(), id)
	if err != nil || len(c.Determinations) != 1 {
		t.Fatal(c.Determinations, err)
	}
	key, _ := c.SigningKey(c.Determinations[0].By)
	keyID, err := key.ID()
	if err != nil {
		t.Fatal(err)
	}
	otto.reads(keyID)
	p, err := VerifyBundle(t.Context(), j.export(t, id), BundleTrust{LogKey: j.LogKey(), Pins: []string{"institute=" + keyID}})
	if err != nil || len(p.Case.Wrong) != 0 || len(p.Case.Determinations) != 1 {
		t.Fatalf("the bundle: %+v, %v", p.Case, err)
	}
	last := p.Case.Signers[len(p.Case.Signers)-1]
	if last.By != c.Determinations[0].By || last.Signed != 1 || !last.Pinned || last.Passkey != (docket.RelyingParty{ID: "localhost", Origin: visited}) {
		t.Errorf("who signed: %+v", p.Case.Signers)
	}
	// The same signature in another case of the same authority, by a house that lies.
	j.do(t, "otto", other, docket.NameKey{Key: key.Key, Passkey: key.Passkey})
	forged := j.forges(t, other, docket.Event{By: c.Determinations[0].By, Act: docket.Determine{Outcome: docket.NotCovered, Registration: 1, Signed: c.Determinations[0].Signed}})
	if p, err := VerifyBundle(t.Context(), forged, BundleTrust{LogKey: j.LogKey()}); proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(err.Error(), "passkey") {
		t.Errorf("a forged determination verifies: %+v, %v", p.Case, err)
	}
}

// evaluator looks at a run that goes on, without ever asking for its page again, and stops it in another tab.
func (j *journeys) evaluator(t *testing.T) {
	list, err := j.as("ada").List(t.Context(), wire.Query{Find: "canary-codename"})
	if err != nil || len(list.Cases) != 1 {
		t.Fatal(list, err)
	}
	id := list.Cases[0].ID
	r := j.runs(t, id, "fuzzer", 5)
	<-r.begun
	<-r.begun
	eve, second := j.person(t, "eve"), j.arrives(t, "eve")
	second.signsIn(j.tokens["eve"])
	for _, tab := range []*person{eve, second} {
		tab.goes("/")
		tab.follows("canary-codename")
		tab.follows("run-1")
		tab.reads("0 of 5 samples scored", "2 under way, 3 to come", "Steer it")
	}
	stays := func() {
		t.Helper()
		var same bool
		if doing(t, eve.ctx, "is it the same page", chromedp.Evaluate("!!window.same", &same)); !same {
			t.Error("the page was loaded again")
		}
	}
	doing(t, eve.ctx, "marking the page", chromedp.Evaluate("window.same = true", nil))
	j.isPictured(eve, "evaluator-begins")
	r.submit <- "BREAK it"
	r.submit <- ""
	<-r.begun
	eve.reads("1 of 5 samples scored", "2 under way, 2 to come")
	r.submit <- ""
	<-r.begun
	eve.reads("2 of 5 samples scored", "2 under way, 1 to come")
	stays()
	j.isPictured(eve, "evaluator-live")

	second.presses("Pause")
	second.reads("The run is paused", "Let it go on")
	eve.reads("paused: no sample begins", "Let it go on", "eve@institute asked it to pause")
	eve.misses("No further sample begins. Those under way")
	stays()
	second.presses("Let it go on")
	eve.reads("No further sample begins. Those under way")
	eve.misses("Let it go on")
	stays()

	second.ticks("End all samples now.")
	second.presses("Stop")
	second.reads("The run stops.", "stopped")
	if got := <-r.result; got.Status != "cancelled" || got.Summary.Scored != 2 {
		t.Errorf("stopped: %s, %+v", got.Status, got.Summary)
	}
	eve.reads("2 of 5 samples scored", "2 cancelled", "stopped")
	eve.until("a run that is over is not steered", func() bool {
		text, err := eve.text()
		return err == nil && !strings.Contains(text, "steer it")
	})
	stays()
	j.isPictured(eve, "evaluator-stopped")
	at := eve.where()
	rita := j.person(t, "rita")
	rita.goes(at)
	rita.reads("2 of 5 samples scored")
	j.closed(t, "ada carl pat trudy", at)
	ada := j.person(t, "ada")
	ada.goes("/cases/" + string(id))
	ada.reads("run-1")
	var links int
	if doing(t, ada.ctx, "links to runs", chromedp.Evaluate(`document.querySelectorAll("a[href*='/runs/']").length`, &links)); links != 0 {
		t.Error("the developer is led to a run that is nothing to it")
	}
}

// partner is let in by the developer, streams with the clients that the portal shows, and brings a finding meanwhile; its access ends in the middle of the streams. The
// desk confirms the finding, the coordinator sends it on, the auditor reads of it.
func (j *journeys) partner(t *testing.T) {
	c, err := j.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "lark", Variants: []string{"secret-variant"}}, Profile: "us-order"}, "")
	if err != nil {
		t.Fatal(err)
	}
	ada, pat, otto, al := j.person(t, "ada"), j.person(t, "pat"), j.person(t, "otto"), j.person(t, "al")
	ada.goes("/cases/" + string(c.ID))
	ada.opens("Bring somebody in")
	ada.types("PERSON@ORGANISATION", "pat@bank")
	ada.types("Role", "partner")
	ada.presses("Bring somebody in")
	ada.opens("Share with a partner of yours")
	ada.types("Name of the grant", "bank")
	ada.types("To which organisation", "bank")
	ada.presses("Share with a partner of yours")
	ada.opens("Offer terms to partners")
	ada.pastes("The text of the terms", "For tests of your own systems.\n\nNot for those of others.")
	ada.presses("Offer terms to partners")
	ada.reads("Terms for partners, version 1")
	pat.goes("/access")
	pat.reads("Not for those of others.")
	pat.ticks("I have read them, and accept them for bank")
	pat.presses("Accept the terms")
	pat.reads("was accepted by pat@bank", string(proofhouse.DigestOf([]byte("For tests of your own systems.\n\nNot for those of others."))))
	pat.misses("I have read them")
	revoked := j.streams(t, c.ID, "bank", pat)
	pat.follows("lark")
	pat.misses("secret-variant", "What happened")
	j.closed(t, "trudy", "/cases/"+string(c.ID))

	packed, err := clearing.PackFolder(example + "target")
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	for name, b := range map[string][]byte{"target.zip": packed, "proof": []byte("Nxxxxxxxxxxxxxxx"), "fix.diff": []byte(exampleFile(t, "fix.diff")), "fix-test.diff": []byte(exampleFile(t, "fix-test.diff"))} {
		if err := os.WriteFile(filepath.Join(files, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pat.goes("/access")
	pat.follows("Bring a finding")
	pat.types("Package, with its version", project+"@1.0")
	pat.types("In a line", "a long name is written past its end")
	pat.types("In your words", "It breaks.")
	pat.types("Use of AI", "lark, to find it")
	pat.brings("target", filepath.Join(files, "target.zip"))
	pat.brings("proof", filepath.Join(files, "proof"))
	pat.brings("fix", filepath.Join(files, "fix.diff"))
	pat.brings("regression", filepath.Join(files, "fix-test.diff"))
	pat.presses("Bring it")
	pat.reads("a long name is written past its end", "waiting", "It waits for the desk")
	at := pat.where()
	j.isPictured(pat, "partner-waits")
	j.works(t, "")
	pat.follows("Findings")
	pat.follows("a long name is written past its end")
	pat.reads("confirmed", "heap-buffer-overflow", "copy_name")
	j.isPictured(pat, "partner-confirmed")
	if receipt := pat.saved("a", "receipt of the public log"); !strings.Contains(string(receipt), "example/log") {
		t.Errorf("a receipt: %q", receipt)
	}
	j.closed(t, "carl ada", at)
	revoked()

	if _, err := j.as("otto").Declare(t.Context(), project, wire.NewDeclaration{TOML: "capacity = 1"}); err != nil {
		t.Fatal(err)
	}
	otto.goes("/")
	otto.follows("Findings")
	otto.follows("a long name is written past its end")
	otto.follows("The cluster with its matrix")
	otto.types("A person who answers", "Otto <otto@institute.example>")
	otto.presses("Make the packet")
	otto.reads("did not go out", "Reported once", "Otto <otto@institute.example>", "n = 7;")
	packet := otto.where()
	j.isPictured(otto, "coordinator-packet")
	if archive := otto.saved("a", "The archive that goes with it"); !strings.HasPrefix(string(archive), "PK") {
		t.Error("the archive is none")
	}
	otto.ticks("I have read it")
	otto.presses("Release")
	otto.reads("went out")
	j.maintainer(t, otto, packet)
	otto.goes(packet)
	otto.reads("and the project said: accepted (in 1.1)")
	otto.types("What the project said", "fixed")
	otto.presses("Note it")
	otto.reads("and the project said: fixed")
	pat.goes(at)
	pat.reads("and the project said: fixed")
	pat.misses("The cluster with its matrix")
	j.closed(t, "pat carl ann", packet)

	al.goes("/findings")
	al.follows("a long name is written past its end")
	al.reads("pat@bank", "confirmed")
	al.misses("Take it back", "Have it tried again")
	if receipt := al.saved("a", "receipt of the public log"); !strings.Contains(string(receipt), "example/log") {
		t.Errorf("a receipt: %q", receipt)
	}
	al.follows("The packet")
	al.reads("went out")
	al.misses("What the project said", "Note it", "n = 7;")
	j.isPictured(al, "auditor")
	nobody := j.person(t, "")
	nobody.goes("/transparency")
	nobody.reads("example/log")
	if text, err := nobody.text(); err != nil || !regexp.MustCompile(`example/log [1-9][0-9]* `).MatchString(text) {
		t.Errorf("the public log: %s %v", text, err)
	}
}

// maintainer is somebody who never asked for this, without an account: they open the link that the coordinator gives, with a script and without one, and answer; then it is ended.
func (j *journeys) maintainer(t *testing.T, otto *person, packet string) {
	t.Helper()
	otto.presses("Give a link")
	link := otto.shows("main pre", "/packet/open#phm_")
	j.isPictured(otto, "coordinator-link")
	path, secret, ok := strings.Cut(strings.TrimPrefix(link, visited), "#")
	if !ok || path != "/packet/open" {
		t.Fatalf("the link is %q", link)
	}
	mary, plain := j.arrives(t, "mary"), j.arrives(t, "mary, without script")
	doing(t, plain.ctx, "no script", emulation.SetScriptExecutionDisabled(true))
	mary.goes(path + "#" + secret)
	mary.until("the code is out of the address", func() bool {
		var url, filled string
		err := chromedp.Run(mary.ctx, chromedp.Location(&url), chromedp.Value("#code", &filled, chromedp.ByID))
		return err == nil && url == visited+path && filled == secret
	})
	j.isPictured(mary, "maintainer-link")
	mary.presses("Open the packet")
	plain.goes(path + "#" + secret)
	plain.pastes("The link, or the code after its #", link)
	plain.presses("Open the packet")
	for _, p := range []*person{mary, plain} {
		p.reads("A bug in "+project, "Reported once", "n = 7;", "At most 1 packet a week", "all of it, with the harness that shows it")
		p.misses("pat@bank", secret, "finding-", "Sign out")
		if at := p.where(); at != "/packet" {
			t.Errorf("the packet is read at %s", at)
		}
	}
	j.isPictured(mary, "maintainer-packet")
	if proof := mary.saved("a", "proof"); string(proof) != "Nxxxxxxxxxxxxxxx" {
		t.Errorf("the proof is %q", proof)
	}
	if archive := plain.saved("a", "packet.zip"); !strings.HasPrefix(string(archive), "PK") {
		t.Error("the archive is none")
	}
	mary.ticks("We will fix it")
	mary.types("A note", "in 1.1")
	mary.presses("Answer")
	mary.reads("Your answer is taken", "accepted", "in 1.1")
	plain.ticks("The project wants no more of these")
	plain.presses("Stop sending")
	plain.reads("Nothing more is sent to the project", "Nothing: the project asked for that")
	j.isPictured(plain, "maintainer-stops")
	plain.presses("Close it in this browser")
	plain.goes("/packet")
	plain.reads("The link, or the code after its #")
	mary.isTold("API token", packet, "/findings", "/projects")
	otto.goes("/project?purl=" + project)
	otto.reads("asked that nothing more is sent")
	otto.goes(packet)
	otto.presses("End the link")
	otto.reads("it has ended")
	mary.goes("/packet")
	mary.reads("There is no such packet")
	mary.misses("n = 7;")
	j.isPictured(mary, "maintainer-ended")
}

// device gives a browser an authenticator that knows its owner.
func (p *person) device() (id webauthn.AuthenticatorID) {
	p.t.Helper()
	doing(p.t, p.ctx, "a device", webauthn.Enable(), chromedp.ActionFunc(func(ctx context.Context) (err error) {
		id, err = webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}).Do(ctx)
		return err
	}))
	return id
}

// puts takes an authenticator out of the browser.
func (p *person) puts(id webauthn.AuthenticatorID) {
	p.t.Helper()
	doing(p.t, p.ctx, "the device away", webauthn.RemoveVirtualAuthenticator(id))
}

// has gives an authenticator a passkey.
func (p *person) has(id webauthn.AuthenticatorID, k *webauthn.Credential) {
	p.t.Helper()
	doing(p.t, p.ctx, "a passkey for the device", webauthn.AddCredential(id, k))
}

// forgedKey is another key under the name of a passkey.
func forgedKey(t *testing.T, of *webauthn.Credential) *webauthn.Credential {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	forged := *of
	forged.PrivateKey, forged.SignCount = base64.StdEncoding.EncodeToString(der), of.SignCount+10
	return &forged
}
