package app

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/posix"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

// passkey gives somebody a passkey, and says which way in it is and what names it.
func (s *served) passkey(t *testing.T, who string, sort virtualwebauthn.KeyType) (k *key, way string, named docket.NameKey) {
	t.Helper()
	person := principal(t, s, who).Person
	options, ceremony, err := s.door.OfferPasskey(t.Context(), person, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	k, answer := madeOf(t, options, rp, sort)
	if err := s.door.AddPasskey(t.Context(), person, ceremony, answer, who+"'s", time.Now()); err != nil {
		t.Fatal(err)
	}
	all, err := s.door.SigningPasskeys(t.Context(), person)
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	last := all[len(all)-1]
	return k, last.Way, last.Name
}

// removed takes a way in away.
func (s *served) removed(t *testing.T, who, way string) {
	t.Helper()
	if err := s.as(who).RemoveWay(t.Context(), way, false); err != nil {
		t.Fatal(err)
	}
}

// toDetermine takes a case to where it waits for the consultee and the authority, who have named no keys yet.
func (s *served) toDetermine(t *testing.T, codename string) proofhouse.CaseID {
	t.Helper()
	c, err := s.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: codename, Variants: []string{"canary-variant"}}, Profile: "institute"}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, "rita", c.ID, docket.Accept{})
	for person, role := range map[string]proofhouse.Role{"eve": proofhouse.Evaluator, "otto": proofhouse.Authority} {
		s.do(t, "rita", c.ID, docket.Join{Member: proofhouse.Actor{Organisation: "institute", Person: proofhouse.PersonID(person), Role: role}})
	}
	s.do(t, "rita", c.ID, docket.Join{Member: proofhouse.Actor{Organisation: "cyber-centre", Person: "carl", Role: proofhouse.Consultee}})
	s.do(t, "ada", c.ID, docket.Offer{Terms: docket.Terms{Marking: proofhouse.Amber, Retention: 90, Share: []proofhouse.Role{}}})
	s.do(t, "rita", c.ID, docket.Agree{Version: 1})
	s.do(t, "ada", c.ID, docket.Ask{})
	if s.keys["ada"] == nil {
		if s.keys["ada"], err = ledger.CreateKey(t.TempDir(), "ada"); err != nil {
			t.Fatal(err)
		}
	}
	pem, err := s.keys["ada"].PublicKey().PEM()
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, "ada", c.ID, docket.NameKey{Key: string(pem)})
	s.do(t, "rita", c.ID, docket.Register{Criteria: houseCriteria(), Salt: docket.Salt{1}})
	s.do(t, "ada", c.ID, docket.Countersign{Version: 1})
	s.do(t, "ada", c.ID, docket.Lend{Grant: "body", To: "institute"})
	run := proofhouse.RunID("run-" + codename)
	s.do(t, "eve", c.ID, docket.StartRun{Run: run, Registration: 1, Manifest: houseCriteria().As(docket.Cell{Variant: "canary-variant", Agent: "baseline"})})
	s.do(t, "eve", c.ID, docket.FinishRun{Run: run, Evidence: proofhouse.DigestOf(nil), Tally: docket.Tally{Solved: 10, Samples: 100}})
	s.do(t, "rita", c.ID, docket.Consult{Organisation: "cyber-centre"})
	return c.ID
}

// signsBy is an act with its text's signature by a passkey, as the API asks for it.
func (s *served) signsBy(t *testing.T, k *key, who string, id proofhouse.CaseID, a docket.Act) docket.Act {
	t.Helper()
	text, err := s.as(who).Text(t.Context(), id, a, "")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := docket.PasskeySignature(text.Digest, []byte(virtualwebauthn.CreateAssertionResponse(rp, k.device, k.cred, virtualwebauthn.AssertionOptions{Challenge: raw})))
	if err != nil {
		t.Fatal(err)
	}
	return docket.WithSignature(a, signature)
}

// options are what a page asks a passkey for, and nil where it asks for none.
func (p at) options() *virtualwebauthn.AssertionOptions {
	for n := range p.Descendants() {
		if text := attr(n, "data-options"); text != "" {
			o, err := virtualwebauthn.ParseAssertionOptions(text)
			if err != nil {
				return nil
			}
			return o
		}
	}
	return nil
}

// raw are the options as they stand there.
func (p at) raw() (text string) {
	for n := range p.Descendants() {
		if text = attr(n, "data-options"); text != "" {
			break
		}
	}
	return text
}

// TestPasskeySigning has a consultee and the authority sign with passkeys in the pages, tries everything else first, and proves it offline.
func TestPasskeySigning(t *testing.T) {
	s, ctx := doored(t), t.Context()
	id, other := s.toDetermine(t, "heron"), s.toDetermine(t, "plover")
	path := "/cases/" + string(id)
	determine, answer := path+"/acts/determine", path+"/acts/answer"
	otto, carl := s.browser(t, "otto"), s.browser(t, "carl")

	// Who has none is offered none.
	if p := otto.get(path); p.form(path+"/acts/name-key", "passkey") != nil || p.form(path+"/acts/name-key", "key") == nil || p.says("Who signs with what", "otto@institute") && p.says("passkey") {
		t.Error("a passkey is offered to whoever has none, or no key")
	}
	ottos, ottosWay, ottosName := s.passkey(t, "otto", virtualwebauthn.KeyTypeEC2)
	carls, carlsWay, carlsName := s.passkey(t, "carl", virtualwebauthn.KeyTypeRSA)

	// Added to come in with, it signs nothing: nobody named it.
	draft := otto.send(otto.get(path), determine, url.Values{"outcome": {string(docket.NotCovered)}, "version": {"1"}})
	if draft.options() != nil || strings.Contains(draft.text, passkeyScript) || !draft.says("You have named no key in this case yet") {
		t.Errorf("a passkey that nobody named is asked to sign: %s", draft.text)
	}
	// Nobody names what is not theirs, or is another house's.
	if p := otto.post(path+"/acts/name-key", url.Values{"passkey": {carlsWay}}, nil); p.status != http.StatusNotFound {
		t.Errorf("another's passkey is named: %d", p.status)
	}
	elsewhere := ottosName
	elsewhere.Passkey = docket.RelyingParty{ID: "evil.example", Origin: "https://evil.example"}
	stranger, gone, goneName := s.passkey(t, "otto", virtualwebauthn.KeyTypeEC2)
	s.removed(t, "otto", gone)
	for what, name := range map[string]docket.NameKey{"another's": carlsName, "another house's": elsewhere, "a removed one": goneName} {
		if _, err := s.as("otto").Do(ctx, id, name, wire.Options{}); proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("%s is named: %v", what, err)
		}
	}
	for who, way := range map[*browser]string{otto: ottosWay, carl: carlsWay} {
		for _, c := range []string{path, "/cases/" + string(other)} {
			if p := who.send(who.get(c), c+"/acts/name-key", url.Values{"passkey": {way}}); p.status != http.StatusOK || !p.says("stands in the record as event") {
				t.Fatalf("named: %d %s", p.status, p.text)
			}
		}
	}
	if p := otto.send(otto.get(path), path+"/acts/name-key", url.Values{"passkey": {ottosWay}}); p.status != http.StatusConflict {
		t.Errorf("named twice: %d", p.status)
	}
	keyID := func(n docket.NameKey) string {
		id, err := docket.SigningKey{Key: n.Key, Passkey: n.Passkey}.ID()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if p := s.browser(t, "ada").get(path); !p.says("Who signs with what", "otto@institute", keyID(ottosName), keyID(carlsName)) {
		t.Errorf("the developer does not read who signs with what: %s", p.text)
	}

	// The consultee answers, by an RSA key.
	answers := func(b *browser, p at, action string, k *key, as virtualwebauthn.RelyingParty) at {
		t.Helper()
		return b.send(p, action, url.Values{"answer": {virtualwebauthn.CreateAssertionResponse(as, k.device, k.cred, *p.options())}})
	}
	dissent := url.Values{"view": {string(docket.Dissents)}, "reason": {hostile}}
	asked := carl.send(carl.get(path), answer, dissent)
	if p := answers(carl, asked, answer, carls, rp); p.status != http.StatusOK || !p.says("stands in the record as event") {
		t.Fatalf("the answer: %d %s", p.status, p.text)
	}

	// The authority reads words, text and digest, and is asked for the digest with the named passkey alone, verified.
	draft = otto.send(otto.get(path), determine, url.Values{"outcome": {string(docket.NotCovered)}, "version": {"1"}})
	text, err := s.as("otto").Text(ctx, id, docket.Determine{Outcome: docket.NotCovered, Registration: 1}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range docket.InWords([]byte(text.Text)) {
		if !draft.says(w.What, html.EscapeString(w.Says)) {
			t.Errorf("the draft does not say %v", w)
		}
	}
	var is struct {
		Challenge, RPID, UserVerification string
		AllowCredentials                  []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(draft.raw()), &is); err != nil {
		t.Fatal(err)
	}
	if !draft.says(html.EscapeString(text.Text), string(text.Digest), keyID(ottosName)) || is.Challenge != docket.Challenge(text.Digest) || text.Challenge != is.Challenge || is.RPID != rp.ID || is.UserVerification != "required" ||
		len(is.AllowCredentials) != 1 || is.AllowCredentials[0].ID != base64.RawURLEncoding.EncodeToString(ottos.cred.ID) || text.By.Person != "otto" || text.By.Role != proofhouse.Authority {
		t.Errorf("asked for %s of %+v", draft.raw(), text)
	}

	// What is refused.
	refuse := func(what string, p at) {
		t.Helper()
		if p.status != http.StatusUnprocessableEntity || !p.says("Nothing was changed") {
			t.Errorf("%s: %d %s", what, p.status, p.text)
		}
	}
	answered := func(k *key, as virtualwebauthn.RelyingParty) at {
		t.Helper()
		return answers(otto, draft, determine, k, as)
	}
	unverified, absent := *ottos, *ottos
	unverified.device.Options.UserNotVerified, absent.device.Options.UserNotPresent = true, true
	refuse("nobody verified", answered(&unverified, rp))
	refuse("nobody there", answered(&absent, rp))
	refuse("another origin", answered(ottos, virtualwebauthn.RelyingParty{ID: rp.ID, Origin: rp.Origin + ".evil.example"}))
	refuse("another relying party", answered(ottos, virtualwebauthn.RelyingParty{ID: "evil.example", Origin: rp.Origin}))
	refuse("the consultee's passkey", answered(carls, rp))
	refuse("another of the same person", answered(stranger, rp))
	beside := carl.send(carl.get("/cases/"+string(other)), "/cases/"+string(other)+"/acts/answer", url.Values{"view": {string(docket.Dissents)}, "reason": {hostile}})
	if p := answers(carl, beside, "/cases/"+string(other)+"/acts/answer", carls, rp); p.status != http.StatusOK {
		t.Fatalf("%d %s", p.status, p.text)
	}
	theOther := otto.send(otto.get("/cases/"+string(other)), "/cases/"+string(other)+"/acts/determine", url.Values{"outcome": {string(docket.NotCovered)}, "version": {"1"}})
	replayed := virtualwebauthn.CreateAssertionResponse(rp, ottos.device, ottos.cred, *theOther.options())
	refuse("the answer for another case", otto.send(draft, determine, url.Values{"answer": {replayed}}))
	signIn, _, err := s.door.AskPasskey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	refuse("the answer of a sign-in", otto.send(draft, determine, url.Values{"answer": {ottos.answer(t, signIn, rp)}}))
	good := virtualwebauthn.CreateAssertionResponse(rp, ottos.device, ottos.cred, *draft.options())
	filled := otto.filled(draft, determine, url.Values{"answer": {good}})
	filled.Set("outcome", string(docket.Undetermined))
	filled.Set("departure", "another outcome than was signed")
	refuse("an act that was changed after", otto.post(determine, filled, nil))
	for _, bad := range []string{"{}", "x", strings.Replace(good, `"signature":"`, `"signature":"AAAA`, 1), strings.Replace(good, `"type":"public-key"`, `"type":"x"`, 1)} {
		if p := otto.send(draft, determine, url.Values{"answer": {bad}}); p.status == http.StatusOK && !p.says("That is no answer of a passkey", "Nothing was changed") || p.status != http.StatusOK && p.status != http.StatusUnprocessableEntity {
			t.Errorf("%.40s: %d", bad, p.status)
		}
	}
	if p := otto.send(draft, determine, url.Values{"answer": {""}}); !p.says("A passkey takes a script", "Nothing was changed") {
		t.Errorf("without a script: %d", p.status)
	}
	if p := otto.post(determine, url.Values{"outcome": {string(docket.NotCovered)}, "version": {"1"}, "signature": {base64.StdEncoding.EncodeToString(make([]byte, 64))}}, nil); p.status != http.StatusUnprocessableEntity {
		t.Errorf("a signature that was pasted: %d", p.status)
	}
	// One that there may be a copy of, or that was removed, signs nothing more, whoever sends it.
	signature, err := docket.PasskeySignature(text.Digest, []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	signed := docket.WithSignature(docket.Determine{Outcome: docket.NotCovered, Registration: 1}, signature)
	c, err := s.as("otto").Case(ctx, id)
	if err != nil || len(c.Determinations) != 0 {
		t.Fatalf("%+v %v", c.Determinations, err)
	}
	s.removed(t, "carl", carlsWay)
	if p := carl.get(path); !p.says("Who signs with what", keyID(carlsName)) {
		t.Error("a key that was named is forgotten with the way in")
	}
	third := s.toDetermine(t, "dunlin")
	for what, ends := range map[string]func(way string){
		"was removed": func(way string) { s.removed(t, "carl", way) },
		"has a copy": func(way string) {
			if err := s.Directory.People.Change(ctx, func(tx store.PeopleTx) error {
				_, err := tx.ChangeWay(ctx, way, func(w *policy.Way) error { w.Suspect = time.Now(); return nil })
				return err
			}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		spare, way, name := s.passkey(t, "carl", virtualwebauthn.KeyTypeEC2)
		s.do(t, "carl", third, name)
		late := s.signsBy(t, spare, "carl", third, docket.Answer{View: docket.Agrees, Reason: "x"})
		ends(way)
		lost := carl.send(carl.get("/cases/"+string(third)), "/cases/"+string(third)+"/acts/answer", dissent)
		if lost.options() != nil || !lost.says("you have it in this house no more") || lost.form("/cases/"+string(third)+"/acts/answer", "signature") != nil {
			t.Errorf("asked of a passkey that %s: %s", what, lost.text)
		}
		if _, err := s.as("carl").Do(ctx, third, late, wire.Options{}); proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("signed with a passkey that %s: %v", what, err)
		}
	}

	// At last.
	if p := otto.send(draft, determine, url.Values{"answer": {good}}); p.status != http.StatusOK || !p.says("not covered", "stands in the record as event", "1 of the consulted dissented") {
		t.Fatalf("the determination: %d %s", p.status, p.text)
	}
	if _, err := s.as("otto").Do(ctx, id, signed, wire.Options{}); err == nil {
		t.Error("it is done twice")
	}
	s.do(t, "ada", id, docket.Reconsider{Reason: "once more"})

	// Offline, by the bundle alone.
	file := s.export(t, id)
	proof, err := VerifyBundle(ctx, file, BundleTrust{LogKey: s.LogKey(), Pins: []string{"institute=" + keyID(ottosName), "cyber-centre=" + keyID(carlsName)}})
	if err != nil {
		t.Fatal(err)
	}
	byPasskey := 0
	for _, k := range proof.Case.Signers {
		if k.Passkey == (docket.RelyingParty{ID: rp.ID, Origin: rp.Origin}) && k.Pinned && k.Signed == 1 {
			byPasskey++
		}
	}
	if byPasskey != 2 || len(proof.Case.Signers) != 3 || len(proof.Case.Determinations) != 1 || !proof.Case.Determinations[0].Follows || len(proof.Case.Wrong) != 0 {
		t.Errorf("proved: %+v", proof.Case)
	}

	// A house that is not honest puts a determination into its record that the authority never signed there, with what it has of the authority's
	// from another case. Its own program would not read the case any more.
	by := proofhouse.Actor{Organisation: "institute", Person: "otto", Role: proofhouse.Authority}
	forged := s.forges(t, other, docket.Event{By: by, Act: docket.Determine{Outcome: docket.NotCovered, Registration: 1, Signed: signature}})
	if p, err := VerifyBundle(ctx, forged, BundleTrust{LogKey: s.LogKey()}); proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(err.Error(), "does not follow") || !strings.Contains(err.Error(), "passkey") {
		t.Errorf("a forged determination verifies: %+v, %v", p.Case, err)
	}
	if _, err := s.as("ada").Case(ctx, other); err == nil {
		t.Error("the house goes on with a case that holds what nobody signed")
	}
	// The same way into a record, with what it takes: so it was the signature.
	agreed, _, agreedName := s.passkey(t, "carl", virtualwebauthn.KeyTypeEC2)
	s.do(t, "carl", third, agreedName)
	s.do(t, "otto", third, ottosName)
	s.do(t, "carl", third, s.signsBy(t, agreed, "carl", third, docket.Answer{View: docket.Agrees, Reason: "x"}))
	honest := s.forges(t, third, docket.Event{By: by, Act: s.signsBy(t, ottos, "otto", third, docket.Determine{Outcome: docket.NotCovered, Registration: 1})})
	if p, err := VerifyBundle(ctx, honest, BundleTrust{LogKey: s.LogKey()}); err != nil || len(p.Case.Determinations) != 1 {
		t.Errorf("%+v, %v", p.Case, err)
	}
}

// forges puts an event into a case's record with whatever signature it bears, as an operator could, and gives a bundle of it.
func (s *served) forges(t *testing.T, id proofhouse.CaseID, e docket.Event) (file string) {
	t.Helper()
	ctx := t.Context()
	var after docket.Case
	if err := s.docket.Change(ctx, func(tx docket.Tx) error {
		before, err := tx.Case(ctx, id)
		if err != nil {
			return err
		}
		text, _ := before.ToSign(e)
		a := e.Act.(docket.Determine)
		a.Signed.Over = proofhouse.DigestOf(text)
		e.Act = a
		if after, err = before.Apply(e, time.Now()); err != nil {
			return err
		}
		r := after.Record(e)
		body, err := r.Encode()
		if err != nil {
			return err
		}
		return tx.Append(ctx, before, after, r, ledger.Entry{Stream: string(id), Seq: int64(r.Seq), Body: body, Salt: ledger.NewSalt()})
	}); err != nil {
		t.Fatal(err)
	}
	size, err := s.logged(ctx, after)
	if err != nil {
		t.Fatal(err)
	}
	log, err := s.shown(ctx, posix.InBundle, string(id), size)
	if err != nil {
		t.Fatal(err)
	}
	statements, err := s.statements(ctx, after, nil)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "forged")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := ledger.WriteBundle(ctx, f, log, s.key, ledger.BundleSource{
		Stream: string(id), Entries: s.entries(ctx, id, after.Version), Signers: []*ledger.PublicKey{s.key.PublicKey()}, Statements: statements,
		Attachments: []ledger.Attachment{{Name: rulesAttachment, Media: "application/toml", Data: after.Rules.Text}},
	}); err != nil {
		t.Fatal(err)
	}
	return file
}
