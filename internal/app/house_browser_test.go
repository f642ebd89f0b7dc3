package app

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/clearing"
	"proofhouse/internal/docket"
)

// axe is axe-core, which looks for what keeps people with disabilities out.
//
//go:embed testdata/axe/axe.min.js
var axe string

// patience is how long a browser may take for one thing on a busy machine.
const patience = 3 * time.Minute

// screens are the ways in which every page is looked at.
var screens = []struct {
	name          string
	width, height int64
	scheme        string
}{{"phone-light", 375, 800, "light"}, {"phone-dark", 375, 800, "dark"}, {"wide-light", 1400, 900, "light"}, {"wide-dark", 1400, 900, "dark"}}

// TestBrowser opens the pages in Chromium, has axe-core look at each, dark and light, narrow and wide, and writes pictures. .ci/browser runs it in a
// network that has nothing but loopback; PROOFHOUSE_PICTURES is where the pictures go, and without it the test is left out.
func TestBrowser(t *testing.T) {
	dir := os.Getenv("PROOFHOUSE_PICTURES")
	if dir == "" {
		t.Skip("PROOFHOUSE_PICTURES says where pictures of pages go: .ci/browser sets it")
	}
	issuers := filepath.Join(t.TempDir(), "issuers.toml")
	if err := os.WriteFile(issuers, []byte("[[issuer]]\nid = \"staff\"\ntitle = \"Staff of the institute\"\naddress = \"https://accounts.example\"\nclient = \"proofhouse\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// With all ways in, so that their pages are looked at with each.
	s := serveHouseAs(t, t.TempDir(), HouseConfig{Origin: "example/log", URL: visited, Issuers: issuers})
	if _, text := s.visitor(t).get("/sign-in"); !strings.Contains(text, "Sign in with Staff of the institute") || !strings.Contains(text, "Sign in with a passkey") {
		t.Fatalf("the ways in are not all there: %s", text)
	}
	pages := s.pictured(t)
	ctx := chromium(t)
	alone(t, ctx, s.url)
	who := ""
	for _, p := range pages {
		if p.who != who {
			who = p.who
			s.signIn(t, ctx, who)
		}
		if p.opens != "" {
			doing(t, ctx, "a link is opened", chromedp.Navigate(s.url+"/packet/open#"+p.opens), chromedp.WaitVisible("#code", chromedp.ByID), chromedp.Submit("#code", chromedp.ByID), chromedp.WaitVisible(`form[action="/packet/reply"]`, chromedp.ByQuery))
		}
		for _, screen := range screens {
			see(t, ctx, s.url+p.path, filepath.Join(dir, "page-"+p.name+"-"+screen.name+".png"), screen.width, screen.height, screen.scheme)
		}
		onPaper(t, ctx, s.url+p.path, filepath.Join(dir, "page-"+p.name))
	}
}

// alone holds a tab to asking the house and nobody else.
func alone(t *testing.T, ctx context.Context, house string) {
	t.Helper()
	var mu sync.Mutex
	chromedp.ListenTarget(ctx, func(e any) {
		if r, ok := e.(*network.EventRequestWillBeSent); ok && !strings.HasPrefix(r.Request.URL, house+"/") && !strings.HasPrefix(r.Request.URL, "data:") { // of the browser's own: the sign in a field for dates
			mu.Lock()
			defer mu.Unlock()
			t.Errorf("%s is asked for by %s", r.Request.URL, r.DocumentURL)
		}
	})
}

// chromium is a tab of Debian's browser.
func chromium(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // which root cannot have
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		// The default of 20 s is too short where the machine is busy.
		chromedp.WSURLReadTimeout(patience),
	)
	alloc, stop := chromedp.NewExecAllocator(t.Context(), append(opts, more...)...)
	t.Cleanup(stop)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(stop)
	if err := chromedp.Run(ctx, network.Enable()); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// doing is chromedp.Run with patience.
func doing(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action) {
	t.Helper()
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// signIn signs in with the form; "" signs out.
func (s *served) signIn(t *testing.T, ctx context.Context, who string) {
	t.Helper()
	doing(t, ctx, "forgetting who it was", network.ClearBrowserCookies())
	if who == "" {
		return
	}
	// The page after it is waited for by what only it has: the form to sign out.
	doing(t, ctx, who+" signs in", chromedp.Navigate(s.url+"/sign-in"), chromedp.WaitVisible("#token", chromedp.ByID), chromedp.SendKeys("#token", s.tokens[who]+"\r", chromedp.ByID),
		chromedp.WaitVisible(`form[action="/sign-out"]`, chromedp.ByQuery))
}

// unfold is every form of a page as it looks when somebody wants it.
const unfold = `document.querySelectorAll("details").forEach(d => d.open = true)`

// see opens a page, has axe look at it, holds it to the screen's width and takes a picture.
func see(t *testing.T, ctx context.Context, url, picture string, width, height int64, scheme string) {
	t.Helper()
	doing(t, ctx, url, chromedp.EmulateViewport(width, height), chromedp.Navigate(url), chromedp.WaitVisible("#main", chromedp.ByID))
	look(t, ctx, picture, width, height, scheme)
}

// look is see for the page that is open, which may have come of a form.
func look(t *testing.T, ctx context.Context, picture string, width, height int64, scheme string) {
	t.Helper()
	name := strings.TrimSuffix(filepath.Base(picture), ".png")
	var found string
	var png []byte
	var wide bool
	doing(t, ctx, name,
		chromedp.EmulateViewport(width, height), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.Evaluate(unfold, nil),
		chromedp.Evaluate(`document.documentElement.scrollWidth > innerWidth`, &wide),
		chromedp.Evaluate(axe+";0", nil),
		chromedp.Evaluate(`axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => JSON.stringify(r.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html)])))`,
			&found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }),
		chromedp.Evaluate(`document.querySelectorAll("details").forEach(d => d.open = false)`, nil),
		chromedp.FullScreenshot(&png, 100),
	)
	if wide {
		t.Errorf("%s is wider than its screen", name)
	}
	var violations [][]any
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		t.Fatalf("%s: %v: %s", name, err, found)
	}
	for _, v := range violations {
		t.Errorf("%s: %s", name, fmt.Sprint(v...))
	}
	if err := os.WriteFile(picture, png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// kept is what of a page is lost on paper: what is cut off, what is folded, and markings that are not there.
const kept = `(() => {
	const lost = [], say = (why, e) => lost.push(why + ": " + e.outerHTML.slice(0, 120));
	for (const e of document.querySelectorAll("main, main *:not(svg *)")) {
		const s = getComputedStyle(e);
		if (e.closest(".hidden") || !e.getClientRects().length) continue;
		if (e.getBoundingClientRect().right > innerWidth + 1) say("beyond the edge", e);
		if (s.overflowX != "visible" && e.scrollWidth > e.clientWidth + 1 || s.overflowY != "visible" && e.scrollHeight > e.clientHeight + 1) say("cut off", e);
		if (s.position == "fixed" || s.position == "sticky") say("over others", e);
	}
	for (const d of document.querySelectorAll("details")) if (!d.closest(".deed") && ![...d.children].slice(1).every(e => e.matches("form") || e.checkVisibility({contentVisibilityAuto: true}))) say("folded", d);
	for (const m of document.querySelectorAll(".marking")) if (!m.checkVisibility() || getComputedStyle(m).color != "rgb(0, 0, 0)") say("no marking", m);
	return lost;
})()`

// onPaper holds a page to what is kept of it on paper, A4 without its margins, and prints it.
func onPaper(t *testing.T, ctx context.Context, url, name string) {
	t.Helper()
	var lost []string
	var pdf, png []byte
	doing(t, ctx, filepath.Base(name)+" on paper",
		chromedp.EmulateViewport(673, 950), emulation.SetEmulatedMedia().WithMedia("print").WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}),
		chromedp.Navigate(url), chromedp.WaitVisible("#main", chromedp.ByID),
		chromedp.Evaluate(kept, &lost), chromedp.FullScreenshot(&png, 100),
		chromedp.ActionFunc(func(ctx context.Context) (err error) {
			pdf, _, err = page.PrintToPDF().WithPreferCSSPageSize(true).WithPaperWidth(8.27).WithPaperHeight(11.69).Do(ctx)
			return err
		}),
		emulation.SetEmulatedMedia())
	for _, l := range lost {
		t.Errorf("%s on paper: %s", filepath.Base(name), l)
	}
	if err := errors.Join(os.WriteFile(name+".pdf", pdf, 0o644), os.WriteFile(name+"-paper.png", png, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// pictured is a page that is looked at, as whom, and the secret of the link that is opened before.
type pictured struct{ name, who, path, opens string }

// pictured fills the house and says which pages are looked at.
func (s *served) pictured(t *testing.T) []pictured {
	t.Helper()
	s.finders(t)
	id := s.review(t)
	s.openCases(t)
	list, err := s.as("ada").List(t.Context(), wire.Query{State: "open", Find: "kestrel"})
	if err != nil || len(list.Cases) != 1 {
		t.Fatal(list, err)
	}
	fresh := "/cases/" + string(list.Cases[0].ID)
	brought := s.tenReports(t)
	s.works(t, "")
	f := clearing.FindingID(brought[1].Receipt)
	packet := s.onePacket(t, f)
	at := "/cases/" + string(id)
	report, err := docket.ParseReport([]byte(secondReport + longReport))
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, "eve", id, docket.FileReport{Report: report, Salt: docket.Salt{3}})
	s.do(t, "rita", id, docket.PublishReport{Version: 2})
	kept, lent := s.custodyPictured(t), s.gatePictured(t)
	link, err := s.as("otto").GiveLink(t.Context(), packet, 30)
	if err != nil {
		t.Fatal(err)
	}
	return []pictured{
		{"sign-in", "", "/sign-in", ""},
		{"transparency", "", "/transparency", ""},
		{"report-public", "", "/reports/" + string(id), ""},
		{"packet-open", "", "/packet/open", ""},
		{"packet-linked", "", "/packet", link.Secret},
		{"docket", "rita", "/", ""},
		{"case-registrar", "rita", at, ""},
		{"not-found", "rita", "/nothing", ""},
		{"case-fresh", "rita", fresh, ""},
		{"criteria-new", "rita", fresh + "/criteria/new", ""},
		{"report-new", "rita", at + "/report/new", ""},
		{"requests", "rita", kept + "/requests", ""},
		{"use", "rita", lent + "/use", ""},
		{"gate", "rita", "/gate", ""},
		{"artifacts", "rita", kept + "/artifacts", ""},
		{"docket-empty", "pat", "/", ""},
		{"finding-finder", "carl", "/findings/" + string(f), ""},
		{"case-developer", "ada", at, ""},
		{"criteria-developer", "ada", at + "/criteria", ""},
		{"case-new", "ada", "/cases/new", ""},
		{"bundle", "ada", kept + "/bundle", ""},
		{"glass", "bob", "/glass", ""},
		{"portal", "carl", "/access", ""},
		{"finding-new", "carl", "/findings/new", ""},
		{"case-authority", "otto", at, ""},
		{"report", "otto", at + "/report", ""},
		{"criteria", "otto", at + "/criteria", ""},
		{"findings", "otto", "/findings", ""},
		{"cluster", "otto", "/findings/" + string(f) + "/cluster", ""},
		{"projects", "otto", "/projects", ""},
		{"project", "otto", "/project?purl=" + project, ""},
		{"packet", "otto", "/packets/" + string(packet), ""},
		{"findings-empty", "ann", "/findings", ""},
		{"gate-administrator", "ann", "/gate", ""},
		{"settings", "ann", "/settings", ""},
		{"settings-officer", "rita", "/settings", ""},
		{"people", "ann", "/settings/organisations/institute", ""},
		{"ways-in", "ann", "/settings/sign-in", ""},
	}
}
