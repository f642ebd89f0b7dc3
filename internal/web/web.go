// Package web is the house's pages, for people with a browser, who need JavaScript for passkeys and nothing else. Each page asks the
// house's API, in this process, with the session of who looks, so that no page shows more and no form does more than the API would. It
// promises that nothing that anybody wrote runs, loads or leads out: there is no script but the house's own file, no style of a page's
// own, and no request to elsewhere.
package web

import (
	"context"
	"embed"
	"net/http"
	"net/url"
	"time"

	"github.com/a-h/templ"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

//go:embed static
var static embed.FS

// House is what the pages are of.
type House struct {
	// API is the house's API, under /v1/, where a browser's session stands for a token.
	API http.Handler
	// Door opens sessions.
	Door Door
	// Wake tells the sequencer that there is something for the log.
	Wake func()
	// Checkpoint is the public log's newest, nil where nothing is in it, and LogKey its key.
	Checkpoint func(ctx context.Context) []byte
	LogKey     string
	Runs       Runs
	Now        func() time.Time
}

// contentPolicy lets in the house's own style sheet and nothing else, and passkeyPolicy the house's own script as well, on the pages that
// ask for passkeys.
const (
	contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	passkeyPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// New is the pages of a house.
func New(h House) http.Handler {
	s := site{h, http.NewServeMux()}
	s.mux.Handle("GET /static/", fixed(http.FileServerFS(static)))
	s.sign()
	s.public("GET /transparency", s.transparency)
	s.docket()
	s.findings()
	s.portal()
	s.gate()
	s.maintainers()
	s.settings()
	s.runs()
	s.public("/", func(w http.ResponseWriter, r *http.Request) {
		s.somebody(w, r).problem(proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such page"))
	})
	return headers(http.NewCrossOriginProtection().Handler(s.mux))
}

// site is the pages on their way to being served.
type site struct {
	House
	mux *http.ServeMux
}

// headers are on every answer.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if ofLinks(r.URL.Path) {
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("X-Robots-Tag", "noindex, nofollow")
		}
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// fixed is for what changes with the program only.
func fixed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
		next.ServeHTTP(w, r)
	})
}

// visit is one request of somebody who has signed in.
type visit struct {
	site
	w      http.ResponseWriter
	r      *http.Request
	client wire.Client
	me     policy.Person
}

// public adds a page for everybody.
func (s site) public(pattern string, do func(http.ResponseWriter, *http.Request)) {
	s.mux.HandleFunc(pattern, do)
}

// maxPosted bounds what a form sends, in bytes: Go's own bound for forms without files, which holds for others here too, since
// what is larger would lie on a disk in the open.
const maxPosted = 10 << 20

// page adds a page for who has signed in; the others are asked to.
func (s site) page(pattern string, do func(visit) error) { s.sized(pattern, maxPosted, do) }

// sized is page for forms of another size.
func (s site) sized(pattern string, most int64, do func(visit) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, most)
		v := visit{site: s, w: w, r: r, client: s.client(session(r))}
		me, err := v.client.Me(r.Context())
		if err != nil {
			if r.Method == http.MethodGet && proofhouse.KindOf(err) == proofhouse.Refused {
				http.Redirect(w, r, "/sign-in?"+url.Values{"to": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
				return
			}
			v.problem(err)
			return
		}
		v.me = me
		if err := do(v); err != nil {
			v.problem(err)
		}
	})
}

// frame is what stands around a page.
func (v visit) frame(title, at string) page.Frame {
	f := page.Frame{Title: title, At: at, Now: v.Now()}
	if v.me.ID != "" {
		f.Who = &v.me
	}
	return f
}

// show writes a page.
func (v visit) show(c templ.Component) error {
	render(v.w, v.r, http.StatusOK, c)
	return nil
}

func render(w http.ResponseWriter, r *http.Request, status int, c templ.Component) {
	templ.Handler(c, templ.WithStatus(status)).ServeHTTP(w, r)
}

// statuses are what the kinds are over HTTP, and what a person may do about them.
var statuses = map[proofhouse.Kind]struct {
	status        int
	heading, next string
}{
	proofhouse.NotFound:    {http.StatusNotFound, "There is no such thing", "It is not there, or not for you to know of. The docket has what is."},
	proofhouse.Refused:     {http.StatusForbidden, "Refused", "Somebody in another role may do it, or nobody may at this time."},
	proofhouse.Conflict:    {http.StatusConflict, "Somebody was first", "Look at the page again, and decide anew."},
	proofhouse.Invalid:     {http.StatusUnprocessableEntity, "That cannot be taken", "Go back, mend it and send it again: what you wrote is still there."},
	proofhouse.Integrity:   {http.StatusUnprocessableEntity, "That does not fit together", "Sign the text as the page gives it, with the key that you named last in the case."},
	proofhouse.Limit:       {http.StatusTooManyRequests, "That is too much", "Send less, or later."},
	proofhouse.Unavailable: {http.StatusServiceUnavailable, "Not at this moment", "Try again in a minute."},
}

// problem writes the page of an error.
func (v visit) problem(err error) {
	k := proofhouse.KindOf(err)
	s, ok := statuses[k]
	if !ok {
		s.status, s.heading, s.next = http.StatusInternalServerError, "Something went wrong in the house", "Tell whoever runs it when it was."
	}
	lost := "Nothing was changed, and nothing was lost."
	if v.r.Method != http.MethodGet && (!ok || k == proofhouse.Unavailable) {
		lost = "Whether it was done is not certain: look at the page that you came from before you do it again."
	}
	render(v.w, v.r, s.status, page.Problem(v.frame(s.heading, ""), s.heading, proofhouse.PublicOf(err), lost, s.next))
}

// to sends the browser to a page after something was done.
func (v visit) to(path string) error {
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// somebody is a visit of whoever it is, signed in or not.
func (s site) somebody(w http.ResponseWriter, r *http.Request) visit {
	v := visit{site: s, w: w, r: r, client: s.client(session(r))}
	if session(r) == "" {
		return v
	}
	if me, err := v.client.Me(r.Context()); err == nil {
		v.me = me
	}
	return v
}

func (s site) transparency(w http.ResponseWriter, r *http.Request) {
	v := s.somebody(w, r)
	render(w, r, http.StatusOK, page.Transparency(v.frame("The public log", ""), string(s.Checkpoint(r.Context())), s.LogKey))
}
