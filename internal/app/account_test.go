package app

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// idp is a provider of identities (OpenID Connect Core 1.0), as small as the house's questions are, which a test makes lie.
type idp struct {
	*httptest.Server
	t           *testing.T
	key, forger *rsa.PrivateKey

	mu      sync.Mutex
	subject string
	asked   map[string]url.Values // by code
	lie     lie
}

// lie is what a provider, or somebody who claims to be it, does wrong.
type lie struct {
	claims   map[string]any // nil takes a claim away
	forged   bool           // another key signs
	unsigned bool
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	p := &idp{t: t, asked: map[string]url.Values{}}
	for _, k := range []**rsa.PrivateKey{&p.key, &p.forger} {
		var err error
		if *k, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	give := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		give(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		give(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "1", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		code := proofhouse.Token(10)
		p.asked[code] = r.URL.Query()
		http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {r.URL.Query().Get("state")}}.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		asked, ok := p.asked[r.PostFormValue("code")]
		delete(p.asked, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		id, secret, _ := r.BasicAuth()
		if !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") || asked.Get("code_challenge_method") != "S256" || id != "proofhouse" || secret != "canary-secret" || r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") {
			w.WriteHeader(http.StatusBadRequest)
			give(w, map[string]string{"error": "invalid_grant"})
			return
		}
		claims := map[string]any{"iss": p.URL, "sub": p.subject, "aud": "proofhouse", "nonce": asked.Get("nonce"), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
		maps.Copy(claims, p.lie.claims)
		maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
		give(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": p.sign(claims)})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *idp) sign(claims map[string]any) string {
	b, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
	}
	if p.lie.unsigned {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(b) + "."
	}
	key := p.key
	if p.lie.forged {
		key = p.forger
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	if err != nil {
		p.t.Error(err)
		return ""
	}
	signed, err := signer.Sign(b)
	if err != nil {
		p.t.Error(err)
		return ""
	}
	text, _ := signed.CompactSerialize()
	return text
}

// at has somebody sign in there, as subject, who lies about it.
func (p *idp) at(subject string, l lie) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subject, p.lie = subject, l
}

// issuers writes a house's file of issuers.
func (p *idp) issuers(t *testing.T, more ...*idp) string {
	t.Helper()
	dir := t.TempDir()
	text := ""
	for i, q := range append([]*idp{p}, more...) {
		id := []string{"staff", "other"}[i]
		text += "[[issuer]]\nid = \"" + id + "\"\ntitle = \"The " + id + "'s accounts\"\naddress = \"" + q.URL + "\"\nclient = \"proofhouse\"\nsecret_file = \"secret\"\n"
	}
	for name, b := range map[string]string{"issuers.toml": text, "secret": "canary-secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "issuers.toml")
}

// shown goes to an issuer from a page of the house and gives the address, at the house, to which it is sent back.
func (b *visitor) shown(path string) string {
	b.t.Helper()
	_, to := b.follow(b.url + path)
	if to == "" {
		b.t.Fatalf("%s leads to no issuer", path)
	}
	_, to = b.follow(to)
	back, err := url.Parse(to)
	if err != nil || !strings.HasPrefix(to, rp.Origin+"/sign-in/account/") {
		b.t.Fatalf("the issuer leads to %q", to)
	}
	return back.RequestURI()
}

func (b *visitor) follow(address string) (status int, to string) {
	b.t.Helper()
	resp, err := b.http.Get(address)
	if err != nil {
		b.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

var shownCeremony = regexp.MustCompile(`name="ceremony" value="([^"]*)"`)

// TestAccount signs people in by accounts elsewhere, and nobody by what a provider did not say of this browser's question.
func TestAccount(t *testing.T) {
	staff, other := newIDP(t), newIDP(t)
	s := serveHouseAs(t, t.TempDir(), HouseConfig{Origin: "example/log", URL: rp.Origin, Issuers: staff.issuers(t, other)})
	s.populate(t)
	staff.at("bob-elsewhere", lie{})
	other.at("bob-elsewhere", lie{})

	// Bob adds his account, in his own session.
	b := s.visitor(t)
	b.withToken(s.tokens["bob"])
	_, text := b.get(b.shown("/settings/sign-in/account/staff"))
	m := shownCeremony.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("the account is not offered: %s", text)
	}
	ada := s.visitor(t)
	ada.withToken(s.tokens["ada"])
	if status, _ := ada.post("/settings/sign-in/accounts", url.Values{"ceremony": {m[1]}}); status != http.StatusForbidden {
		t.Errorf("ada adds what bob showed: %d", status)
	}
	stranger := s.visitor(t)
	if status, _ := stranger.post("/settings/sign-in/accounts", url.Values{"ceremony": {m[1]}}); status == http.StatusSeeOther {
		t.Error("a stranger adds what bob showed")
	}
	if status, text := b.post("/settings/sign-in/accounts", url.Values{"ceremony": {m[1]}, "label": {"work"}}); status != http.StatusSeeOther {
		t.Fatalf("it is not added: %d %s", status, text)
	}
	if status, _ := b.post("/settings/sign-in/accounts", url.Values{"ceremony": {m[1]}}); status != http.StatusForbidden {
		t.Errorf("it is added twice: %d", status)
	}
	ways, err := s.as("bob").Ways(t.Context(), "bob@lab")
	if err != nil || len(ways.Ways) != 1 || ways.Ways[0].Issuer != staff.URL || ways.Ways[0].Subject != "bob-elsewhere" || ways.Ways[0].Label != "work" {
		t.Fatalf("bob's ways: %+v, %v", ways, err)
	}

	// He comes in by it, and goes on to the page that he wanted.
	b = s.visitor(t)
	status, text := b.get(b.shown("/sign-in/account/staff?to=%2Ffindings"))
	if status != http.StatusOK || !strings.Contains(text, `href="/findings"`) || !b.in() {
		t.Fatalf("bob does not come in: %d %s", status, text)
	}
	me, err := s.Directory.Session(t.Context(), b.session(), time.Now())
	if err != nil || me.Name() != "bob@lab" {
		t.Errorf("the session is of %s: %v", me.Name(), err)
	}
	// Never out of the house.
	c := s.visitor(t)
	if _, text := c.get(c.shown("/sign-in/account/staff?to=https%3A%2F%2Felsewhere.example%2F")); strings.Contains(text, "elsewhere.example") || !strings.Contains(text, `href="/"`) {
		t.Errorf("it leads elsewhere: %s", text)
	}

	refused := func(what string, b *visitor, back string) {
		t.Helper()
		status, text := b.get(back)
		if status != http.StatusForbidden || b.in() || strings.Contains(text, "canary") || strings.Contains(text, "bob-elsewhere") {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	for what, is := range map[string]struct {
		subject string
		lie     lie
	}{
		"nobody's account":     {"eve-elsewhere", lie{}},
		"another question":     {"bob-elsewhere", lie{claims: map[string]any{"nonce": "x"}}},
		"no question":          {"bob-elsewhere", lie{claims: map[string]any{"nonce": nil}}},
		"for another house":    {"bob-elsewhere", lie{claims: map[string]any{"aud": "somebody"}}},
		"of another issuer":    {"bob-elsewhere", lie{claims: map[string]any{"iss": other.URL}}},
		"long ago":             {"bob-elsewhere", lie{claims: map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}}},
		"signed by another":    {"bob-elsewhere", lie{forged: true}},
		"signed by nobody":     {"bob-elsewhere", lie{unsigned: true}},
		"nobody":               {"", lie{}},
		"the subject in caps":  {"BOB-ELSEWHERE", lie{}},
		"a space after it":     {"bob-elsewhere ", lie{}},
		"an address of mail's": {"eve", lie{claims: map[string]any{"email": "bob-elsewhere"}}},
	} {
		staff.at(is.subject, is.lie)
		b := s.visitor(t)
		refused(what, b, b.shown("/sign-in/account/staff"))
	}
	staff.at("bob-elsewhere", lie{})

	// The same subject with another issuer is somebody else.
	b = s.visitor(t)
	refused("the other issuer's bob", b, b.shown("/sign-in/account/other"))
	// An answer is for the browser that asked, once, at its own address, in time.
	b, c = s.visitor(t), s.visitor(t)
	back := b.shown("/sign-in/account/staff")
	refused("another browser", c, back)
	refused("another state", b, regexp.MustCompile(`state=[^&]*`).ReplaceAllString(back, "state=x"))
	b = s.visitor(t)
	back = b.shown("/sign-in/account/staff")
	refused("the other's address", b, strings.Replace(back, "/staff/", "/other/", 1))
	b = s.visitor(t)
	back = b.shown("/sign-in/account/staff")
	refused("another issuer's word", b, back+"&iss="+url.QueryEscape(other.URL))
	b = s.visitor(t)
	refused("no leave", b, regexp.MustCompile(`code=[^&]*`).ReplaceAllString(b.shown("/sign-in/account/staff"), "error=access_denied"))
	_, ceremony, err := s.door.AskAccount(t.Context(), "staff", "/", policy.Person{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := s.door.Account(t.Context(), "staff", ceremony, url.Values{}, time.Now().Add(2*ceremonyLife)); proofhouse.KindOf(err) != proofhouse.Refused {
		t.Errorf("too late: %v", err)
	}
	address, ceremony, err := s.door.AskAccount(t.Context(), "staff", "/", policy.Person{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, to := s.visitor(t).follow(address)
	answered, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []error{nil, errCeremony} {
		if _, _, _, err := s.door.Account(t.Context(), "staff", ceremony, answered.Query(), time.Now()); !errors.Is(err, want) {
			t.Errorf("an answer comes twice: %v, want %v", err, want)
		}
	}
	if status, _ := b.get("/sign-in/account/nobody"); status != http.StatusNotFound {
		t.Errorf("an issuer that there is not: %d", status)
	}

	// Taken away, it opens nothing, and its session ends.
	b = s.visitor(t)
	b.get(b.shown("/sign-in/account/staff"))
	if !b.in() {
		t.Fatal("bob does not come in again")
	}
	if err := s.as("bob").RemoveWay(t.Context(), ways.Ways[0].ID, false); err != nil {
		t.Fatal(err)
	}
	if b.in() {
		t.Error("the session goes on without its account")
	}
	b = s.visitor(t)
	refused("after it was taken away", b, b.shown("/sign-in/account/staff"))

	// An issuer that is away keeps nobody from coming in otherwise.
	other.Close()
	b = s.visitor(t)
	b.withToken(s.tokens["bob"])
	if !b.in() {
		t.Error("nobody comes in")
	}
}

// TestIssuerSilent: an issuer that does not answer is asked once for all who come, and again later.
func TestIssuerSilent(t *testing.T) {
	asked := 0
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer down.Close()
	i := &issuer{Issuer: policy.Issuer{ID: "staff", Title: "Staff", Address: down.URL}}
	for range 3 {
		if _, err := i.provider(t.Context()); proofhouse.KindOf(err) != proofhouse.Unavailable {
			t.Errorf("it does not answer: %v", err)
		}
	}
	i.silent = time.Now().Add(-2 * issuerPause)
	if _, err := i.provider(t.Context()); err == nil || asked != 2 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

// TestIssuersRefused: a file of issuers is right, or the house does not open, and says why.
func TestIssuersRefused(t *testing.T) {
	const good = "[[issuer]]\nid = \"staff\"\ntitle = \"Staff\"\naddress = \"https://id.example\"\nclient = \"proofhouse\"\n"
	for text, says := range map[string]string{
		strings.Replace(good, "staff", "St aff", 1): "id is a word",
		good + good: "id is a word",
		strings.Replace(good, "https://", "http://", 1):             "needs an address",
		strings.Replace(good, "https://", "https://a:b@", 1):        "needs an address",
		strings.Replace(good, `"proofhouse"`, `""`, 1):              "a client",
		strings.Replace(good, "client", "cleint", 1):                "is a list of",
		good + "secret_file = \"none\"\n":                           "secret",
		"[[issuer":                                                  "is a list of",
		strings.Replace(good, "Staff", strings.Repeat("s", 101), 1): "title",
	} {
		name := filepath.Join(t.TempDir(), "issuers.toml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		kind := proofhouse.Invalid
		if says == "secret" { // a file of its own
			kind = proofhouse.NotFound
		}
		if _, err := readIssuers(name, rp.Origin); proofhouse.KindOf(err) != kind || !strings.Contains(proofhouse.PublicOf(err), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
	name := filepath.Join(t.TempDir(), "issuers.toml")
	if err := os.WriteFile(name, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if all, err := readIssuers(name, rp.Origin+"/"); err != nil || len(all) != 1 || all[0].config.RedirectURL != "https://house.example/sign-in/account/staff/back" {
		t.Errorf("%+v, %v", all, err)
	}
	secret := filepath.Join(filepath.Dir(name), "secret")
	if err := errors.Join(os.WriteFile(name, []byte(good+"secret_file = \"secret\"\n"), 0o600), os.WriteFile(secret, []byte("s"), 0o600), os.Chmod(secret, 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := readIssuers(name, rp.Origin); proofhouse.KindOf(err) != proofhouse.Refused || !strings.Contains(proofhouse.PublicOf(err), "chmod 600") {
		t.Errorf("a secret that others can read: %v", err)
	}
	if _, err := readIssuers(name, ""); proofhouse.KindOf(err) != proofhouse.Invalid {
		t.Errorf("without --url: %v", err)
	}
}
