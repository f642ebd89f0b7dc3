package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	downloads "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// visited is the address at which the journeys' browsers reach their house: one that passkeys can be bound to.
const visited = "http://localhost:8300"

// journeys are a house and a browser in front of it, in which each person has a profile of their own.
type journeys struct {
	*served
	t        *testing.T
	chromium context.Context
	pictures string
	people   map[string]*person
}

// person is somebody at a browser, who sees what is visible and has a mouse and a keyboard.
type person struct {
	t     *testing.T
	ctx   context.Context
	who   string
	saves string // where the browser puts what it saves
}

// person is somebody who has signed in; "" has not.
func (j *journeys) person(t *testing.T, who string) *person {
	t.Helper()
	p := j.people[who]
	if p == nil {
		p = j.arrives(t, who)
		j.people[who] = p
		if who != "" {
			p.signsIn(j.tokens[who])
		}
	}
	again := *p
	again.t = t
	return &again
}

// arrives opens a profile in which nobody has signed in.
func (j *journeys) arrives(t *testing.T, who string) *person {
	t.Helper()
	p := &person{t: t, who: who, saves: j.t.TempDir()}
	var profile cdp.BrowserContextID
	var tab target.ID
	// A window of its own: in a new profile, Chromium has none that it could open a tab in.
	doing(t, j.chromium, who+" opens a browser", chromedp.ActionFunc(func(ctx context.Context) (err error) {
		ctx = cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser)
		if profile, err = target.CreateBrowserContext().Do(ctx); err == nil {
			tab, err = target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(ctx)
		}
		return errors.Join(err, downloads.SetDownloadBehavior(downloads.SetDownloadBehaviorBehaviorAllow).WithBrowserContextID(profile).WithDownloadPath(p.saves).Do(ctx))
	}))
	var stop context.CancelFunc
	p.ctx, stop = chromedp.NewContext(j.chromium, chromedp.WithTargetID(tab))
	j.t.Cleanup(stop)
	alone(j.t, p.ctx, visited)
	if err := chromedp.Run(p.ctx, network.Enable(), chromedp.EmulateViewport(1400, 900)); err != nil {
		t.Fatal(err)
	}
	return p
}

// signsIn signs in with a token.
func (p *person) signsIn(token string) {
	p.t.Helper()
	p.goes("/sign-in")
	p.types("API token", token)
	p.presses("Sign in")
	p.reads(p.who + "@")
}

// goes opens an address of the house.
func (p *person) goes(path string) {
	p.t.Helper()
	doing(p.t, p.ctx, p.who+" opens "+path, chromedp.Navigate(visited+path), chromedp.WaitVisible("#main", chromedp.ByID))
}

// where is the path of the page that is shown.
func (p *person) where() string {
	p.t.Helper()
	var url string
	doing(p.t, p.ctx, "where is it", chromedp.Location(&url))
	path, _, _ := strings.Cut(strings.TrimPrefix(url, visited), "?")
	return path
}

// shown finds the first thing that can be seen, is one of the kinds and is called so, and says where to click on it. A label's name may go on.
const shown = `((kinds, name) => {
	for (const e of document.querySelectorAll(kinds)) {
		const says = e.innerText.trim().replace(/\s+/g, " ");
		if (!e.checkVisibility() || !(kinds === "label" ? says.startsWith(name) : says === name)) continue;
		e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getClientRects()[0];
		return [r.x + Math.min(r.width / 2, 40), r.y + r.height / 2];
	}
	return [];
})(%q, %q)`

// clicks clicks on what can be seen, once it can.
func (p *person) clicks(kinds, name string) {
	p.t.Helper()
	var at []float64
	p.until(name+" can be clicked", func() bool {
		return chromedp.Run(p.ctx, chromedp.Evaluate(fmt.Sprintf(shown, kinds, name), &at)) == nil && len(at) == 2
	})
	doing(p.t, p.ctx, p.who+" clicks on "+name, chromedp.MouseClickXY(at[0], at[1]))
}

// opens unfolds what is folded.
func (p *person) opens(name string) {
	p.t.Helper()
	p.clicks("summary", name)
}

// ticks clicks on the label of a box or of a choice.
func (p *person) ticks(name string) {
	p.t.Helper()
	p.clicks("label", name)
}

// presses clicks on a button and waits for the page after it.
func (p *person) presses(name string) {
	p.t.Helper()
	p.leaves(func() { p.clicks("button", name) })
}

// follows clicks on a link and waits for the page that it leads to.
func (p *person) follows(name string) {
	p.t.Helper()
	p.leaves(func() { p.clicks("a", name) })
}

// leaves does what leads to another page, or to the same anew, and waits for that.
func (p *person) leaves(do func()) {
	p.t.Helper()
	doing(p.t, p.ctx, "marking the page", chromedp.Evaluate("window.before = true", nil))
	do()
	p.until("another page", func() bool {
		var there bool
		return chromedp.Run(p.ctx, chromedp.Evaluate(`!window.before && document.readyState === "complete" && !!document.getElementById("main")`, &there)) == nil && there
	})
}

// held is what the field has that the keyboard is at.
const held = `(e => e.selectedOptions ? e.selectedOptions[0].text : e.value)(document.activeElement)`

// types clicks on a label and types into its field, key by key; in a list that chooses.
func (p *person) types(label, text string) {
	p.t.Helper()
	p.fills(label, text, chromedp.KeyEvent(text))
}

// pastes clicks on a label and pastes into its field.
func (p *person) pastes(label, text string) {
	p.t.Helper()
	p.fills(label, text, chromedp.ActionFunc(func(ctx context.Context) error { return input.InsertText(text).Do(ctx) }))
}

func (p *person) fills(label, text string, how chromedp.Action) {
	p.t.Helper()
	p.clicks("label", label)
	var got string
	doing(p.t, p.ctx, p.who+" fills in "+label, how, chromedp.Evaluate(held, &got))
	if got != text {
		p.t.Fatalf("%s fills in %s: %q stands in it, and not %q", p.who, label, got, text)
	}
}

// brings chooses a file.
func (p *person) brings(field, file string) {
	p.t.Helper()
	doing(p.t, p.ctx, p.who+" chooses a file", chromedp.SetUploadFiles("#"+field, []string{file}, chromedp.ByID))
}

// saved clicks on what is a file, and gives the file.
func (p *person) saved(kinds, name string) []byte {
	p.t.Helper()
	p.clicks(kinds, name)
	var all []string
	p.until("a file is saved", func() bool {
		all, _ = filepath.Glob(filepath.Join(p.saves, "*"))
		return len(all) == 1 && filepath.Ext(all[0]) != ".crdownload"
	})
	b, err := os.ReadFile(all[0])
	if err != nil || os.Remove(all[0]) != nil {
		p.t.Fatal(err)
	}
	return b
}

// text is what can be seen of the page, in lower case, as style sheets write some of it in capitals.
func (p *person) text() (text string, err error) {
	err = chromedp.Run(p.ctx, chromedp.Evaluate(`document.body.innerText`, &text))
	return strings.ToLower(strings.Join(strings.Fields(text), " ")), err
}

// reads waits until the page says the words, whatever makes it do so.
func (p *person) reads(words ...string) {
	p.t.Helper()
	for _, w := range words {
		p.until("reads "+w, func() bool {
			text, err := p.text()
			return err == nil && strings.Contains(text, strings.ToLower(w))
		})
	}
}

// misses holds the page to not saying the words.
func (p *person) misses(words ...string) {
	p.t.Helper()
	text, err := p.text()
	for _, w := range words {
		if err != nil || strings.Contains(text, strings.ToLower(w)) {
			p.t.Errorf("%s reads %q at %s, %v", p.who, w, p.where(), err)
		}
	}
}

// until waits for something, and shows the page if it does not come.
func (p *person) until(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(waiting); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			text, err := p.text()
			p.t.Fatalf("%s: not so: %s. At %s: %s, %v", p.who, what, p.where(), text, err)
		}
	}
}

// waiting is how long a person waits for a page.
const waiting = 30 * time.Second

// isTold opens pages of which this person may not know.
func (p *person) isTold(what string, paths ...string) {
	p.t.Helper()
	for _, path := range paths {
		p.goes(path)
		p.reads(what)
	}
}

// closed holds pages to being nothing to some, and a door to whoever has not signed in.
func (j *journeys) closed(t *testing.T, who string, paths ...string) {
	t.Helper()
	for _, w := range strings.Fields(who) {
		j.person(t, w).isTold("There is no such thing", paths...)
	}
	for _, path := range paths {
		nobody := j.person(t, "")
		nobody.isTold("API token", path)
		if at := nobody.where(); at != "/sign-in" {
			t.Errorf("who has not signed in is led from %s to %s", path, at)
		}
	}
}

// glued is a time that stands against the word before it.
var glued = regexp.MustCompile(`\pL(\d{4}-\d\d-\d\d \d\d:|\d\d:\d\d:\d\d utc)`)

// isPictured takes a picture of a step.
func (j *journeys) isPictured(p *person, name string) {
	p.t.Helper()
	if text, err := p.text(); err != nil || glued.MatchString(text) {
		p.t.Errorf("%s: a space is missing before a time: %q %v", name, glued.FindString(text), err)
	}
	var png []byte
	doing(p.t, p.ctx, name, chromedp.FullScreenshot(&png, 100))
	if err := os.WriteFile(filepath.Join(j.pictures, "journey-"+name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
