package app

import (
	"bytes"
	"encoding/base64"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/clearing"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// browser is one without JavaScript: it keeps cookies, follows links and sends forms as they stand in pages.
type browser struct {
	t   *testing.T
	url string
	http.Client
}

// at is what a browser shows.
type at struct {
	path   string
	status int
	header http.Header
	text   string
	*html.Node
}

// browser is one in which who has signed in by the form; "" has not.
func (s *served) browser(t *testing.T, who string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t, s.url, http.Client{Jar: jar}}
	if who != "" {
		if p := b.send(b.get("/sign-in"), "/sign-in", url.Values{"token": {s.tokens[who]}}); p.status != http.StatusOK || p.path != "/" {
			t.Fatalf("%s signs in: %d %s", who, p.status, p.path)
		}
	}
	return b
}

// get opens an address of the house.
func (b *browser) get(path string) at {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

// do gives what the house shows at the end, which it holds to what every page keeps to.
func (b *browser) do(r *http.Request) at {
	b.t.Helper()
	resp, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := at{path: resp.Request.URL.RequestURI(), status: resp.StatusCode, header: resp.Header, text: string(text)}
	// With the style sheet and nothing else, since a page has nothing else.
	if style, err := os.Stat("../web/static/style.css"); err != nil || len(text)+int(style.Size()) > maxPage && p.header.Get("Content-Disposition") == "" {
		b.t.Errorf("%s weighs %d bytes, and the style sheet %v (%v)", p.path, len(text), style, err)
	}
	contents := "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	switch {
	case strings.Contains(p.text, liveScript):
		contents += "; script-src 'self'; connect-src 'self'"
	case strings.Contains(p.text, passkeyScript):
		contents = strings.Replace(contents, "; style-src", "; script-src 'self'; style-src", 1)
	}
	if strings.Contains(p.text, `<script src="/static/link.js" defer></script>`) {
		contents = strings.Replace(contents, "style-src", "script-src 'self'; style-src", 1)
	}
	// What a secret stands on, or is typed into, tells no other page where somebody came from.
	referrer := "same-origin"
	if at := resp.Request.URL.Path; at == "/packet" || strings.HasPrefix(at, "/packet/") || strings.HasPrefix(at, "/packets/") && strings.HasSuffix(at, "/links") {
		referrer = "no-referrer"
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": contents,
		"X-Content-Type-Options":  "nosniff", "Referrer-Policy": referrer, "Cross-Origin-Opener-Policy": "same-origin",
	} {
		if got := p.header.Get(name); got != want {
			b.t.Errorf("%s has %s %q", p.path, name, got)
		}
	}
	if !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") {
		return p
	}
	if p.header.Get("Cache-Control") != "no-store" {
		b.t.Errorf("%s may be kept: %q", p.path, p.header.Get("Cache-Control"))
	}
	if p.Node, err = html.Parse(strings.NewReader(p.text)); err != nil {
		b.t.Fatal(err)
	}
	inert(b.t, p)
	return p
}

// liveScript and passkeyScript are the scripts of which a page may have one.
const (
	liveScript    = `<script src="/static/live.js" defer></script>`
	passkeyScript = `<script src="/static/passkey.js" defer></script>`
)

// inert holds a page to what no stranger's words may add to it: script, style, or a way out of the house.
func inert(t *testing.T, p at) {
	t.Helper()
	for n := range p.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "script": // the house's own
			if src := attr(n, "src"); src != "/static/live.js" && src != "/static/passkey.js" && src != "/static/link.js" || len(n.Attr) != 2 || n.FirstChild != nil {
				t.Errorf("%s has a script %v", p.path, n.Attr)
			}
		case "html", "head", "meta", "title", "link", "body", "a", "header", "nav", "form", "button", "main", "footer", "p", "h1", "h2", "h3", "h4", "div", "section", "span", "strong", "em", "small", "br",
			"aside", "table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "ol", "li", "dl", "dt", "dd", "pre", "code", "time", "label", "input", "select", "option", "textarea", "fieldset", "legend", "details", "summary",
			"noscript", "b", "i", "svg", "rect", "line", "path", "circle", "text", "g":
		default:
			t.Errorf("%s has a <%s>", p.path, n.Data)
		}
		for _, a := range n.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" || a.Key == "http-equiv":
				t.Errorf("%s has <%s %s>", p.path, n.Data, a.Key)
			case a.Key == "href" || a.Key == "src" || a.Key == "action" || a.Key == "formaction":
				if u, err := url.Parse(a.Val); err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") || strings.HasPrefix(a.Val, "//") {
					t.Errorf("%s leads to %q", p.path, a.Val)
				}
			}
		}
	}
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// form is the page's form that is sent to action and has the fields, or nil.
func (p at) form(action string, fields ...string) *html.Node {
	if p.Node == nil {
		return nil
	}
	for n := range p.Descendants() {
		if n.Data != "form" || attr(n, "action") != action {
			continue
		}
		has := map[string]bool{}
		for field := range n.Descendants() {
			has[attr(field, "name")] = true
		}
		if !slices.ContainsFunc(fields, func(f string) bool { return !has[f] }) {
			return n
		}
	}
	return nil
}

// filled are the values with the form's hidden ones.
func (b *browser) filled(p at, action string, values url.Values) url.Values {
	b.t.Helper()
	form := p.form(action, slices.Collect(maps.Keys(values))...)
	if form == nil {
		b.t.Fatalf("%s (%d) has no form that is sent to %s with %v", p.path, p.status, action, values)
	}
	all := maps.Clone(values)
	if all == nil {
		all = url.Values{}
	}
	for n := range form.Descendants() {
		if name := attr(n, "name"); n.Data == "input" && attr(n, "type") == "hidden" && !all.Has(name) {
			all.Set(name, attr(n, "value"))
		}
	}
	return all
}

// send fills a form of the page in and sends it, as a person could: it has to have every field.
func (b *browser) send(p at, action string, values url.Values) at {
	b.t.Helper()
	return b.post(action, b.filled(p, action, values), nil)
}

// upload is send for a form with files.
func (b *browser) upload(p at, action string, values url.Values) at {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, v := range b.filled(p, action, values) {
		f, err := w.CreateFormFile(name, "a\"b/../c")
		if err == nil {
			_, err = io.WriteString(f, v[0])
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+action, &body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", w.FormDataContentType())
	return b.do(r)
}

// post sends a form from nowhere.
func (b *browser) post(path string, values url.Values, header http.Header) at {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, strings.NewReader(values.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for k, v := range header {
		r.Header[k] = v
	}
	return b.do(r)
}

func (p at) says(words ...string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(p.text, w) })
}

// hostile is what somebody may write where others read it.
const hostile = `<script src="//evil.example/x.js"></script><img src=x onerror=alert(1)><a href="https://evil.example">"'<style>*{display:none}</style>`

// maxPage is how much a page may weigh with all that it loads, in bytes.
const maxPage = 300_000

// TestPages opens every page in every role and in every wrong one, and sends every form, without JavaScript.
func TestPages(t *testing.T) {
	s := serveHouse(t, t.TempDir(), "")
	s.finders(t)
	id := s.review(t)
	var found []clearing.FindingID
	for i, who := range []string{"pat", "carl"} {
		got, err := s.as(who).Submit(t.Context(), filing(t, "N"+strings.Repeat("x", 10+i), func(r *clearing.Report) {
			r.Title, r.Description, r.AI = hostile, hostile, hostile
			if i == 1 {
				r.Attachments = append(r.Attachments, clearing.Attachment{Filename: "fix.diff", Type: clearing.OfPatch, ContentType: "text/plain", Data: exampleFile(t, "fix.diff")})
			}
		}), "")
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, clearing.FindingID(got.Receipt))
	}
	s.works(t, "")
	t.Run("forms", func(t *testing.T) { s.forms(t, id, found) })
	packet := s.packetOf(t, found[0])
	t.Run("roles", func(t *testing.T) { s.pagesByRole(t, id, found[1], packet) })
	t.Run("strangers", func(t *testing.T) { s.crossOrigin(t, id) })
}

// packetOf is the packet of the bug that a finding is of.
func (s *served) packetOf(t *testing.T, id clearing.FindingID) clearing.PacketID {
	t.Helper()
	v, err := s.as("otto").Cluster(t.Context(), id)
	if err != nil || v.Packet == nil {
		t.Fatal(v, err)
	}
	return v.Packet.ID
}

// pagesByRole opens each page as each person.
func (s *served) pagesByRole(t *testing.T, id proofhouse.CaseID, f clearing.FindingID, packet clearing.PacketID) {
	everybody := []string{"ann", "rita", "eve", "otto", "ada", "bob", "carl", "pat", "al", "trudy"}
	in := map[string]*browser{}
	for _, who := range everybody {
		in[who] = s.browser(t, who)
	}
	members := "rita eve otto ada bob carl trudy"
	for path, may := range map[string]struct{ read, refused string }{ // the others are told that there is no such thing
		"/": {read: strings.Join(everybody, " ")}, "/findings": {read: strings.Join(everybody, " ")}, "/transparency": {read: strings.Join(everybody, " ")},
		"/cases/" + string(id):                                      {read: members},
		"/cases/" + string(id) + "/receipts/3":                      {read: members},
		"/cases/" + string(id) + "/receipts/999":                    {},
		"/cases/" + string(id) + "/report":                          {read: members},
		"/cases/" + string(id) + "/report?tier=authority&version=1": {read: "rita eve otto carl", refused: "ada bob trudy"},
		"/cases/" + string(id) + "/report?tier=developer&version=1": {read: "ada bob", refused: "rita eve otto carl trudy"},
		"/cases/" + string(id) + "/report?tier=partner&version=1":   {read: "rita otto ada bob trudy", refused: "eve carl"},
		"/cases/" + string(id) + "/report?tier=public&version=1":    {read: members},
		"/cases/" + string(id) + "/report?version=99":               {},
		"/cases/" + string(id) + "/report?version=-1":               {},
		"/cases/" + string(id) + "/report/new":                      {read: "rita eve", refused: "otto ada bob carl trudy"},
		"/cases/" + string(id) + "/criteria":                        {read: members},
		"/cases/" + string(id) + "/criteria/1":                      {read: members},
		"/cases/" + string(id) + "/criteria/2":                      {},
		"/cases/" + string(id) + "/criteria/new":                    {refused: members}, // it is determined
		"/cases/" + string(id) + "/requests":                        {read: members},
		"/cases/" + string(id) + "/bundle":                          {read: members},
		"/cases/" + string(id) + "/artifacts":                       {read: members},
		"/cases/" + string(id) + "/certificates/1":                  {},
		"/cases/" + string(id) + "/use":                             {read: members},
		"/cases/case-aaaaaaaaaaaaaaaa/use":                          {},
		"/cases/case-aaaaaaaaaaaaaaaa":                              {},
		"/findings/" + string(f):                                    {read: "carl otto eve al"},
		"/findings/" + string(f) + "/receipt":                       {read: "carl otto eve al"},
		"/findings/" + string(f) + "/cluster":                       {read: "otto eve al", refused: "carl pat"},
		"/projects":                                                 {read: strings.Join(everybody, " ")}, // an empty list but for coordinators and auditors
		"/project?purl=" + project:                                  {read: "otto eve al", refused: "carl pat"},
		"/packets/" + string(packet):                                {read: "otto eve al"},
		"/packets/" + string(packet) + "/archive":                   {read: "otto", refused: "eve al"}, // it is of a proof marked TLP:RED
		"/cases/new": {read: strings.Join(everybody, " ")}, "/glass": {read: strings.Join(everybody, " ")}, "/access": {read: strings.Join(everybody, " ")}, "/settings": {read: strings.Join(everybody, " ")},
		"/findings/new": {read: strings.Join(everybody, " ")}, "/findings/export": {read: strings.Join(everybody, " ")},
		"/settings/organisations/lab": {read: "ann ada bob rita al"}, "/settings/organisations/none": {read: "ann rita al"},
		"/gate":    {read: "ann rita al", refused: "eve otto ada bob carl pat trudy"},
		"/nothing": {},
	} {
		for _, who := range everybody {
			want := http.StatusNotFound
			if slices.Contains(strings.Fields(may.read), who) {
				want = http.StatusOK
			} else if slices.Contains(strings.Fields(may.refused), who) {
				want = http.StatusForbidden
			}
			p := in[who].get(path)
			if p.status != want {
				t.Errorf("%s opens %s: %d, not %d", who, path, p.status, want)
			}
			s.heldToTier(t, who, p)
			if path == "/projects" && p.says(project) != slices.Contains([]string{"otto", "eve", "al"}, who) {
				t.Errorf("%s is shown of projects: %s", who, p.text)
			}
			if want == http.StatusNotFound && (!p.says("There is no such thing", "Nothing was changed") || strings.Contains(p.text, "canary")) {
				t.Errorf("%s reads at %s: %s", who, path, p.text)
			}
		}
		if p := s.browser(t, "").get(path); path != "/nothing" && path != "/transparency" && (p.path != "/sign-in?"+url.Values{"to": {path}}.Encode() || strings.Contains(p.text, "canary")) {
			t.Errorf("who has not signed in is led from %s to %s (%d)", path, p.path, p.status)
		}
	}
}

// forms sends every form that pages have, as the person whose it is.
func (s *served) forms(t *testing.T, id proofhouse.CaseID, found []clearing.FindingID) {
	// Signing in: a wrong token, then the right one, and back to where one wanted to go; never out of the house.
	b := s.browser(t, "")
	asked := b.get("/findings?state=waiting")
	if p := b.send(asked, "/sign-in", url.Values{"token": {"nobody's"}}); p.status != http.StatusForbidden || !p.says(`role="alert"`) {
		t.Errorf("a wrong token: %d", p.status)
	}
	if p := b.send(asked, "/sign-in", url.Values{"token": {s.tokens["pat"]}}); p.path != "/findings?state=waiting" || !p.says("pat@bank") {
		t.Errorf("signed in: %d %s", p.status, p.path)
	}
	if p := b.send(b.get("/"), "/sign-out", nil); p.path != "/sign-in" || !strings.HasPrefix(b.get("/").path, "/sign-in") {
		t.Errorf("signed out: %s", p.path)
	}
	for _, to := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "evil", "/%09/evil.example"} {
		if p := s.browser(t, "").send(s.browser(t, "").get("/sign-in?"+url.Values{"to": {to}}.Encode()), "/sign-in", url.Values{"token": {s.tokens["pat"]}}); !strings.HasPrefix(s.url, "http://127.0.0.1:") || p.path != "/" && to != "/%09/evil.example" {
			t.Errorf("after signing in one is led to %s", p.path)
		}
	}

	// A case of its own, whose developer opens it, announces a release and withdraws.
	ada := s.browser(t, "ada")
	opening := ada.get("/cases/new")
	if p := ada.send(opening, "/cases", url.Values{"codename": {"No Codename"}, "variants": {"v"}, "profile": {"institute"}}); p.status != http.StatusUnprocessableEntity {
		t.Errorf("a codename that is none: %d", p.status)
	}
	open := url.Values{"codename": {"heron"}, "variants": {"deployed, reduced"}, "profile": {"institute"}}
	opened := ada.send(opening, "/cases", open)
	if p := ada.send(opening, "/cases", open); opened.status != http.StatusOK || p.path != opened.path {
		t.Errorf("opened twice: %d, %s and %s", opened.status, opened.path, p.path)
	}
	path := opened.path
	if p := ada.send(ada.get(path), path+"/acts/announce", url.Values{"date": {"soon"}}); p.status != http.StatusUnprocessableEntity || !p.says("Nothing was changed") {
		t.Errorf("no date: %d", p.status)
	}
	if p := ada.send(ada.get(path), path+"/acts/announce", url.Values{"date": {"2031-01-02"}}); p.status != http.StatusOK || !p.says("The release is announced") {
		t.Errorf("announced: %d", p.status)
	}
	asked2 := ada.send(ada.get(path), path+"/acts/withdraw", nil)
	if c, err := s.as("ada").Case(t.Context(), proofhouse.CaseID(strings.TrimPrefix(path, "/cases/"))); err != nil || !c.Withdrawn.IsZero() || !asked2.says("All access of the body") {
		t.Errorf("withdrawn without being asked once more: %v %v", c.Withdrawn, err)
	}
	if p := ada.send(asked2, path+"/acts/withdraw", nil); p.status != http.StatusOK || !p.says("The review has ended") || p.form(path+"/acts/announce") == nil || p.form(path+"/acts/withdraw") == nil || p.form(path+"/acts/ask") != nil {
		t.Errorf("withdrawn: %d", p.status)
	}
	if p := s.browser(t, "rita").get("/cases/" + string(id)); p.form("/cases/"+string(id)+"/acts/withdraw") != nil || p.form("/cases/"+string(id)+"/acts/join") == nil {
		t.Error("the registrar is offered the developer's withdrawal, or not its own acts")
	}
	s.reviewInPages(t)
	s.reportInPages(t, id)
	s.partnerInPages(t)
	s.settingsInPages(t)

	// The bug of two findings: kept apart and put together again, and its packet.
	otto, cluster := s.browser(t, "otto"), "/findings/"+string(found[0])
	for _, same := range []string{"no", "yes"} {
		if p := otto.send(otto.get(cluster+"/cluster"), cluster+"/decisions", url.Values{"other": {string(found[1])}, "same": {same}, "reason": {hostile}}); p.status != http.StatusOK {
			t.Fatalf("decided: %d %s", p.status, p.text)
		}
	}
	if p := otto.send(otto.get(cluster+"/cluster"), cluster+"/decisions", url.Values{"other": {string(found[1])}, "reason": {"r"}}); p.status != http.StatusUnprocessableEntity {
		t.Errorf("neither the same nor another: %d", p.status)
	}
	if _, err := s.as("otto").Declare(t.Context(), project, wire.NewDeclaration{TOML: "capacity = 1"}); err != nil {
		t.Fatal(err)
	}
	made := otto.send(otto.get(cluster+"/cluster"), "/packets", url.Values{"contact": {"Otto <otto@institute.example>"}})
	if made.status != http.StatusOK || !strings.HasPrefix(made.path, "/packets/packet-") {
		t.Fatalf("packet: %d %s", made.status, made.path)
	}
	if p := otto.send(made, made.path+"/release", nil); p.status != http.StatusUnprocessableEntity {
		t.Errorf("released unread: %d", p.status)
	}
	if p := s.browser(t, "al").get(made.path); p.form(made.path+"/release") != nil {
		t.Error("the auditor is offered to release")
	}
	out := otto.send(made, made.path+"/release", url.Values{"confirm": {"yes"}})
	if p := otto.send(out, made.path+"/reply", url.Values{"answer": {string(clearing.Fixed)}, "note": {hostile}}); p.status != http.StatusOK || !p.says("fixed") {
		t.Errorf("replied: %d", p.status)
	}
}

// crossOrigin tries what another site's page could make a browser send, and what somebody could who is nobody here.
func (s *served) crossOrigin(t *testing.T, id proofhouse.CaseID) {
	ada := s.browser(t, "ada")
	// A form of parts is held to its size too, before any of it could lie on a disk: what follows is not read.
	for padding, want := range map[int]int{1: http.StatusNotFound, 11 << 20: http.StatusUnprocessableEntity} {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		_ = m.WriteField("padding", strings.Repeat("x", padding))
		_ = m.WriteField("confirm", "yes")
		_ = m.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/cases/case-aaaaaaaaaaaaaaaa/runs/none/stop", &b)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", m.FormDataContentType())
		if p := ada.do(r); p.status != want {
			t.Errorf("a form with a part of %d bytes: %d, not %d", padding, p.status, want)
		}
	}
	for _, h := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}}} {
		for _, path := range []string{"/sign-in", "/sign-out", "/cases/" + string(id) + "/acts/withdraw", "/cases/" + string(id) + "/acts/announce", "/packets", "/cases", "/cases/" + string(id) + "/requests", "/cases/" + string(id) + "/requests/approve", "/cases/" + string(id) + "/bundle", "/cases/" + string(id) + "/destroy", "/glass"} {
			if p := ada.post(path, url.Values{"confirm": {"yes"}, "date": {"2031-01-02"}}, h); p.status != http.StatusForbidden {
				t.Errorf("%s with %v: %d", path, h, p.status)
			}
		}
	}
	if c, err := s.as("ada").Case(t.Context(), id); err != nil || !c.Withdrawn.IsZero() {
		t.Errorf("withdrawn by another site: %v %v", c.Withdrawn, err)
	}
	if p := s.browser(t, "").post("/cases/"+string(id)+"/acts/withdraw", url.Values{"confirm": {"yes"}}, nil); p.status != http.StatusForbidden {
		t.Errorf("withdrawn by nobody: %d", p.status)
	}
	if p := s.browser(t, "rita").post("/cases/"+string(id)+"/acts/withdraw", url.Values{"confirm": {"yes"}}, nil); p.status != http.StatusForbidden {
		t.Errorf("withdrawn by the registrar: %d", p.status)
	}
	if p := s.browser(t, "pat").post("/cases/"+string(id)+"/acts/withdraw", url.Values{"confirm": {"yes"}}, nil); p.status != http.StatusNotFound {
		t.Errorf("withdrawn by a stranger: %d", p.status)
	}
	// The cookie: out of scripts' reach, sent from nowhere else, and over TLS alone where there is TLS.
	for forwarded, secure := range map[string]bool{"": false, "https": true} {
		b := s.browser(t, "")
		b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		p := b.post("/sign-in", url.Values{"token": {s.tokens["ada"]}}, http.Header{"X-Forwarded-Proto": {forwarded}})
		c, err := http.ParseSetCookie(p.header.Get("Set-Cookie"))
		if err != nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.Secure != secure {
			t.Errorf("over %q the cookie is %v, %v", forwarded, c, err)
		}
	}
}

// TestStyle: the style sheet loads nothing.
func TestStyle(t *testing.T) {
	b, err := os.ReadFile("../web/static/style.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"url(", "@import", "//", "image-set"} {
		if strings.Contains(string(b), word) {
			t.Errorf("the style sheet has %s", word)
		}
	}
}

// openCases are cases in several states, for a docket that has something to show.
func (s *served) openCases(t *testing.T) {
	t.Helper()
	for i, name := range []string{"heron", "kestrel", "plover", "wren"} {
		c, err := s.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: name, Variants: []string{"deployed"}}, Profile: "institute"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			s.do(t, "rita", c.ID, docket.Accept{})
		}
		if i > 1 {
			s.do(t, "ada", c.ID, docket.Lend{Grant: "body", To: "institute"})
		}
		if i > 2 {
			s.do(t, "ada", c.ID, docket.Withdraw{})
		}
	}
}

// reviewInPages takes a case from its opening to a determination and a reconsideration, in browsers without JavaScript, signed with keys that stay outside.
func (s *served) reviewInPages(t *testing.T) {
	t.Helper()
	in := map[string]*browser{}
	for _, who := range []string{"ada", "rita", "otto", "carl", "eve", "pat"} {
		in[who] = s.browser(t, who)
	}
	opened := in["ada"].send(in["ada"].get("/cases/new"), "/cases", url.Values{"codename": {"swift"}, "variants": {"canary-variant"}, "profile": {"institute"}})
	path := opened.path
	id := proofhouse.CaseID(strings.TrimPrefix(path, "/cases/"))
	do := func(who, act string, v url.Values) at {
		t.Helper()
		p := in[who].send(in[who].get(path), path+"/acts/"+act, v)
		if p.status != http.StatusOK || !p.says("stands in the record as event") {
			t.Fatalf("%s: %s: %d at %s: %s", who, act, p.status, p.path, p.text)
		}
		return p
	}
	sign := func(who, act string, v url.Values) at {
		t.Helper()
		draft := in[who].send(in[who].get(path), path+"/acts/"+act, v)
		if draft.status != http.StatusOK || !draft.says("Nothing is done yet") {
			t.Fatalf("%s: draft of %s: %d: %s", who, act, draft.status, draft.text)
		}
		if p := in[who].send(draft, path+"/acts/"+act, url.Values{"signature": {"!"}}); !p.says("That is no signature") {
			t.Errorf("%s: no signature: %d", act, p.status)
		}
		filled := v
		filled.Set("save", "yes")
		text := in[who].post(path+"/acts/"+act, filled, nil)
		if text.header.Get("Content-Disposition") != `attachment; filename="to-sign"` {
			t.Fatalf("the text of %s: %v", act, text.header)
		}
		wrong, err := docket.SignText([]byte(text.text+" "), s.keys[who])
		if err != nil {
			t.Fatal(err)
		}
		if p := in[who].send(draft, path+"/acts/"+act, url.Values{"signature": {base64.StdEncoding.EncodeToString(wrong.Bytes)}}); p.status != http.StatusUnprocessableEntity || !p.says("Nothing was changed") {
			t.Errorf("%s: a signature over something else: %d", act, p.status)
		}
		right, err := docket.SignText([]byte(text.text), s.keys[who])
		if err != nil {
			t.Fatal(err)
		}
		p := in[who].send(draft, path+"/acts/"+act, url.Values{"signature": {base64.StdEncoding.EncodeToString(right.Bytes)}})
		if p.status != http.StatusOK || !p.says("stands in the record as event") {
			t.Fatalf("%s: %s: %d: %s", who, act, p.status, p.text)
		}
		return p
	}
	do("rita", "accept", nil)
	for person, role := range map[string]string{"eve@institute": "evaluator", "otto@institute": "authority", "carl@cyber-centre": "consultee"} {
		do("rita", "join", url.Values{"person": {person}, "role": {role}})
	}
	do("ada", "offer", url.Values{"marking": {"TLP:AMBER"}, "retention": {"90"}, "share": {"yes"}})
	do("rita", "agree", url.Values{"version": {"1"}})
	do("ada", "ask", nil)
	for _, who := range []string{"ada", "otto", "carl"} {
		pem, err := s.keys[who].PublicKey().PEM()
		if err != nil {
			t.Fatal(err)
		}
		do(who, "name-key", url.Values{"key": {strings.ReplaceAll(string(pem), "\n", "\r\n")}})
	}
	s.registerInPages(t, in, id)
	sign("ada", "countersign", url.Values{"version": {"1"}})
	for _, who := range []string{"rita", "ada", "carl"} {
		if p := in[who].get(path + "/criteria"); !p.says("by ada@lab, developer") || p.says("not yet") || p.form(path+"/acts/countersign") != nil {
			t.Errorf("%s reads of countersigned criteria: %s", who, p.text)
		}
	}
	do("ada", "lend", url.Values{"grant": {"body"}, "organisation": {"institute"}})
	do("rita", "pause", nil)
	do("ada", "resume", nil)
	s.do(t, "eve", id, docket.StartRun{Run: "run-swift", Registration: 1, Manifest: houseCriteria().As(docket.Cell{Variant: "canary-variant", Agent: "baseline"})})
	s.do(t, "eve", id, docket.FinishRun{Run: "run-swift", Evidence: proofhouse.DigestOf(nil), Tally: docket.Tally{Solved: 10, Samples: 100}})
	do("rita", "consult", url.Values{"organisation": {"cyber-centre"}})
	if p := in["ada"].get(path); p.form(path+"/acts/answer") != nil || p.form(path+"/acts/determine") != nil {
		t.Error("the developer is offered to answer or to determine")
	}
	sign("carl", "answer", url.Values{"view": {string(docket.Dissents)}, "reason": {hostile}})
	sign("otto", "determine", url.Values{"outcome": {string(docket.NotCovered)}, "version": {"1"}})
	if p := in["otto"].get(path); !p.says("not covered", "1 of the consulted dissented") {
		t.Error("the determination or the dissent is not shown")
	}
	do("ada", "reconsider", url.Values{"reason": {hostile}})
	// To end access is asked about once more, and what was chosen is still there.
	once := in["ada"].send(in["ada"].get(path), path+"/acts/end", url.Values{"grant": {"body"}})
	if c, err := s.as("ada").Case(t.Context(), id); err != nil || len(c.State.Live) != 1 || !once.says("This access to the model ends at once", "body") {
		t.Errorf("ended without being asked once more: %v %v", c.State, err)
	}
	if p := in["ada"].send(once, path+"/acts/end", nil); p.status != http.StatusOK || !p.says("stands in the record") {
		t.Errorf("ended: %d", p.status)
	}
	// Each is refused to whoever is in another role, and unknown to whoever is in none.
	for who, want := range map[string]int{"pat": http.StatusNotFound, "eve": http.StatusForbidden} {
		for act := range map[string]string{"accept": "", "ask": "", "withdraw": "", "announce": "", "agree": "", "offer": "", "consult": "", "determine": "", "reconsider": "", "lend": ""} {
			p := in[who].post(path+"/acts/"+act, url.Values{"confirm": {"yes"}, "date": {"2031-01-02"}, "version": {"1"}, "reason": {"r"}, "marking": {"TLP:RED"}, "outcome": {string(docket.Covered)}}, nil)
			if p.status != want {
				t.Errorf("%s does %s: %d, not %d", who, act, p.status, want)
			}
		}
	}
}

// partnerInPages has a partner read what it may use, be refused by a criterion and appeal, bring a finding, and take it back.
func (s *served) partnerInPages(t *testing.T) {
	t.Helper()
	c, err := s.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "lark", Variants: []string{"secret-variant"}}, Profile: "us-order"}, "")
	if err != nil {
		t.Fatal(err)
	}
	pat := s.browser(t, "pat")
	if p := pat.get("/access"); !p.says("You are a partner in no case") {
		t.Error("an empty portal does not say so")
	}
	for _, m := range []proofhouse.Actor{{Organisation: "bank", Person: "pat", Role: proofhouse.Partner}} {
		s.do(t, "ada", c.ID, docket.Join{Member: m})
	}
	s.do(t, "ada", c.ID, docket.Share{Grant: "bank", To: "bank"})
	if p := pat.get("/access"); !p.says("lark", "until the developer ends it", "OPENAI_BASE_URL") || strings.Contains(p.text, "secret-variant") {
		t.Errorf("the portal: %s", p.text)
	}
	if p := pat.get("/cases/" + string(c.ID)); p.status != http.StatusOK || strings.Contains(p.text, "secret-variant") || p.form("/cases/"+string(c.ID)+"/acts/withdraw") != nil {
		t.Errorf("a partner's page of the case: %d %s", p.status, p.text)
	}
	s.partnerTermsInPages(t, c.ID)
	s.do(t, "ada", c.ID, docket.Unshare{Grant: "bank"})
	if p := pat.get("/access"); !p.says("ended") || p.says("until the developer ends it") {
		t.Error("the portal does not say that access has ended")
	}
	packed, err := clearing.PackFolder(example + "target")
	if err != nil {
		t.Fatal(err)
	}
	report := url.Values{"purl": {project + "@1.0"}, "title": {hostile}, "description": {"a\r\nb"}, "ai": {"none"}, "target": {string(packed)}, "proof": {"Nyyyyyyyyyyyyyyyy"}}
	got := pat.upload(pat.get("/findings/new"), "/findings", report)
	if got.status != http.StatusOK || !strings.HasPrefix(got.path, "/findings/finding-") || !got.says("It waits for the desk") {
		t.Fatalf("brought: %d %s", got.status, got.text)
	}
	if again := pat.upload(pat.get("/findings/new"), "/findings", report); again.path != got.path {
		t.Errorf("brought twice: %s and %s", got.path, again.path)
	}
	report.Set("proof", "")
	if p := pat.upload(pat.get("/findings/new"), "/findings", report); p.status != http.StatusUnprocessableEntity || !p.says("Nothing was changed") {
		t.Errorf("without a proof: %d", p.status)
	}
	if p := pat.get("/findings/export"); !p.says(strings.TrimPrefix(got.path, "/findings/")) || p.header.Get("Content-Disposition") != `attachment; filename="findings.jsonl"` || strings.Contains(p.text, "cyber-centre") {
		t.Errorf("exported: %v %s", p.header, p.text)
	}
	if p := s.browser(t, "carl").get(got.path); p.status != http.StatusNotFound {
		t.Errorf("another finder reads it: %d", p.status)
	}
	once := pat.send(got, got.path+"/withdraw", nil)
	if !once.says("It cannot be undone") {
		t.Errorf("taken back: %d %s", once.status, once.text)
	}
	if p := pat.send(once, got.path+"/withdraw", nil); p.status != http.StatusOK || !p.says("withdrawn") || p.form(got.path+"/withdraw") != nil {
		t.Errorf("taken back: %d", p.status)
	}
}

// partnerTermsInPages has the developer offer terms to partners, and a partner accept them: what is recorded is the digest of the text that the page showed.
func (s *served) partnerTermsInPages(t *testing.T, id proofhouse.CaseID) {
	t.Helper()
	path, acts := "/cases/"+string(id), "/cases/"+string(id)+"/acts/"
	ada, pat := s.browser(t, "ada"), s.browser(t, "pat")
	if p := pat.get("/access"); p.form(acts+"accept-terms") != nil || pat.get(path).form(acts+"offer-partners") != nil {
		t.Errorf("a partner is offered to accept what is not there, or to offer terms: %s", p.text)
	}
	for version, text := range []string{"For your own systems.\r\n\r\nNot for others' " + hostile, "For your own systems."} {
		if p := ada.send(ada.get(path), acts+"offer-partners", url.Values{"text": {text + "\r\n"}}); !p.says("It is done", "Terms for partners, version "+strconv.Itoa(version+1)) || p.form(acts+"accept-terms") != nil {
			t.Fatalf("offered: %d %s", p.status, p.text)
		}
		portal, digest := pat.get("/access"), string(proofhouse.DigestOf([]byte(strings.ReplaceAll(text, "\r\n", "\n"))))
		if !portal.says(digest, html.EscapeString("For your own systems."), "I have read them, and accept them for bank") || strings.Contains(portal.text, "<script>") {
			t.Fatalf("the portal: %s", portal.text)
		}
		for why, with := range map[string]url.Values{
			"tick the box": {"agreed": {"no"}}, "is not that of version": {"agreed": {"yes"}, "digest": {string(proofhouse.DigestOf(nil))}}, "there is no version": {"agreed": {"yes"}, "version": {"9"}},
		} {
			if p := pat.send(portal, acts+"accept-terms", with); p.status == http.StatusOK || !p.says(why) {
				t.Errorf("accepted with %v: %d %s", with, p.status, p.text)
			}
		}
		if p := pat.send(portal, acts+"accept-terms", url.Values{"agreed": {"yes"}}); p.status != http.StatusOK || !p.says("It is done") || p.form(acts+"accept-terms") != nil {
			t.Errorf("accepted: %d %s", p.status, p.text)
		}
		if p := pat.send(portal, acts+"accept-terms", url.Values{"agreed": {"yes"}}); p.status != http.StatusConflict {
			t.Errorf("accepted twice: %d %s", p.status, p.text)
		}
		c, err := s.as("pat").Case(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if k := c.PartnerTerms[version]; string(k.Digest) != digest || len(k.Accepted) != 1 || k.Accepted[0].By != (proofhouse.Actor{Organisation: "bank", Person: "pat", Role: proofhouse.Partner}) {
			t.Errorf("on record: %+v", k)
		}
		for _, p := range []at{pat.get("/access"), pat.get(path), ada.get(path)} {
			if !p.says("Version "+strconv.Itoa(version+1)+" was accepted by pat@bank", digest) || p.form(acts+"accept-terms") != nil {
				t.Errorf("after it was accepted: %s", p.text)
			}
		}
	}
	// The form, as others send it.
	accept := url.Values{"version": {"2"}, "digest": {string(proofhouse.DigestOf([]byte("For your own systems.")))}, "agreed": {"yes"}}
	for who, want := range map[string]int{"ada": http.StatusForbidden, "rita": http.StatusNotFound, "carl": http.StatusNotFound, "al": http.StatusNotFound, "trudy": http.StatusNotFound} {
		if p := s.browser(t, who).post(acts+"accept-terms", accept, nil); p.status != want {
			t.Errorf("%s accepts terms: %d %s", who, p.status, p.text)
		}
	}
	if p := pat.post(acts+"offer-partners", url.Values{"text": {"mine"}}, nil); p.status != http.StatusForbidden {
		t.Errorf("a partner offers terms: %d", p.status)
	}
}

// settingsInPages has an administrator make an organisation and a person with a role and a token, end both, and tries the same as others.
func (s *served) settingsInPages(t *testing.T) {
	t.Helper()
	ann := s.browser(t, "ann")
	made := ann.send(ann.get("/settings"), "/settings/organisations", url.Values{"organisation": {"hospital"}, "title": {"Saint Mary of the Fields"}})
	if made.path != "/settings/organisations/hospital" || made.status != http.StatusOK {
		t.Fatalf("an organisation: %d %s", made.status, made.path)
	}
	made = ann.send(made, "/settings/people", url.Values{"person": {"hanna"}, "title": {"Hanna"}})
	token := ann.send(made, "/settings/tokens", url.Values{"days": {"3"}})
	if token.status != http.StatusOK || !token.says("shown this once") {
		t.Fatalf("a token: %d %s", token.status, token.text)
	}
	secret := ""
	for n := range token.Descendants() {
		if n.Data == "pre" {
			secret = n.FirstChild.Data
		}
	}
	s.tokens["hanna"] = secret
	hanna := s.browser(t, "hanna")
	if p := hanna.get("/settings"); !p.says("hanna@hospital") || strings.Contains(p.text, secret) {
		t.Error("the settings of a newcomer")
	}
	if p := ann.send(ann.get(made.path), "/settings/person", url.Values{"role": {"coordinator"}, "do": {"give-role"}}); p.status != http.StatusOK || !p.says("coordinator") {
		t.Errorf("a role: %d", p.status)
	}
	own := hanna.send(hanna.get("/settings"), "/settings/tokens", url.Values{"label": {"mine"}, "days": {"0"}})
	if own.status != http.StatusUnprocessableEntity {
		t.Errorf("a token for no day: %d", own.status)
	}
	// What an administrator may, others may not, whatever they send.
	for _, who := range []string{"pat", "hanna", "otto"} {
		b := s.browser(t, who)
		for path, v := range map[string]url.Values{
			"/settings/organisations": {"organisation": {"mine"}, "title": {"m"}}, "/settings/people": {"organisation": {"hospital"}, "person": {"x"}, "title": {"x"}},
			"/settings/person": {"name": {"hanna@hospital"}, "organisation": {"hospital"}, "do": {"give-role"}, "role": {"administrator"}}, "/settings/tokens": {"name": {"ann@institute"}, "days": {"3"}},
		} {
			if p := b.post(path, v, nil); p.status != http.StatusForbidden && p.status != http.StatusNotFound {
				t.Errorf("%s sends %s: %d", who, path, p.status)
			}
		}
		if p := b.get("/settings"); p.form("/settings/organisations") != nil {
			t.Errorf("%s is offered to make an organisation", who)
		}
	}
	once := ann.send(ann.get(made.path), "/settings/person", url.Values{"do": {"end"}})
	if !once.says("All its tokens end at once") || hanna.get("/settings").status != http.StatusOK {
		t.Errorf("ended without being asked once more: %d", once.status)
	}
	if p := ann.send(once, "/settings/person", url.Values{"do": {"end"}}); p.status != http.StatusOK || !strings.HasPrefix(hanna.get("/settings").path, "/sign-in") {
		t.Errorf("ended: %d, and the account goes on", p.status)
	}
	trudy := s.browser(t, "trudy")
	extra := trudy.send(trudy.get("/settings"), "/settings/tokens", url.Values{"label": {hostile[:90]}, "days": {"3"}})
	if extra.status != http.StatusOK {
		t.Errorf("a token of one's own: %d", extra.status)
	}
}
