package docket

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// here is the house of these tests as authenticators know it.
var here = RelyingParty{ID: "house.example", Origin: "https://house.example"}

// device is an authenticator with one passkey.
type device struct {
	key *ecdsa.PrivateKey
	pem string
}

func newDevice(t testing.TB) *device {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ledger.PublicKeyPEM(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &device{k, string(b)}
}

func (d *device) named() NameKey { return NameKey{Key: d.pem, Passkey: here} }

// asked is what a device says and is asked, before it signs.
type asked struct {
	typ, challenge, origin, party string
	flags                         byte
}

// signs is e's act with the device's answer to its challenge, in which change makes it lie.
func (d *device) signs(t testing.TB, c Case, e Event, change func(*asked)) Act {
	t.Helper()
	text, ok := c.ToSign(e)
	if !ok {
		return e.Act
	}
	over := proofhouse.DigestOf(text)
	return WithSignature(e.Act, d.answers(t, over, Challenge(over), change))
}

// answers is the device's signature over a text, by its answer to a challenge.
func (d *device) answers(t testing.TB, over proofhouse.Digest, challenge string, change func(*asked)) Signature {
	t.Helper()
	a := asked{"webauthn.get", challenge, here.Origin, here.ID, 1 | 4}
	if change != nil {
		change(&a)
	}
	client := fmt.Sprintf(`{"type":%q,"challenge":%q,"origin":%q,"crossOrigin":false}`, a.typ, a.challenge, a.origin)
	party, hash := sha256.Sum256([]byte(a.party)), sha256.Sum256([]byte(client))
	data := append(party[:], a.flags, 0, 0, 0, 7)
	digest := sha256.Sum256(slices.Concat(data, hash[:]))
	sig, err := ecdsa.SignASN1(rand.Reader, d.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	answer, err := json.Marshal(map[string]any{"type": "public-key", "response": map[string]string{"authenticatorData": b64(data), "clientDataJSON": b64([]byte(client)), "signature": b64(sig)}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := PasskeySignature(over, answer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asking is a case in which the consultee, who has named a passkey, is asked.
func asking(t testing.TB, id proofhouse.CaseID, k NameKey) (Case, time.Time) {
	t.Helper()
	rules := profile(t, "institute")
	c, now := New(id, rules), start
	for _, s := range append(evaluated(80), step{consultee, k, 0}, step{registrar, Consult{"cyber-centre"}, 0}) {
		now = now.Add(s.after)
		next, err := c.Apply(Event{s.by, sign(c, s.by, s.act)}, now)
		if err != nil {
			t.Fatalf("%s: %v", s.act.Kind(), err)
		}
		c = next
	}
	return c, now
}

// TestPasskeySigns takes what a passkey signed, and none of what is not quite that.
func TestPasskeySigns(t *testing.T) {
	d, other := newDevice(t), newDevice(t)
	c, now := asking(t, "case-1", d.named())
	answer := Answer{View: Dissents, Reason: "the tasks are public"}
	e := func(a Act) Event { return Event{consultee, a} }
	right := d.signs(t, c, e(answer), nil).(Answer)
	if next, err := c.Take(e(right), now); err != nil || next.Consultations[0].Signed.Passkey.ClientData == nil {
		t.Fatalf("%+v, %v", next.Consultations, err)
	}
	with := func(change func(*Answer)) Act {
		a := right
		a.Signed.Passkey.AuthenticatorData, a.Signed.Passkey.ClientData = slices.Clone(a.Signed.Passkey.AuthenticatorData), slices.Clone(a.Signed.Passkey.ClientData)
		change(&a)
		return a
	}
	lies := func(change func(*asked)) Act { return d.signs(t, c, e(answer), change) }
	over := func(a Act) proofhouse.Digest {
		text, _ := c.ToSign(e(a))
		return proofhouse.DigestOf(text)
	}
	elsewhere, _ := asking(t, "case-2", d.named())
	agrees := Answer{View: Agrees, Reason: answer.Reason}
	file, err := ledger.CreateKey(t.TempDir(), "carl")
	if err != nil {
		t.Fatal(err)
	}
	byFile, err := c.Sign(e(answer), file)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]Act{
		"the answer for another act":    WithSignature(answer, d.answers(t, over(answer), Challenge(over(agrees)), nil)),
		"the answer for another case":   with(func(a *Answer) { a.Signed.Passkey, a.Signed.Bytes = elsewhereSigned(t, d, elsewhere, answer) }),
		"the digest itself":             WithSignature(answer, d.answers(t, over(answer), base64.RawURLEncoding.EncodeToString([]byte(over(answer))), nil)),
		"a challenge of sign-in":        WithSignature(answer, d.answers(t, over(answer), ledger.Challenge([]byte("anything")), nil)),
		"another's passkey":             other.signs(t, c, e(answer), nil),
		"nobody verified":               lies(func(a *asked) { a.flags = 1 }),
		"nobody there":                  lies(func(a *asked) { a.flags = 4 }),
		"another origin":                lies(func(a *asked) { a.origin = "https://house.example.evil.example" }),
		"another relying party":         lies(func(a *asked) { a.party = "evil.example" }),
		"a registration":                lies(func(a *asked) { a.typ = "webauthn.create" }),
		"other client data":             with(func(a *Answer) { a.Signed.Passkey.ClientData = append(a.Signed.Passkey.ClientData, ' ') }),
		"another counter":               with(func(a *Answer) { a.Signed.Passkey.AuthenticatorData[36]++ }),
		"no client data":                with(func(a *Answer) { a.Signed.Passkey.ClientData = nil }),
		"no assertion":                  with(func(a *Answer) { a.Signed.Passkey = ledger.Assertion{} }),
		"another signature":             with(func(a *Answer) { a.Signed.Bytes = other.signs(t, c, e(answer), nil).(Answer).Signed.Bytes }),
		"an act that was changed after": with(func(a *Answer) { a.View = Agrees }),
		"and its digest with it":        with(func(a *Answer) { a.View, a.Signed.Over = Agrees, over(agrees) }),
		"another digest":                with(func(a *Answer) { a.Signed.Over = over(agrees) }),
		"a key that nobody named":       byFile,
	} {
		if next, err := c.Take(e(bad), now); proofhouse.KindOf(err) != proofhouse.Integrity || next.Version != c.Version {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := with(func(a *Answer) { a.Signed.Passkey.ClientData = make([]byte, maxSignature) })
	if _, err := c.Take(e(long), now); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("a long one: %v", err)
	}
	// Whoever names another key signs with the one before no more, of whichever sort they are.
	renamed, err := c.Take(e(other.named()), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := renamed.Take(e(right), now); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a passkey that was replaced: %v", err)
	}
	if _, err := renamed.Take(e(other.signs(t, renamed, e(answer), nil)), now); err != nil {
		t.Errorf("the one that replaced it: %v", err)
	}
	pem, err := file.PublicKey().PEM()
	if err != nil {
		t.Fatal(err)
	}
	filed, err := c.Take(e(NameKey{Key: string(pem)}), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filed.Take(e(right), now); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a passkey after a file was named: %v", err)
	}
	if _, err := filed.Take(e(byFile), now); err != nil {
		t.Errorf("the file: %v", err)
	}
	decorated := byFile.(Answer)
	decorated.Signed.Passkey = right.Signed.Passkey
	if _, err := filed.Take(e(decorated), now); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a file's signature that bears an assertion: %v", err)
	}
	// The same Ed25519 key is two keys: what it signs as the one is nothing as the other.
	twin, err := c.Take(e(NameKey{Key: string(pem), Passkey: here}), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := twin.Take(e(byFile), now); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a file's signature for a passkey's: %v", err)
	}
	if _, err := twin.Take(e(NameKey{Key: string(pem)}), now); err != nil {
		t.Errorf("the same key, of the other sort: %v", err)
	}
}

// elsewhereSigned is what the device answered in another case.
func elsewhereSigned(t *testing.T, d *device, c Case, a Answer) (ledger.Assertion, []byte) {
	t.Helper()
	s := d.signs(t, c, Event{consultee, a}, nil).(Answer).Signed
	return s.Passkey, s.Bytes
}

// TestNamePasskey names what can sign, and nothing else.
func TestNamePasskey(t *testing.T) {
	c, now := play(t, profile(t, "institute"), opened(everyoneJoins...)...)
	d := newDevice(t)
	for _, bad := range map[string]NameKey{
		"no house":          {Key: d.pem},
		"no name":           {Key: d.pem, Passkey: RelyingParty{Origin: here.Origin}},
		"no origin":         {Key: d.pem, Passkey: RelyingParty{ID: here.ID}},
		"another's name":    {Key: d.pem, Passkey: RelyingParty{ID: "evil.example", Origin: here.Origin}},
		"without TLS":       {Key: d.pem, Passkey: RelyingParty{ID: here.ID, Origin: "http://house.example"}},
		"no key":            {Passkey: here},
		"another spelling":  {Key: d.pem + "\n", Passkey: here},
		"a long house name": {Key: d.pem, Passkey: RelyingParty{ID: strings.Repeat("a", maxText), Origin: "https://" + strings.Repeat("a", maxText)}},
	} {
		refused(t, c, authority, bad, now, proofhouse.Invalid)
	}
	named, err := c.Take(Event{authority, d.named()}, now)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, named, authority, d.named(), now, proofhouse.Conflict)
	if k, ok := named.SigningKey(authority); !ok || !k.IsPasskey() || k.Passkey != here {
		t.Errorf("named %+v", k)
	}
	if _, ok := named.SigningKey(consultee); ok {
		t.Error("somebody else has named one as well")
	}
	refused(t, c, evaluator, d.named(), now, proofhouse.Refused)
}

// TestVerifyPasskeys: who verifies a case reads which signatures are by passkeys, and of which house, and that is all that they are.
func TestVerifyPasskeys(t *testing.T) {
	c, records := told(t, authority, adopter)
	p, err := Verify(c.Rules, records, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	byPasskey := map[proofhouse.Actor]int{}
	for _, s := range p.Signers {
		if s.Passkey == here {
			byPasskey[s.By] = s.Signed
		}
	}
	if len(p.Signers) != 4 || len(byPasskey) != 2 || byPasskey[authority] != 3 || byPasskey[adopter] != 1 {
		t.Errorf("signed: %+v", p.Signers)
	}
	const limit = "an authenticator shows no text"
	if n := strings.Count(strings.Join(p.Open, "\n"), limit+", and the pages of "+here.Origin); n != 1 {
		t.Errorf("said %d times: %q", n, p.Open)
	}
	if p, err := Verify(c.Rules, records, nil, map[proofhouse.OrganisationID][]string{"institute": {p.Signers[1].KeyID}}); err != nil || len(p.Wrong) != 0 || !p.Signers[1].Pinned {
		t.Errorf("pinned: %+v, %v", p.Signers, err)
	}
	plain, kept := told(t)
	if p, err := Verify(plain.Rules, kept, nil, nil); err != nil || strings.Contains(strings.Join(p.Open, "\n"), limit) {
		t.Errorf("said of a case without: %q, %v", p.Open, err)
	}
	// What an operator might change in the records.
	find := func(k Kind) int {
		return slices.IndexFunc(records, func(r Record) bool { return r.Event.Act.Kind() == k })
	}
	forged := newDevice(t)
	set := func(k Kind, change func(Act) Act) []Record {
		all := slices.Clone(records)
		i := find(k)
		all[i].Event.Act = change(all[i].Event.Act)
		return all
	}
	determined := records[find(KindDetermine)].Event.Act.(Determine)
	for name, bad := range map[string][]Record{
		"another passkey under it": set(KindDetermine, func(a Act) Act {
			d := a.(Determine)
			d.Signed = forged.answers(t, d.Signed.Over, Challenge(d.Signed.Over), nil)
			return d
		}),
		"nobody verified": set(KindDetermine, func(a Act) Act {
			d := a.(Determine)
			d.Signed.Passkey.AuthenticatorData = slices.Concat(d.Signed.Passkey.AuthenticatorData[:32], []byte{1}, d.Signed.Passkey.AuthenticatorData[33:])
			return d
		}),
		"another outcome": set(KindDetermine, func(a Act) Act { d := a.(Determine); d.Outcome, d.Departure = Undetermined, "x"; return d }),
		"the same for another": set(KindAdopt, func(a Act) Act {
			d := a.(Adopt)
			d.Signed.Passkey, d.Signed.Bytes = determined.Signed.Passkey, determined.Signed.Bytes
			return d
		}),
		"no assertion": set(KindDetermine, func(a Act) Act { d := a.(Determine); d.Signed.Passkey = ledger.Assertion{}; return d }),
	} {
		if _, err := Verify(c.Rules, bad, nil, nil); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := slices.Clone(records)
	for i, r := range other { // the house itself says that it is elsewhere
		if n, ok := r.Event.Act.(NameKey); ok && n.Passkey == here {
			n.Passkey = RelyingParty{ID: "other.example", Origin: "https://other.example"}
			other[i].Event.Act = n
		}
	}
	if _, err := Verify(c.Rules, other, nil, nil); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("another house: %v", err)
	}
	// And it is all of an answer's digest, by which the authority signs it.
	withheld := func(s Signature) proofhouse.Digest {
		return Consultation{View: Agrees, Reason: "x", Answered: start, Signed: s}.answer()
	}
	s := determined.Signed
	altered := s
	altered.Passkey.ClientData = append(slices.Clone(s.Passkey.ClientData), ' ')
	if withheld(s) == withheld(altered) || withheld(s) == withheld(Signature{Over: s.Over, Bytes: s.Bytes}) {
		t.Error("an answer's digest leaves out what a passkey signed")
	}
}

// TestPasskeyRecord: a record with a passkey's signature has one spelling too, and one without says nothing of passkeys.
func TestPasskeyRecord(t *testing.T) {
	_, records := told(t, authority, adopter)
	for _, r := range records {
		line, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseRecord(line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		_, signs := r.Event.Act.(signedAct)
		_, names := r.Event.Act.(NameKey)
		wants := (signs || names) && (r.Event.By == authority || r.Event.By == adopter)
		if strings.Contains(string(line), `"passkey"`) != wants {
			t.Errorf("%s", line)
		}
	}
}
