package web

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// cookie holds the token of who has signed in.
const cookie = "proofhouse"

// token is the one that a browser sends, or "".
func token(r *http.Request) string {
	c, err := r.Cookie(cookie)
	if err != nil {
		return ""
	}
	return c.Value
}

// client asks the API in this process.
func (s site) client(token string) wire.Client {
	return wire.Client{URL: "http://house", Token: token, HTTP: &http.Client{Transport: inside{s.API}}}
}

// inside is a handler that a client reaches without a network. Answers are held whole, so it is for no streams.
type inside struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (h inside) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI = r.URL.RequestURI()
	w := answer{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(&w, in)
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Proto: r.Proto, ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
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

func (s site) signInPage(w http.ResponseWriter, r *http.Request) {
	v := visit{site: s, w: w, r: r}
	render(w, r, http.StatusOK, page.SignIn(v.frame("Sign in", ""), local(r.URL.Query().Get("to")), ""))
}

func (s site) signIn(w http.ResponseWriter, r *http.Request) {
	v := visit{site: s, w: w, r: r}
	to := local(r.PostFormValue("to"))
	given := strings.TrimSpace(r.PostFormValue("token"))
	if _, err := s.client(given).Me(r.Context()); err != nil {
		status := http.StatusServiceUnavailable
		if proofhouse.KindOf(err) == proofhouse.Refused {
			status = http.StatusForbidden
		}
		render(w, r, status, page.SignIn(v.frame("Sign in", ""), to, proofhouse.PublicOf(err)))
		return
	}
	// No lifetime: it ends with the browser, and the token itself ends on its day.
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: given, Path: "/", HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// secure says whether the browser came over TLS, which something in front of the house ends.
func secure(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}

func (s site) signOut(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}
