package root

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// source is one archive of apt's configuration.
type source struct {
	URI        string // ends without a slash
	Suite      string
	Components []string
}

// readSources reads the archives that the machine's apt is configured with.
// Which of them are Debian's is not decided here: their signatures tell.
func readSources(dir string) ([]source, error) {
	names, err := filepath.Glob(filepath.Join(dir, "sources.list.d", "*"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	names = append([]string{filepath.Join(dir, "sources.list")}, names...)
	var all []source
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // absent, or not for us to read: as apt does
		}
		switch filepath.Ext(name) {
		case ".list":
			all = append(all, parseList(b)...)
		case ".sources":
			all = append(all, parseDeb822(b)...)
		}
	}
	return all, nil
}

// parseList reads the one-line format of sources.list(5).
func parseList(b []byte) []source {
	var all []source
	sc := bufio.NewScanner(bytes.NewReader(b))
	for sc.Scan() {
		line, _, _ := strings.Cut(sc.Text(), "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb")
		if !ok || rest == "" || (rest[0] != ' ' && rest[0] != '\t' && rest[0] != '[') {
			continue
		}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			_, after, ok := strings.Cut(rest, "]")
			if !ok {
				continue
			}
			rest = after
		}
		if f := strings.Fields(rest); len(f) >= 3 {
			all = append(all, source{strings.TrimRight(f[0], "/"), f[1], f[2:]})
		}
	}
	return all
}

// parseDeb822 reads the stanza format of sources.list(5).
func parseDeb822(b []byte) []source {
	var all []source
	for stanza := range stanzas(bytes.NewReader(b)) {
		if !slices.Contains(strings.Fields(stanza["types"]), "deb") || strings.EqualFold(stanza["enabled"], "no") {
			continue
		}
		for _, uri := range strings.Fields(stanza["uris"]) {
			for _, suite := range strings.Fields(stanza["suites"]) {
				all = append(all, source{strings.TrimRight(uri, "/"), suite, strings.Fields(stanza["components"])})
			}
		}
	}
	return all
}

// suites of the release that roots are made of, oldest claim last. The
// security suite has an archive of its own.
const (
	release         = "bookworm"
	releaseUpdates  = release + "-updates"
	releaseSecurity = release + "-security"
)

var releaseSuites = []string{release, releaseUpdates, releaseSecurity}

// archives are the places to try for a suite, in the order of apt's
// configuration: those that name it, then those that serve the same kind of
// suite of another release (a machine on a newer Debian has the same mirror).
func archives(sources []source, suite string) []string {
	security := strings.HasSuffix(suite, "-security")
	var exact, kin []string
	for _, s := range sources {
		if !slices.Contains(s.Components, "main") {
			continue
		}
		switch {
		case s.Suite == suite:
			exact = append(exact, s.URI)
		case strings.HasSuffix(s.Suite, "-security") == security && strings.Contains(s.URI, "debian"):
			kin = append(kin, s.URI)
		}
	}
	var all []string
	for _, u := range append(exact, kin...) {
		if !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	return all
}

var proxyLine = regexp.MustCompile(`(?m)^Acquire::(https?)::Proxy "([^"]+)";$`)

// newClient is an HTTP client that uses the proxy of the environment, or else
// the one of apt's configuration.
func newClient(ctx context.Context) *http.Client {
	apt := map[string]*url.URL{}
	if out, err := exec.CommandContext(ctx, "apt-config", "dump").Output(); err == nil {
		for _, m := range proxyLine.FindAllStringSubmatch(string(out), -1) {
			if u, err := url.Parse(m[2]); err == nil && m[2] != "DIRECT" {
				apt[m[1]] = u
			}
		}
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 60 * time.Second
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		if u, err := http.ProxyFromEnvironment(r); u != nil || err != nil {
			return u, err
		}
		return apt[r.URL.Scheme], nil
	}
	return &http.Client{Transport: t}
}
