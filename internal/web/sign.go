package web

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// Door is what opens sessions. Whoever is not let in reads why, in a public sentence.
type Door interface {
	// Token opens a session for whose token it is; another is proofhouse.NotFound.
	Token(ctx context.Context, token string, now time.Time) (session string, err error)
	// First makes the first administrator, by the one-time code.
	First(ctx context.Context, code string, o policy.Organisation, p policy.Person, now time.Time) (session, token string, err error)
	// Leave ends a session.
	Leave(ctx context.Context, session string, now time.Time) error

	// Passkeys says whether there can be any. If not, what is asked of one is proofhouse.Unavailable.
	Passkeys() bool
	// AskPasskey is what the browser of a stranger is asked, and Passkey opens a session for the answer.
	AskPasskey(now time.Time) (options, ceremony string, err error)
	Passkey(ctx context.Context, ceremony, answer string, now time.Time) (session string, err error)
	// Issuers are where people may have accounts. AskAccount is where a browser is sent to show one, and the ceremony that it carries meanwhile;
	// Account takes what it comes back with, and opens a session and says where to go on, or, of an account to be added for who, gives the ceremony for AddAccount.
	Issuers() []policy.Issuer
	AskAccount(ctx context.Context, issuer, to string, who policy.Person, now time.Time) (address, ceremony string, err error)
	Account(ctx context.Context, issuer, ceremony string, answer url.Values, now time.Time) (session, to, adding string, err error)
	AddAccount(ctx context.Context, who policy.Person, ceremony, label string, now time.Time) error
	// OfferPasskey is what the browser of who is signed in is asked, and AddPasskey adds the answer.
	OfferPasskey(ctx context.Context, who policy.Person, now time.Time) (options, ceremony string, err error)
	AddPasskey(ctx context.Context, who policy.Person, ceremony, answer, label string, now time.Time) error

	// SigningPasskeys are the passkeys that who is signed in can name to sign with.
	SigningPasskeys(ctx context.Context, who policy.Person) ([]Passkey, error)
	// AskSignature is what their browser is asked, so that the passkey that they named signs a challenge; proofhouse.Refused if it is theirs no more.
	AskSignature(ctx context.Context, who policy.Person, key docket.SigningKey, challenge string) (options string, err error)
}

// Passkey is a passkey of somebody's, with what names it in a case.
type Passkey = page.Passkey

// cookie holds the session of who has signed in.
const cookie = "proofhouse"

// session is the one that a browser sends, or "".
func session(r *http.Request) string {
	c, err := r.Cookie(cookie)
	if err != nil {
		return ""
	}
	return c.Value
}

// client asks the API in this process, which takes sessions for tokens.
func (s site) client(session string) wire.Client {
	return wire.Client{URL: "http://house", Token: session, HTTP: &http.Client{Transport: inside{s.API}}}
}

// inside is a handler that a client reaches without a network. Answers are held whole: flowing is for those that may be long.
type inside struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (h inside) RoundTrip(r *http.Request) (*http.Response, error) {
	w := answer{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(&w, within(r))
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Proto: r.Proto, ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// within is a client's request as a handler in this process gets it.
func within(r *http.Request) *http.Request {
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI = r.URL.RequestURI()
	return in
}

// answer is what a handler wrote.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	begun  bool
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter: the first status holds.
func (a *answer) WriteHeader(status int) {
	if !a.begun {
		a.begun, a.status = true, status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// local is a path of this house, or "/": nobody is led elsewhere.
func local(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, `\`) {
		return "/"
	}
	return path
}

// maxForm bounds what a sign-in sends, in bytes.
const maxForm = 64 << 10

// sign adds the pages by which people come in and go.
func (s site) sign() {
	s.public("GET /sign-in", func(w http.ResponseWriter, r *http.Request) { s.signInPage(w, r, r.URL.Query().Get("to"), nil) })
	s.public("POST /sign-in", s.comeIn(func(r *http.Request) (string, error) {
		return s.Door.Token(r.Context(), strings.TrimSpace(r.PostFormValue("token")), s.Now())
	}))
	s.public("POST /sign-in/passkey", s.comeIn(func(r *http.Request) (string, error) {
		answer := r.PostFormValue("answer")
		if answer == "" {
			return "", errNoScript
		}
		return s.Door.Passkey(r.Context(), r.PostFormValue("ceremony"), answer, s.Now())
	}))
	s.public("GET /sign-in/account/{issuer}", func(w http.ResponseWriter, r *http.Request) {
		s.askAccount(s.stranger(w, r), r.URL.Query().Get("to"))
	})
	s.public("GET /sign-in/account/{issuer}/back", s.accountBack)
	s.public("POST /sign-out", s.signOut)
	s.public("GET /first", func(w http.ResponseWriter, r *http.Request) {
		render(w, r, http.StatusOK, page.First(s.stranger(w, r).frame("The first administrator", ""), ""))
	})
	s.public("POST /first", s.first)
	s.ways()
}

var errNoScript = proofhouse.Errorf(proofhouse.Invalid, nil, "a passkey takes a script, which this browser did not run: come in with a token")

// stranger is a visit of nobody in particular.
func (s site) stranger(w http.ResponseWriter, r *http.Request) visit {
	return visit{site: s, w: w, r: r}
}

// signInPage shows the ways in, and why the last one was none.
func (s site) signInPage(w http.ResponseWriter, r *http.Request, to string, wrong error) {
	is, status := page.SignIn{To: local(to), Issuers: s.Door.Issuers()}, http.StatusOK
	if wrong != nil {
		is.Wrong, status = page.Sentence(proofhouse.PublicOf(wrong)), http.StatusForbidden
		if k := proofhouse.KindOf(wrong); k != proofhouse.Refused && k != proofhouse.NotFound {
			status = statusOf(k)
		}
	}
	f := s.stranger(w, r).frame("Sign in", "")
	if options, ceremony, err := s.Door.AskPasskey(s.Now()); err == nil {
		is.Passkey, f.Passkeys = page.Asked{Options: options, Ceremony: ceremony}, true
		w.Header().Set("Content-Security-Policy", passkeyPolicy)
	}
	render(w, r, status, page.SignInPage(f, is))
}

// comeIn opens a session by how, and shows the ways in again if that fails.
func (s site) comeIn(how func(*http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		session, err := how(r)
		if err != nil {
			s.signInPage(w, r, r.PostFormValue("to"), err)
			return
		}
		s.opened(w, r, session)
		http.Redirect(w, r, local(r.PostFormValue("to")), http.StatusSeeOther)
	}
}

// opened gives a browser its session, and ends the one that it had: nobody goes on in the session of somebody else.
func (s site) opened(w http.ResponseWriter, r *http.Request, opened string) {
	if before := session(r); before != "" {
		_ = s.Door.Leave(r.Context(), before, s.Now()) // it ends by itself
	}
	s.Wake()
	// No lifetime: it ends with the browser, and the session itself by its own rules.
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: opened, Path: "/", HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteStrictMode})
}

// secure says whether the browser came over TLS, which something in front of the house ends.
func secure(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}

func (s site) signOut(w http.ResponseWriter, r *http.Request) {
	if had := session(r); had != "" {
		if err := s.Door.Leave(r.Context(), had, s.Now()); err != nil {
			s.stranger(w, r).problem(err) // the session is not ended, and the browser keeps it
			return
		}
		s.Wake()
	}
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

func (s site) first(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	o := policy.Organisation{ID: proofhouse.OrganisationID(r.PostFormValue("organisation")), Title: r.PostFormValue("organisation-title")}
	p := policy.Person{Organisation: o.ID, ID: proofhouse.PersonID(r.PostFormValue("person")), Title: r.PostFormValue("person-title")}
	session, token, err := s.Door.First(r.Context(), strings.TrimSpace(r.PostFormValue("code")), o, p, s.Now())
	v := s.stranger(w, r)
	if err != nil {
		render(w, r, statusOf(proofhouse.KindOf(err)), page.First(v.frame("The first administrator", ""), page.Sentence(proofhouse.PublicOf(err))))
		return
	}
	s.opened(w, r, session)
	v.me = p
	render(w, r, http.StatusOK, page.Claimed(v.frame("You are the first administrator", ""), token))
}

// statusOf is what a kind is over HTTP.
func statusOf(k proofhouse.Kind) int {
	if s, ok := statuses[k]; ok {
		return s.status
	}
	return http.StatusInternalServerError
}
