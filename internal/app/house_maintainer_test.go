package app

import (
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
)

// TestMaintainer has whoever looks after a project read a packet by a link, answer it, and want no more; and holds links to what they open.
func TestMaintainer(t *testing.T) {
	data := t.TempDir()
	s := serveHouse(t, data, "")
	s.finders(t)
	brought := s.tenReports(t)
	s.works(t, "")
	f := clearing.FindingID(brought[1].Receipt)
	packet := s.onePacket(t, f)
	at := "/packets/" + string(packet)

	// Who released it gives a link, and nobody else.
	otto := s.browser(t, "otto")
	for who, want := range map[string]int{"eve": http.StatusForbidden, "al": http.StatusForbidden, "carl": http.StatusNotFound, "ann": http.StatusNotFound} {
		b := s.browser(t, who)
		if p := b.get(at); p.form(at+"/links") != nil {
			t.Errorf("%s is offered to give a link", who)
		}
		if p := b.post(at+"/links", url.Values{"days": {"30"}}, nil); p.status != want {
			t.Errorf("%s gives a link: %d %s", who, p.status, p.text)
		}
	}
	for _, days := range []string{"0", "91", "-1", "a"} {
		if p := otto.send(otto.get(at), at+"/links", url.Values{"days": {days}}); p.status != http.StatusUnprocessableEntity {
			t.Errorf("a link for %s days: %d", days, p.status)
		}
	}
	link := func() string {
		t.Helper()
		p := otto.send(otto.get(at), at+"/links", url.Values{"days": {"30"}})
		found := regexp.MustCompile(`<pre tabindex="0">(http://[^<]*/packet/open#phm_[a-z0-9]+)</pre>`).FindStringSubmatch(p.text)
		if p.status != http.StatusOK || found == nil || !strings.HasPrefix(found[1], s.url+"/") {
			t.Fatalf("a link: %d %s", p.status, p.text)
		}
		return found[1]
	}
	given, second := link(), link()
	_, secret, _ := strings.Cut(given, "#")
	if p := otto.get(at); strings.Contains(p.text, secret) || !p.says("given by otto@institute", "holds until") {
		t.Errorf("the packet's page: %s", p.text)
	}

	// What opens nothing says so in the same words, whatever it is.
	expired := clearing.NewLinkSecret()
	id, hash, _ := clearing.HashLink(expired)
	p, err := s.findings.Project(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	by := p.Packets[len(p.Packets)-1].By
	if _, _, err := s.findings.Change(t.Context(), project, clearing.Request{}, func(p clearing.Project) (clearing.Event, error) {
		return clearing.Event{By: by, Act: clearing.GiveLink{Packet: packet, ID: id, Hash: hash, Expires: p.Changed.Add(time.Microsecond)}}, nil
	}, p.Changed); err != nil {
		t.Fatal(err)
	}
	_, other, _ := strings.Cut(second, "#")
	second = regexp.MustCompile(`/packets/[^/]*/links/` + regexp.QuoteMeta(linkOf(t, other)) + `/end`).FindString(otto.get(at).text)
	if p := otto.send(otto.get(at), second, nil); p.status != http.StatusOK || p.form(second) != nil {
		t.Errorf("a link is ended: %d %s", p.status, p.text)
	}
	nobody := s.browser(t, "")
	refusal := nobody.send(nobody.get("/packet"), "/packet/open", url.Values{"code": {"phm_guessed"}})
	if refusal.status != http.StatusNotFound || !refusal.says("There is no such packet") || refusal.header.Get("X-Robots-Tag") != "noindex, nofollow" {
		t.Fatalf("a guess: %d %v %s", refusal.status, refusal.header, refusal.text)
	}
	for why, code := range map[string]string{
		"nothing": " ", "a guess": clearing.NewLinkSecret(), "expired": expired, "ended": other, "a name": string(packet), "a link's name": string(id), "a hash": hash,
		"a token": s.tokens["otto"], "another case": strings.ToUpper(secret), "a letter less": secret[:len(secret)-1], "hostile": hostile,
	} {
		p := nobody.send(nobody.get("/packet/open"), "/packet/open", url.Values{"code": {code}})
		if p.status != http.StatusNotFound || p.text != refusal.text {
			t.Errorf("%s: %d %s", why, p.status, p.text)
		}
	}
	for _, path := range []string{"/packet/files/proof", "/packet/files/packet.zip", "/packet/files/target", at, at + "/archive"} {
		if p := nobody.get(path); p.status == http.StatusOK && p.path != "/sign-in?to="+url.QueryEscape(path) {
			t.Errorf("%s without a link: %d %s", path, p.status, p.path)
		}
	}
	for _, path := range []string{"/packet/reply", "/packet/stop"} {
		if p := nobody.post(path, url.Values{"answer": {"fixed"}, "confirm": {"yes"}}, nil); p.status != http.StatusNotFound {
			t.Errorf("%s without a link: %d", path, p.status)
		}
	}

	// The link, pasted whole, opens its packet.
	read := nobody.send(nobody.get("/packet"), "/packet/open", url.Values{"code": {" " + given + "\n"}})
	if read.status != http.StatusOK || read.path != "/packet" || !read.says("Reported 9 times by 3 independent finders", "n = 7;", "At most 1 packet a week", "fix.diff", "in 1.1") || read.header.Get("X-Robots-Tag") == "" {
		t.Fatalf("by the link: %d %s %s", read.status, read.path, read.text)
	}
	for _, hidden := range []string{secret, string(f), string(packet), "carl", "otto@institute<", "institute/"} {
		if strings.Contains(read.text, hidden) {
			t.Errorf("by the link one reads %q", hidden)
		}
	}
	for name, begins := range map[string]string{"packet.zip": "PK", "proof": "N", "fix.diff": "---", "regression.diff": "---"} {
		if p := nobody.get("/packet/files/" + name); p.status != http.StatusOK || !strings.HasPrefix(p.text, begins) || p.header.Get("Content-Disposition") != `attachment; filename="`+name+`"` {
			t.Errorf("%s: %d %v %.40q", name, p.status, p.header, p.text)
		}
	}
	for _, name := range []string{"target.toml", "packet.txt", "..%2fproof"} {
		if p := nobody.get("/packet/files/" + name); p.status != http.StatusNotFound {
			t.Errorf("%s: %d", name, p.status)
		}
	}
	if p := nobody.get(at); !strings.HasPrefix(p.path, "/sign-in") {
		t.Errorf("a link opens what is the house's: %s", p.path)
	}

	// Its answer is the packet's, and nothing runs of it where others read it.
	if p := nobody.send(read, "/packet/reply", url.Values{"answer": {"not a bug"}, "note": {" "}}); p.status != http.StatusUnprocessableEntity || !p.says("say in a note why") {
		t.Errorf("no bug, without a reason: %d %s", p.status, p.text)
	}
	if p := nobody.send(read, "/packet/reply", url.Values{"answer": {"thanks"}, "note": {""}}); p.status != http.StatusUnprocessableEntity {
		t.Errorf("an answer that is none: %d", p.status)
	}
	if p := nobody.send(read, "/packet/reply", url.Values{"answer": {"not a bug"}, "note": {hostile}}); p.status != http.StatusOK || !p.says("Your answer is taken", "not a bug") {
		t.Errorf("answered: %d %s", p.status, p.text)
	}
	for _, b := range []*browser{otto, s.browser(t, "al")} {
		if p := b.get(at); !p.says("and the project said: <strong>not a bug</strong>") {
			t.Errorf("the packet's page after the answer: %s", p.text)
		}
	}
	if p := s.browser(t, "carl").get("/findings/" + string(f)); !p.says("and the project said: <strong>not a bug</strong>", html.EscapeString(hostile)) || strings.Contains(p.text, "link-") {
		t.Errorf("the finder's page after the answer: %s", p.text)
	}
	if v, err := s.as("carl").Finding(t.Context(), f); err != nil || v.Bug.Packet == nil || len(v.Bug.Packet.Links) != 0 {
		t.Errorf("the finder is told of links: %+v %v", v.Bug, err)
	}
	if p := nobody.send(nobody.get("/packet"), "/packet/stop", url.Values{"confirm": {"no"}}); p.status != http.StatusUnprocessableEntity {
		t.Errorf("stopped without a word: %d", p.status)
	}
	stopped := nobody.send(nobody.get("/packet"), "/packet/stop", url.Values{"confirm": {"yes"}})
	if stopped.status != http.StatusOK || !stopped.says("Nothing more is sent to the project") || stopped.form("/packet/stop") != nil {
		t.Errorf("stopped: %d %s", stopped.status, stopped.text)
	}
	if p := otto.get("/project?purl=" + project); !p.says("asked that nothing more is sent") {
		t.Errorf("the project's page: %s", p.text)
	}
	// Another site's form is refused, and a session opens none of it.
	for _, path := range []string{"/packet/open", "/packet/reply", "/packet/stop", "/packet/close"} {
		if p := nobody.post(path, url.Values{"code": {secret}, "answer": {"fixed"}, "confirm": {"yes"}}, http.Header{"Sec-Fetch-Site": {"cross-site"}}); p.status != http.StatusForbidden {
			t.Errorf("%s from elsewhere: %d", path, p.status)
		}
	}

	// Closed in the browser, and ended in the house.
	if p := nobody.send(nobody.get("/packet"), "/packet/close", nil); p.path != "/packet/open" || nobody.get("/packet").path != "/packet/open" {
		t.Errorf("closed: %s", p.path)
	}
	nobody.send(nobody.get("/packet"), "/packet/open", url.Values{"code": {secret}})
	ends := regexp.MustCompile(`/packets/[^/]*/links/` + regexp.QuoteMeta(linkOf(t, secret)) + `/end`).FindString(otto.get(at).text)
	otto.send(otto.get(at), ends, nil)
	if p := nobody.get("/packet"); p.status != http.StatusNotFound || p.text != refusal.text {
		t.Errorf("after it was ended: %d %s", p.status, p.text)
	}
	if p := nobody.get("/packet"); p.path != "/packet/open" {
		t.Errorf("the browser keeps what opens nothing: %s", p.path)
	}
	if p := nobody.get("/packet/files/proof"); p.status != http.StatusNotFound {
		t.Errorf("a file after it was ended: %d", p.status)
	}

	// The secret is kept nowhere.
	if err := filepath.WalkDir(data, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		for _, s := range []string{secret, other, expired, strings.TrimPrefix(secret, "phm_")} {
			if strings.Contains(string(b), s) {
				t.Errorf("%s has the secret of a link", name)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// linkOf is the name of a secret's link.
func linkOf(t *testing.T, secret string) string {
	t.Helper()
	id, _, ok := clearing.HashLink(secret)
	if !ok {
		t.Fatal(proofhouse.Errorf(proofhouse.Invalid, nil, "that is no secret"))
	}
	return string(id)
}
