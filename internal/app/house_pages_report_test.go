package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// heldToTier holds a page of houseReport to the one tier whose paragraph it may have, with its marking, and a page of criteria to
// whoever may read them. Other pages have neither.
func (s *served) heldToTier(t *testing.T, who string, p at) {
	t.Helper()
	u, err := url.Parse(p.path)
	if err != nil {
		t.Fatal(err)
	}
	tier := u.Query().Get("tier")
	if strings.HasSuffix(u.Path, "/report") && tier == "" {
		tier = map[string]string{"ada": "developer", "bob": "developer", "trudy": "partner"}[who]
		if tier == "" {
			tier = "authority"
		}
	}
	for _, other := range docket.Tiers {
		want := p.status == http.StatusOK && strings.HasSuffix(u.Path, "/report") && string(other) == tier && !p.says("Title of the second")
		if p.says("canary for the "+string(other)) != want {
			t.Errorf("%s reads at %s what is for the %s tier: %v", who, p.path, other, !want)
		}
	}
	sees := p.status == http.StatusOK && strings.Contains(u.Path, "/criteria") && who != "ada" && who != "bob"
	if p.says("canary exclusion") != sees || p.says("How often the rule decides") != sees {
		t.Errorf("%s reads at %s what the commitment is to: %v", who, p.path, !sees)
	}
	if p.Node == nil || p.status != http.StatusOK || !strings.HasSuffix(u.Path, "/report") {
		return
	}
	for n := range p.Descendants() {
		if n.Type == html.ElementNode && attr(n, "class") == "passage" && (n.FirstChild == nil || !strings.Contains(textOf(n.FirstChild), "TLP:")) {
			t.Errorf("%s reads at %s a paragraph without its marking first: %s", who, p.path, textOf(n))
		}
	}
}

// textOf is what is written in an element.
func textOf(n *html.Node) string {
	all := ""
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			all += c.Data
		}
	}
	return all
}

// secondReport is a report as people write it, with all that pages show as more than words.
const secondReport = "# Title of the second\r\n\r\n[TLP:RED authority]\r\n## canary heading\r\nFor the authority: " + hostile + "\r\n\r\n" +
	"[TLP:RED developer]\r\ncanary of the developer\r\n\r\n[TLP:AMBER+STRICT authority, developer]\r\n- one\r\n- two\r\n\r\n" +
	"[TLP:CLEAR authority, developer, partner, public]\r\n| Suite | Solved |\r\n|---|---:|\r\n| open-1 | 80% |\r\nRead it so.\r\n"

// longReport goes on with a table of many columns and a paragraph that goes over several sheets of paper.
var longReport = "\n[TLP:AMBER authority, developer, partner]\n## What was measured\n" +
	"| Agent | Variant | Tasks | Solved | Interval | Tokens | Infrastructure errors | Containment | Memorisation | Fingerprint | Digest of the evidence |\n|---|---|---:|---:|---|---:|---:|---|---|---|---|\n" +
	"| baseline | canary-variant | 100 | 80% | 71% to 87% | 12000000 | 0 | demonstrated | unexcludable | canary-fingerprint | " + string(proofhouse.DigestOf(nil)) + " |\n" +
	"A row is a run that counts: the interval is that of the registered rule, and holds for all rows together.\n\n" +
	"[TLP:GREEN authority, developer, partner]\n## What was not tested\n" + strings.Repeat("Nothing is left out on paper, however long a paragraph goes on about what nobody measured.\n", 150)

// reportInPages files a second version of a case's report, publishes it, and tries both as everybody else.
func (s *served) reportInPages(t *testing.T, id proofhouse.CaseID) {
	t.Helper()
	path := "/cases/" + string(id)
	in := map[string]*browser{}
	for _, who := range []string{"", "rita", "eve", "otto", "ada", "carl", "trudy", "pat"} {
		in[who] = s.browser(t, who)
	}
	versions := func() int {
		c, err := s.as("rita").Case(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return len(c.Reports)
	}
	form := in["eve"].get(path + "/report/new")
	for _, bad := range []string{"", "no title", "# Title\n\ncanary without a line", "# Title\n\n[TLP:RED authority, developer]\ncanary"} {
		if p := in["eve"].send(form, path+"/report", url.Values{"text": {bad}}); p.status != http.StatusUnprocessableEntity || strings.Contains(p.text, "canary") {
			t.Errorf("filed %q: %d", bad, p.status)
		}
	}
	// From a file or a field it is read first, and sent on it is filed once.
	fromFile := in["eve"].upload(form, path+"/report", url.Values{"file": {secondReport}, "text": {""}})
	read := in["eve"].send(form, path+"/report", url.Values{"text": {secondReport}})
	for _, p := range []at{fromFile, read} {
		if p.status != http.StatusOK || !p.says("Nothing is filed yet", "3 of 4", "1 of 4", "For the authority, developer:") || versions() != 1 {
			t.Fatalf("before it is filed: %d %s", p.status, p.text)
		}
	}
	for range 2 {
		p := in["eve"].send(read, path+"/report", nil)
		if p.status != http.StatusOK || !p.says("It is filed", "Title of the second", "canary heading") || versions() != 2 {
			t.Fatalf("filed: %d %s, %d versions", p.status, p.text, versions())
		}
	}
	for who, want := range map[string]int{"otto": http.StatusForbidden, "ada": http.StatusForbidden, "trudy": http.StatusForbidden, "pat": http.StatusNotFound} {
		for _, confirm := range []string{"", "yes"} {
			if p := in[who].post(path+"/report", url.Values{"text": {secondReport}, "confirm": {confirm}}, nil); p.status != want || versions() != 2 {
				t.Errorf("%s files a report: %d", who, p.status)
			}
		}
		if p := in[who].get(path); p.says("/report/new") {
			t.Errorf("%s is offered to file a report", who)
		}
	}
	// Each reads their own tiers of both versions, and is led to no other.
	for who, tiers := range map[string]string{"rita": "authority partner public", "eve": "authority public", "otto": "authority partner public", "ada": "developer partner public", "carl": "authority public", "trudy": "partner public"} {
		p := in[who].get(path + "/report")
		var led []string
		for _, tier := range docket.Tiers {
			if p.says(path + "/report?tier=" + string(tier) + "&amp;version=2") {
				led = append(led, string(tier))
			}
		}
		if strings.Join(led, " ") != tiers || !p.says("version=1") || p.says("canary of the developer") != (who == "ada") || p.says("canary heading") != strings.Contains(tiers, "authority") {
			t.Errorf("%s is led to %v, and reads %s", who, led, p.text)
		}
		if !in[who].get(path).says(path+"/report?version=1", path+"/report?version=2") {
			t.Errorf("%s is not led from the case to its report", who)
		}
	}
	if p := in["otto"].get(path + "/report?tier=authority&version=1"); !p.says("Named by", "canary title") {
		t.Error("that a determination names the version is not shown")
	}
	p := in["otto"].get(path + "/report")
	kinds := map[string]int{}
	for n := range p.Descendants() {
		if n.Type == html.ElementNode {
			kinds[n.Data]++
		}
	}
	if kinds["table"] != 1 || kinds["li"] != 2 || !p.says("&lt;script", `class="number">80%`, ">TLP:AMBER+STRICT<") || kinds["img"] != 0 {
		t.Errorf("what a report is made of: %v %s", kinds, p.text)
	}
	// What was not published is nobody's to know of; then it is everybody's, and no more than that.
	none := in[""].get("/reports/case-aaaaaaaaaaaaaaaa")
	for who, b := range in {
		if p := b.get("/reports/" + string(id)); p.status != http.StatusNotFound || who == "" && p.text != none.text {
			t.Errorf("%q reads what nobody published: %d", who, p.status)
		}
	}
	for who, want := range map[string]int{"eve": http.StatusForbidden, "ada": http.StatusForbidden, "pat": http.StatusNotFound} {
		if p := in[who].post(path+"/acts/publish-report", url.Values{"version": {"2"}, "confirm": {"yes"}}, nil); p.status != want {
			t.Errorf("%s publishes a report: %d", who, p.status)
		}
	}
	once := in["rita"].send(in["rita"].get(path+"/report"), path+"/acts/publish-report", url.Values{"version": {"2"}})
	if !once.says("It cannot be taken back") || in[""].get("/reports/"+string(id)).status != http.StatusNotFound {
		t.Error("published without being asked once more")
	}
	if p := in["rita"].send(once, path+"/acts/publish-report", nil); p.status != http.StatusOK || !p.says("stands in the record") {
		t.Fatalf("published: %d %s", p.status, p.text)
	}
	for _, who := range []string{"", "pat", "ada"} {
		if p := in[who].get("/reports/" + string(id)); p.status != http.StatusOK || !p.says("Title of the second", "80%", "TLP:CLEAR") || p.says("canary heading") || p.says("one") && p.says("<li>one") || p.says("canary-codename") || p.says("TLP:RED") {
			t.Errorf("%q reads of what is public: %d %s", who, p.status, p.text)
		}
	}
	if p := in[""].get("/reports/" + string(id) + "?version=1"); p.status != http.StatusNotFound {
		t.Errorf("another version is public: %d", p.status)
	}
}

// registerInPages registers criteria from the file that criteria draft writes, and tries it as everybody else.
func (s *served) registerInPages(t *testing.T, in map[string]*browser, id proofhouse.CaseID) {
	t.Helper()
	path := "/cases/" + string(id)
	file, err := json.Marshal(CriteriaFile{Criteria: houseCriteria(), Salt: docket.Salt{1}, Suites: []docket.Suite{{Name: "open-1", Salt: docket.Salt{2}, Tasks: []docket.SuiteTask{{ID: "canary-task"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	registered := func() int {
		c, err := s.as("rita").Case(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return len(c.Registrations)
	}
	for who, want := range map[string]int{"ada": http.StatusForbidden, "otto": http.StatusForbidden, "eve": http.StatusForbidden, "carl": http.StatusForbidden, "pat": http.StatusNotFound} {
		if p := in[who].get(path + "/criteria/new"); p.status != want {
			t.Errorf("%s opens the form: %d", who, p.status)
		}
		if p := in[who].get(path + "/criteria"); p.status != http.StatusNotFound {
			t.Errorf("%s reads criteria that nobody registered: %d", who, p.status)
		}
		for _, confirm := range []string{"", "yes"} {
			if p := in[who].post(path+"/criteria", url.Values{"file": {string(file)}, "confirm": {confirm}}, nil); p.status != want || registered() != 0 {
				t.Errorf("%s registers criteria: %d", who, p.status)
			}
		}
	}
	rita := in["rita"]
	if !rita.get(path).says(path + "/criteria/new") {
		t.Error("the registrar is not led to the form")
	}
	form := rita.get(path + "/criteria/new")
	for _, bad := range []string{"", "{", "[]", "{}", `{"criteria":{}}`, strings.Replace(string(file), `"fixed sample"`, `"canary rule"`, 1), strings.Replace(string(file), "01000000", "00000000", 1)} {
		if p := rita.upload(form, path+"/criteria", url.Values{"file": {bad}}); p.status != http.StatusUnprocessableEntity || strings.Contains(p.text, "canary") {
			t.Errorf("registered from %.20q: %d %s", bad, p.status, p.text)
		}
	}
	read := rita.upload(form, path+"/criteria", url.Values{"file": {string(file)}})
	commitment, err := houseCriteria().Commit(docket.Salt{1})
	if err != nil {
		t.Fatal(err)
	}
	if read.status != http.StatusOK || !read.says("Nothing is registered yet", "canary exclusion", string(commitment)) || read.says("canary-task") || registered() != 0 {
		t.Fatalf("before it is registered: %d %s", read.status, read.text)
	}
	for _, w := range houseCriteria().Power() { // as criteria draft prints it
		if !strings.Contains(houseCriteria().PowerTable(), percentOf(w.Undetermined)) || !read.says(">"+percentOf(w.Rate)+"<", ">"+percentOf(w.Covered)+"<", ">"+percentOf(w.NotCovered)+"<", ">"+percentOf(w.Undetermined)+"<") {
			t.Errorf("the power at %v is not shown", w.Rate)
		}
	}
	for range 2 {
		if p := rita.send(read, path+"/criteria", nil); p.status != http.StatusOK || p.path != path+"/criteria/1?done=registered" || !p.says("They are registered", "not yet", string(commitment)) || registered() != 1 {
			t.Fatalf("registered: %d %s, %d versions", p.status, p.path, registered())
		}
	}
	for _, who := range []string{"rita", "ada", "otto", "eve", "carl"} {
		p := in[who].get(path + "/criteria/1")
		s.heldToTier(t, who, p)
		if !p.says(string(commitment)) || !in[who].get(path).says(path+"/criteria/1") {
			t.Errorf("%s is not led to the commitment", who)
		}
		if offered := p.form(path+"/acts/countersign", "version") != nil; offered != (who == "ada") {
			t.Errorf("%s is offered to countersign: %v", who, offered)
		}
	}
	if p := in["ada"].send(in["ada"].get(path+"/criteria"), path+"/acts/countersign", nil); !p.says("Nothing is done yet", string(commitment), "&#34;says&#34;:[1,") {
		t.Errorf("what the developer is to sign: %s", p.text)
	}
	if p := in["pat"].get(path + "/criteria/1"); p.status != http.StatusNotFound {
		t.Errorf("a stranger reads criteria: %d", p.status)
	}
}

func percentOf(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }
