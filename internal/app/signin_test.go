package app

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// rp is the house of these tests as authenticators know it.
var rp = virtualwebauthn.RelyingParty{Name: "Proofhouse", ID: "house.example", Origin: "https://house.example"}

// doored is a house that browsers reach at rp's origin.
func doored(t *testing.T) *served {
	t.Helper()
	s := serveHouseAs(t, t.TempDir(), HouseConfig{Origin: "example/log", URL: rp.Origin})
	s.populate(t)
	return s
}

// visitor is somebody's browser, whose answers for authenticators a test gives.
type visitor struct {
	t    *testing.T
	http *http.Client
	url  string
}

// sentence is why somebody was not let in, as the page says it.
var sentence = regexp.MustCompile(`<p class="problem" role="alert">[A-Z][^<]*\.</p>`)

func (s *served) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, s.url}
}

func (b *visitor) get(path string) (status int, text string) {
	b.t.Helper()
	resp, err := b.http.Get(b.url + path)
	return b.read(resp, err)
}

func (b *visitor) post(path string, form url.Values) (status int, text string) {
	b.t.Helper()
	resp, err := b.http.PostForm(b.url+path, form)
	return b.read(resp, err)
}

func (b *visitor) read(resp *http.Response, err error) (int, string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(text) + resp.Header.Get("Location")
}

// in says whether the house takes the browser for somebody's.
func (b *visitor) in() bool {
	b.t.Helper()
	status, _ := b.get("/settings/sign-in")
	return status == http.StatusOK
}

var asks = regexp.MustCompile(`data-options="([^"]*)"[^>]*><input type="hidden" name="ceremony" value="([^"]*)"`)

// asked is what a page asks an authenticator for.
func (b *visitor) asked(path string) (options, ceremony string) {
	b.t.Helper()
	_, text := b.get(path)
	m := asks.FindStringSubmatch(text)
	if m == nil {
		b.t.Fatalf("%s asks for no passkey: %s", path, text)
	}
	return html.UnescapeString(m[1]), m[2]
}

// key is an authenticator with one passkey.
type key struct {
	device virtualwebauthn.Authenticator
	cred   virtualwebauthn.Credential
}

// register adds a fresh passkey for who is signed in.
func (b *visitor) register(label string) *key {
	b.t.Helper()
	options, ceremony := b.asked("/settings/sign-in")
	k, answer := made(b.t, options, rp)
	if status, text := b.post("/settings/sign-in/passkeys", url.Values{"ceremony": {ceremony}, "answer": {answer}, "label": {label}}); status != http.StatusSeeOther {
		b.t.Fatalf("a passkey is not taken: %d %s", status, text)
	}
	return k
}

// made is a fresh passkey for the options of a page.
func made(t *testing.T, options string, rp virtualwebauthn.RelyingParty) (k *key, answer string) {
	t.Helper()
	return madeOf(t, options, rp, virtualwebauthn.KeyTypeEC2)
}

func madeOf(t *testing.T, options string, rp virtualwebauthn.RelyingParty, sort virtualwebauthn.KeyType) (k *key, answer string) {
	t.Helper()
	o, err := virtualwebauthn.ParseAttestationOptions(options)
	if err != nil {
		t.Fatal(err)
	}
	k = &key{virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: []byte(o.UserID)}), virtualwebauthn.NewCredential(sort)}
	return k, virtualwebauthn.CreateAttestationResponse(rp, k.device, k.cred, *o)
}

// answer answers the options of a page.
func (k *key) answer(t *testing.T, options string, rp virtualwebauthn.RelyingParty) string {
	t.Helper()
	o, err := virtualwebauthn.ParseAssertionOptions(options)
	if err != nil {
		t.Fatal(err)
	}
	return virtualwebauthn.CreateAssertionResponse(rp, k.device, k.cred, *o)
}

// comeIn signs in with a passkey.
func (b *visitor) comeIn(k *key) (status int, text string) {
	b.t.Helper()
	options, ceremony := b.asked("/sign-in")
	k.cred.Counter++
	return b.post("/sign-in/passkey", url.Values{"ceremony": {ceremony}, "answer": {k.answer(b.t, options, rp)}})
}

// withToken signs in with a token.
func (b *visitor) withToken(token string) {
	b.t.Helper()
	if status, text := b.post("/sign-in", url.Values{"token": {token}}); status != http.StatusSeeOther {
		b.t.Fatalf("a token is not taken: %d %s", status, text)
	}
}

// session is the cookie's value.
func (b *visitor) session() string {
	u, err := url.Parse(b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.http.Jar.Cookies(u) {
		return c.Value
	}
	return ""
}

// TestSessions: a session is no token and a token no session; it ends when it is left, when what opened it is revoked, when it
// is revoked itself, with its time, and with its owner.
func TestSessions(t *testing.T) {
	s, ctx := doored(t), t.Context()
	b := s.visitor(t)
	if status, _ := b.post("/sign-in", url.Values{"token": {"pht_nothing"}}); status != http.StatusForbidden || b.in() {
		t.Errorf("a wrong token: %d", status)
	}
	b.withToken(s.tokens["bob"])
	first := b.session()
	if !b.in() || first == s.tokens["bob"] {
		t.Fatal("a token does not open a session of its own")
	}
	if _, err := (wire.Client{URL: s.url, Token: first}).Me(ctx); err == nil {
		t.Error("the API takes a session for a token")
	}
	for _, path := range []string{"/", "/settings/sign-in"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.AddCookie(&http.Cookie{Name: "proofhouse", Value: s.tokens["bob"]})
		if status, _ := b.read(http.DefaultTransport.RoundTrip(req)); status == http.StatusOK {
			t.Errorf("%s takes a token for a session", path)
		}
	}

	// Signing in again ends the session before, and signing out the last.
	b.withToken(s.tokens["bob"])
	if _, err := s.Directory.Session(ctx, first, time.Now()); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("the session before goes on: %v", err)
	}
	second := b.session()
	b.post("/sign-out", nil)
	if _, err := s.Directory.Session(ctx, second, time.Now()); proofhouse.KindOf(err) != proofhouse.NotFound || b.in() {
		t.Errorf("it goes on after it was left: %v", err)
	}

	// Revoked by name, and with the token that opened it.
	b.withToken(s.tokens["bob"])
	list, err := s.as("bob").Tokens(ctx, "bob@lab")
	if err != nil {
		t.Fatal(err)
	}
	var open, token string
	for _, k := range list.Tokens {
		switch {
		case k.Session() && k.Holds(time.Now()):
			open = k.ID
		case !k.Session():
			token = k.ID
		}
	}
	if err := s.as("ada").RevokeToken(ctx, open); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("another's session: %v", err)
	}
	if err := s.as("bob").RevokeToken(ctx, open); err != nil || b.in() {
		t.Errorf("a revoked session goes on: %v", err)
	}
	b.withToken(s.tokens["bob"])
	if err := s.as("ann").RevokeToken(ctx, token); err != nil || b.in() {
		t.Errorf("a session goes on after its token was revoked: %v", err)
	}

	// With its time, whichever comes first.
	now := time.Now()
	secret, err := s.Directory.SessionFor(ctx, s.tokens["ada"], now)
	if err != nil {
		t.Fatal(err)
	}
	holds := func(at time.Time) bool {
		_, err := s.Directory.Session(ctx, secret, at)
		return err == nil
	}
	if !holds(now.Add(50*time.Minute)) || holds(now.Add(time.Hour)) {
		t.Error("a session ends later or earlier than its token")
	}
	long, _, err := s.Directory.IssueToken(ctx, principal(t, s, "ada"), "ada@lab", "long", now.Add(48*time.Hour), now)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err = s.Directory.SessionFor(ctx, long, now); err != nil {
		t.Fatal(err)
	}
	if holds(now.Add(policy.SessionIdle)) || !holds(now.Add(policy.SessionIdle-time.Second)) {
		t.Error("a session goes on that nobody was seen in, or ends before")
	}
	if secret, err = s.Directory.SessionFor(ctx, long, now); err != nil {
		t.Fatal(err)
	}
	for at := now; at.Before(now.Add(policy.SessionLife)); at = at.Add(50 * time.Minute) {
		if !holds(at) {
			t.Fatalf("a session that is used ends after %s", at.Sub(now))
		}
	}
	if holds(now.Add(policy.SessionLife)) {
		t.Error("a session that is used never ends")
	}

	// With its owner.
	b.withToken(s.tokens["pat"])
	if err := s.as("ann").EndPerson(ctx, "pat@bank"); err != nil || b.in() {
		t.Errorf("a session goes on after its owner: %v", err)
	}
	if _, err := s.Directory.Session(ctx, b.session(), time.Now()); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a session is somebody's who has left: %v", err)
	}
	// What is sealed, and what the register says, has no secret.
	for _, e := range s.register(t) {
		if bytes.Contains(e, []byte("phs_")) {
			t.Errorf("the register has a session: %s", e)
		}
	}
}

func principal(t *testing.T, s *served, who string) policy.Principal {
	t.Helper()
	p, err := s.Directory.Authenticate(t.Context(), s.tokens[who], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return policy.Principal{Person: p}
}

func (s *served) register(t *testing.T) []json.RawMessage {
	t.Helper()
	all, err := s.as("ann").Register(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return all.Entries
}

// acts are how often each act stands in the register.
func (s *served) acts(t *testing.T) map[string]int {
	t.Helper()
	acts := map[string]int{}
	for _, e := range s.register(t) {
		var line houseLine
		if err := json.Unmarshal(e, &line); err != nil {
			t.Fatal(err)
		}
		acts[line.Act]++
	}
	return acts
}

// TestPasskey adds passkeys, comes in with them, and is refused with whatever is not quite one.
func TestPasskey(t *testing.T) {
	s, ctx := doored(t), t.Context()
	bob := s.visitor(t)
	bob.withToken(s.tokens["bob"])
	k := bob.register("laptop")
	if acts := s.acts(t); acts["add a way in"] != 1 || acts["sign in"] != 1 {
		t.Errorf("the register has %v", acts)
	}
	if all, err := s.as("bob").Ways(ctx, "bob@lab"); err != nil || len(all.Ways) != 1 || all.Ways[0].Label != "laptop" || len(all.Ways[0].Passkey) != 0 {
		t.Errorf("%+v %v", all, err)
	}
	if _, err := s.as("ada").Ways(ctx, "bob@lab"); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("a colleague reads them: %v", err)
	}
	if status, text := s.visitor(t).comeIn(k); status != http.StatusSeeOther {
		t.Fatalf("it does not come in: %d %s", status, text)
	}
	stranger := s.visitor(t)
	refused := func(what string, form url.Values) {
		t.Helper()
		status, text := stranger.post("/sign-in/passkey", form)
		if status != http.StatusForbidden || stranger.in() {
			t.Errorf("%s: %d %s", what, status, text)
		}
		if !sentence.MatchString(text) {
			t.Errorf("%s: the page does not say why in a sentence: %s", what, text)
		}
	}
	answered := func(k *key, as virtualwebauthn.RelyingParty) url.Values {
		t.Helper()
		options, ceremony := stranger.asked("/sign-in")
		k.cred.Counter++
		return url.Values{"ceremony": {ceremony}, "answer": {k.answer(t, options, as)}}
	}

	refused("another origin", answered(k, virtualwebauthn.RelyingParty{ID: rp.ID, Origin: "https://house.example.evil.example"}))
	refused("another origin's port", answered(k, virtualwebauthn.RelyingParty{ID: rp.ID, Origin: rp.Origin + ":8443"}))
	refused("another relying party", answered(k, virtualwebauthn.RelyingParty{ID: "evil.example", Origin: rp.Origin}))
	unverified := *k
	unverified.device.Options.UserNotVerified = true
	refused("nobody was verified", answered(&unverified, rp))
	absent := *k
	absent.device.Options.UserNotPresent = true
	refused("nobody was there", answered(&absent, rp))
	unknown := &key{k.device, virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)}
	refused("a passkey that nobody added", answered(unknown, rp))
	forged := &key{k.device, unknown.cred}
	forged.cred.ID = k.cred.ID
	refused("another key under its name", answered(forged, rp))
	nameless := *k
	nameless.device.Options.UserHandle = nil
	refused("without a name", answered(&nameless, rp))

	// A challenge is the house's own, is answered once, in its time, and is for what it is for.
	other := answered(k, rp)
	_, ceremony := stranger.asked("/sign-in")
	other.Set("ceremony", ceremony)
	refused("the answer to another challenge", other)
	refused("no ceremony", url.Values{"answer": other["answer"]})
	_, adding := bob.asked("/settings/sign-in")
	refused("a ceremony for something else", url.Values{"answer": other["answer"], "ceremony": {adding}})
	once := answered(k, rp)
	if status, text := s.visitor(t).post("/sign-in/passkey", once); status != http.StatusSeeOther {
		t.Fatalf("%d %s", status, text)
	}
	refused("the same answer again", once)
	if all, _ := s.as("bob").Ways(ctx, "bob@lab"); !all.Ways[0].Suspect.IsZero() {
		t.Error("an answer that came twice makes a passkey suspect: whoever saw one could lock its owner out")
	}
	options, late, err := s.door.AskPasskey(time.Now().Add(-ceremonyLife))
	if err != nil {
		t.Fatal(err)
	}
	k.cred.Counter++
	refused("too late", url.Values{"ceremony": {late}, "answer": {k.answer(t, options, rp)}})

	// Somebody else's passkey stays theirs, whatever name it gives.
	pat := s.visitor(t)
	pat.withToken(s.tokens["pat"])
	pats := pat.register("")
	crossed := &key{pats.device, pats.cred}
	crossed.device.Options.UserHandle = k.device.Options.UserHandle
	refused("another's passkey under his name", answered(crossed, rp))
	options, ceremony = bob.asked("/settings/sign-in")
	_, answer := made(t, options, rp)
	if status, _ := pat.post("/settings/sign-in/passkeys", url.Values{"ceremony": {ceremony}, "answer": {answer}}); status != http.StatusForbidden {
		t.Errorf("a passkey that was made for another: %d", status)
	}
	options, ceremony = pat.asked("/settings/sign-in")
	if o, err := virtualwebauthn.ParseAttestationOptions(options); err != nil {
		t.Fatal(err)
	} else if status, _ := pat.post("/settings/sign-in/passkeys", url.Values{"ceremony": {ceremony}, "answer": {virtualwebauthn.CreateAttestationResponse(rp, k.device, k.cred, *o)}}); status != http.StatusConflict {
		t.Errorf("a passkey that is another's already: %d", status)
	}
	options, ceremony = pat.asked("/settings/sign-in")
	o, err := virtualwebauthn.ParseAttestationOptions(options)
	if err != nil {
		t.Fatal(err)
	}
	silent := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserNotVerified: true})
	if status, _ := pat.post("/settings/sign-in/passkeys", url.Values{"ceremony": {ceremony}, "answer": {virtualwebauthn.CreateAttestationResponse(rp, silent, virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2), *o)}}); status != http.StatusForbidden {
		t.Errorf("a passkey that verifies nobody: %d", status)
	}
	if n := s.acts(t)["add a way in"]; n != 2 {
		t.Errorf("%d ways were added", n)
	}
}

// TestPasskeyCopied: a counter that goes back closes the passkey to the copy and to its owner, until it is replaced.
func TestPasskeyCopied(t *testing.T) {
	s, ctx := doored(t), t.Context()
	bob := s.visitor(t)
	bob.withToken(s.tokens["bob"])
	k := bob.register("key on the ring")
	copied := *k
	for range 2 {
		if status, text := s.visitor(t).comeIn(k); status != http.StatusSeeOther {
			t.Fatalf("%d %s", status, text)
		}
	}
	if status, _ := s.visitor(t).comeIn(&copied); status != http.StatusForbidden {
		t.Errorf("a copy comes in: %d", status)
	}
	for range 2 {
		if status, _ := s.visitor(t).comeIn(k); status != http.StatusForbidden {
			t.Errorf("a passkey that has a copy comes in: %d", status)
		}
	}
	if n := s.acts(t)["suspect a copy of a passkey"]; n != 1 {
		t.Errorf("it is recorded %d times", n)
	}
	all, err := s.as("bob").Ways(ctx, "bob@lab")
	if err != nil || len(all.Ways) != 1 || all.Ways[0].Suspect.IsZero() {
		t.Fatalf("%+v %v", all, err)
	}
	if err := s.as("bob").RemoveWay(ctx, all.Ways[0].ID, false); err != nil {
		t.Error(err)
	}
}

// TestLastWay: removing a way ends its sessions; the last one goes only if that is meant.
func TestLastWay(t *testing.T) {
	s, ctx := doored(t), t.Context()
	bob := s.visitor(t)
	bob.withToken(s.tokens["bob"])
	first, second := bob.register("one"), bob.register("two")
	all, err := s.as("bob").Ways(ctx, "bob@lab")
	if err != nil || len(all.Ways) != 2 {
		t.Fatalf("%+v %v", all, err)
	}
	one, two := s.visitor(t), s.visitor(t)
	one.comeIn(first)
	two.comeIn(second)
	if !one.in() || !two.in() {
		t.Fatal("they do not come in")
	}
	if err := s.as("ada").RemoveWay(ctx, all.Ways[0].ID, true); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a colleague removes it: %v", err)
	}
	tokens, err := s.as("bob").Tokens(ctx, "bob@lab")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range tokens.Tokens {
		if !k.Session() {
			if err := s.as("bob").RevokeToken(ctx, k.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if status, _ := two.post("/settings/sign-in/remove", url.Values{"way": {all.Ways[0].ID}}); status != http.StatusSeeOther {
		t.Errorf("one of two is not removed: %d", status)
	}
	if one.in() || !two.in() {
		t.Error("the session of the removed one goes on, or the other's does not")
	}
	if status, _ := s.visitor(t).comeIn(first); status != http.StatusForbidden {
		t.Errorf("a removed passkey comes in: %d", status)
	}
	if status, text := two.post("/settings/sign-in/remove", url.Values{"way": {all.Ways[1].ID}}); status != http.StatusForbidden || !strings.Contains(text, "last way in") {
		t.Errorf("the last one: %d %s", status, text)
	}
	if status, _ := two.post("/settings/sign-in/remove", url.Values{"way": {all.Ways[1].ID}, "last": {"yes"}}); status != http.StatusSeeOther || two.in() {
		t.Errorf("the last one, meant: %d", status)
	}
	// Who was given an end comes in no more.
	pat := s.visitor(t)
	pat.withToken(s.tokens["pat"])
	pats := pat.register("")
	if err := s.as("ann").EndPerson(ctx, "pat@bank"); err != nil {
		t.Fatal(err)
	}
	if status, _ := s.visitor(t).comeIn(pats); status != http.StatusForbidden {
		t.Errorf("who has left comes in: %d", status)
	}
}

// TestFirstInBrowser: the one-time code makes the first administrator, who adds a passkey.
func TestFirstInBrowser(t *testing.T) {
	s := serveHouseAs(t, t.TempDir(), HouseConfig{Origin: "example/log", URL: "http://localhost:8300/"})
	code, err := s.Directory.FirstCode(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"code": {policy.NewCode()}, "organisation": {"institute"}, "organisation-title": {"Institute"}, "person": {"ann"}, "person-title": {"Ann"}}
	b := s.visitor(t)
	if status, _ := b.post("/first", form); status != http.StatusForbidden || b.in() {
		t.Errorf("a wrong code: %d", status)
	}
	form.Set("code", code)
	if status, text := b.post("/first", form); status != http.StatusOK || !strings.Contains(text, "pht_") || !b.in() {
		t.Errorf("the code: %d %s", status, text)
	}
	if status, _ := s.visitor(t).post("/first", form); status != http.StatusForbidden {
		t.Errorf("the code again: %d", status)
	}
	if options, _ := b.asked("/settings/sign-in"); !strings.Contains(options, `"id":"localhost"`) {
		t.Error(options)
	}
}

// TestPublicAddress: what passkeys cannot be bound to refuses the start.
func TestPublicAddress(t *testing.T) {
	for _, wrong := range []string{"http://house.example", "https://192.0.2.1", "https://[::1]", "house.example", "https://house.example/proof", "https://a@house.example", "https://house.example?x", "http://127.0.0.1:8300"} {
		if _, err := newDoor(Directory{}, wrong, ""); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	s := serveHouse(t, t.TempDir(), "sqlite:"+filepath.Join(t.TempDir(), "house.db"))
	b := s.visitor(t)
	if _, text := b.get("/sign-in"); strings.Contains(text, "data-passkey") || strings.Contains(text, "<script") || !strings.Contains(text, "API token") {
		t.Error("a house without a public address asks for passkeys")
	}
	if status, _ := b.post("/sign-in/passkey", url.Values{"ceremony": {"x"}, "answer": {"{}"}}); status != http.StatusForbidden {
		t.Errorf("or takes them: %d", status)
	}
}
