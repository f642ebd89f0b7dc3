package app

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"slices"
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
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
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

// inert holds a page to what no stranger's words may add to it: script, style, or a way out of the house.
func inert(t *testing.T, p at) {
	t.Helper()
	for n := range p.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "html", "head", "meta", "title", "link", "body", "a", "header", "nav", "form", "button", "main", "footer", "p", "h1", "h2", "h3", "div", "section", "span", "strong", "em", "small", "br",
			"table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "ol", "li", "dl", "dt", "dd", "pre", "code", "time", "label", "input", "select", "option", "textarea", "fieldset", "legend", "details", "summary",
			"svg", "rect", "line", "path", "circle", "text", "g":
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

// form is the page's form that is sent to action, or nil.
func (p at) form(action string) *html.Node {
	if p.Node == nil {
		return nil
	}
	for n := range p.Descendants() {
		if n.Data == "form" && attr(n, "action") == action {
			return n
		}
	}
	return nil
}

// send fills a form of the page in and sends it, as a person could: it has to have every field.
func (b *browser) send(p at, action string, values url.Values) at {
	b.t.Helper()
	form := p.form(action)
	if form == nil {
		b.t.Fatalf("%s (%d) has no form that is sent to %s", p.path, p.status, action)
	}
	filled := url.Values{}
	fields := map[string]bool{}
	for n := range form.Descendants() {
		name := attr(n, "name")
		if name == "" {
			continue
		}
		fields[name] = true
		if n.Data == "input" && attr(n, "type") == "hidden" {
			filled.Set(name, attr(n, "value"))
		}
	}
	for name, v := range values {
		if !fields[name] {
			b.t.Errorf("the form of %s has no field %s", action, name)
		}
		filled[name] = v
	}
	return b.post(action, filled, nil)
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
		"/cases/" + string(id):                    {read: members},
		"/cases/" + string(id) + "/receipts/3":    {read: members},
		"/cases/" + string(id) + "/receipts/999":  {},
		"/cases/case-aaaaaaaaaaaaaaaa":            {},
		"/findings/" + string(f):                  {read: "carl otto eve al"},
		"/findings/" + string(f) + "/receipt":     {read: "carl otto eve al"},
		"/findings/" + string(f) + "/cluster":     {read: "otto eve al", refused: "carl pat"},
		"/projects":                               {read: strings.Join(everybody, " ")}, // an empty list but for coordinators and auditors
		"/project?purl=" + project:                {read: "otto eve al", refused: "carl pat"},
		"/packets/" + string(packet):              {read: "otto eve al"},
		"/packets/" + string(packet) + "/archive": {read: "otto eve", refused: "al"},
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

	// A case of its own, whose developer announces a release and withdraws.
	c, err := s.as("ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "heron", Variants: []string{"v"}}, Profile: "institute"}, "")
	if err != nil {
		t.Fatal(err)
	}
	ada, path := s.browser(t, "ada"), "/cases/"+string(c.ID)
	if p := ada.send(ada.get(path), path+"/announce", url.Values{"date": {"soon"}}); p.status != http.StatusUnprocessableEntity || !p.says("Nothing was changed") {
		t.Errorf("no date: %d", p.status)
	}
	if p := ada.send(ada.get(path), path+"/announce", url.Values{"date": {"2031-01-02"}}); p.status != http.StatusOK || !p.says("The release is announced") {
		t.Errorf("announced: %d", p.status)
	}
	if p := ada.send(ada.get(path), path+"/withdraw", nil); p.status != http.StatusUnprocessableEntity {
		t.Errorf("withdrawn without a word that it is meant: %d", p.status)
	}
	if p := ada.send(ada.get(path), path+"/withdraw", url.Values{"confirm": {"yes"}}); p.status != http.StatusOK || !p.says("The review has ended") || p.form(path+"/withdraw") != nil || p.form(path+"/announce") == nil {
		t.Errorf("withdrawn: %d", p.status)
	}
	if p := s.browser(t, "rita").get("/cases/" + string(id)); p.form("/cases/"+string(id)+"/withdraw") != nil {
		t.Error("the registrar is offered the developer's withdrawal")
	}

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
	for _, h := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}}} {
		for _, path := range []string{"/sign-in", "/sign-out", "/cases/" + string(id) + "/withdraw", "/cases/" + string(id) + "/announce", "/packets"} {
			if p := ada.post(path, url.Values{"confirm": {"yes"}, "date": {"2031-01-02"}}, h); p.status != http.StatusForbidden {
				t.Errorf("%s with %v: %d", path, h, p.status)
			}
		}
	}
	if c, err := s.as("ada").Case(t.Context(), id); err != nil || !c.Withdrawn.IsZero() {
		t.Errorf("withdrawn by another site: %v %v", c.Withdrawn, err)
	}
	if p := s.browser(t, "").post("/cases/"+string(id)+"/withdraw", url.Values{"confirm": {"yes"}}, nil); p.status != http.StatusForbidden {
		t.Errorf("withdrawn by nobody: %d", p.status)
	}
	if p := s.browser(t, "rita").post("/cases/"+string(id)+"/withdraw", url.Values{"confirm": {"yes"}}, nil); p.status != http.StatusForbidden {
		t.Errorf("withdrawn by the registrar: %d", p.status)
	}
	if p := s.browser(t, "pat").post("/cases/"+string(id)+"/withdraw", url.Values{"confirm": {"yes"}}, nil); p.status != http.StatusNotFound {
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
