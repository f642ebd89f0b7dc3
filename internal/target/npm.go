package target

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
)

// npmDefault is what npm itself uses where nothing is configured; it is named
// here because a machine need not have npm to build a suite.
const npmDefault = "https://registry.npmjs.org/"

// npmEntry is one package of a lock, at its place below node_modules.
type npmEntry struct {
	place     string // "node_modules/a/node_modules/b"
	name      string
	version   string
	integrity string // "sha512-" and base64
}

var (
	npmName    = regexp.MustCompile(`^(@[a-z0-9~-][a-z0-9._~-]*/)?[A-Za-z0-9~_-][A-Za-z0-9._~-]*$`)
	npmVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$`)
)

// parseNpmLock reads a package-lock.json of version 3. Each package that is
// installed must have a sha512; the addresses in the lock are not used.
func parseNpmLock(b []byte) ([]npmEntry, error) {
	var lock struct {
		LockfileVersion int `json:"lockfileVersion"`
		Packages        map[string]struct {
			Name      string `json:"name"`
			Version   string `json:"version"`
			Integrity string `json:"integrity"`
			Link      bool   `json:"link"`
			Dev       bool   `json:"dev"`
			Optional  bool   `json:"optional"`
			InBundle  bool   `json:"inBundle"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(b, &lock); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "the package-lock.json cannot be read")
	}
	if lock.LockfileVersion != 3 {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the package-lock.json has version %d: make one of version 3 with npm 7 or newer", lock.LockfileVersion)
	}
	var out []npmEntry
	for place, p := range lock.Packages {
		if place == "" || p.Dev || p.InBundle {
			continue
		}
		_, name, _ := cutLast(place, "node_modules/")
		if p.Name != "" {
			name = p.Name // an alias: installed under another name
		}
		if !strings.HasPrefix(place, "node_modules/") || !fs.ValidPath(place) || !npmName.MatchString(name) || !npmVersion.MatchString(p.Version) || p.Link {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the package-lock.json entry %q is no package of a registry: pin a name and an exact version", clip(place))
		}
		if sha512Name(p.Integrity) == "" {
			return nil, proofhouse.Errorf(proofhouse.Integrity, nil, "the package-lock.json has no sha512 for %s %s: make the lock again with a current npm", name, p.Version)
		}
		out = append(out, npmEntry{place, name, p.Version, p.Integrity})
	}
	slices.SortFunc(out, func(a, b npmEntry) int { return strings.Compare(a.place, b.place) })
	return out, nil
}

// npmHolds says whether the lock installs src, and nothing else under its name.
func npmHolds(entries []npmEntry, src Source) error {
	for _, e := range entries {
		if e.place != "node_modules/"+src.Package {
			continue
		}
		if e.version != src.Version || e.integrity != src.Hash {
			return differs(src.Package+" "+src.Version, src.Hash, e.integrity+" (version "+e.version+" in the lock)")
		}
		return nil
	}
	return proofhouse.Errorf(proofhouse.Integrity, nil, "the package-lock.json does not install %s %s: make the lock again and pin that version", src.Package, src.Version)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// sha512Name is the name of a kept download, or "" if h is no sha512 integrity.
func sha512Name(h string) string {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(h, "sha512-"))
	if err != nil || len(raw) != sha512.Size || !strings.HasPrefix(h, "sha512-") {
		return ""
	}
	return "sha512-" + hex.EncodeToString(raw)
}

// nodeModules gets all packages of a lock, laid out as npm would, and runs no
// script of any of them.
func (f Fetcher) nodeModules(ctx context.Context, entries []npmEntry) (tree, error) {
	t := tree{}
	for _, e := range entries {
		p, err := f.npmPackage(ctx, e)
		if err != nil {
			return nil, err
		}
		t.merge(e.place, p)
	}
	return t, t.check()
}

// npmPackage gets one package, unpacked.
func (f Fetcher) npmPackage(ctx context.Context, e npmEntry) (tree, error) {
	if !npmName.MatchString(e.name) || !npmVersion.MatchString(e.version) || sha512Name(e.integrity) == "" {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "%s %s with hash %q does not pin an npm package: write its name, exact version and sha512- integrity", clip(e.name), clip(e.version), clip(e.integrity))
	}
	check := func(b []byte) error {
		sum := sha512.Sum512(b)
		if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != e.integrity {
			return differs(e.name+" "+e.version, e.integrity, got)
		}
		return nil
	}
	b, err := f.lookup(sha512Name(e.integrity)+".tgz", check)
	if err != nil {
		if b, err = f.npmTarball(ctx, e); err != nil {
			return nil, err
		}
		if err = check(b); err != nil {
			return nil, err
		}
		if err = f.keep(sha512Name(e.integrity)+".tgz", b); err != nil {
			return nil, err
		}
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the archive of %s %s is damaged", e.name, e.version)
	}
	t, err := untar(z, 1)
	if err != nil {
		return nil, fmt.Errorf("unpacking %s %s: %w", e.name, e.version, err)
	}
	for name, n := range t {
		if n.link != "" { // npm itself installs no links
			delete(t, name)
		}
	}
	return t, nil
}

// npmTarball asks the configured registry for a package.
func (f Fetcher) npmTarball(ctx context.Context, e npmEntry) ([]byte, error) {
	scope, base, scoped := strings.Cut(e.name, "/")
	if !scoped {
		scope, base = "", e.name
	}
	conf := f.npmConfig(ctx)
	registry := conf["registry"]
	if r := conf[scope+":registry"]; scoped && r != "" {
		registry = r
	}
	u, err := url.Parse(strings.TrimSuffix(registry, "/") + "/" + e.name + "/-/" + base + "-" + e.version + ".tgz")
	if err != nil || u.Host == "" {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "npm's registry setting is no address: check `npm config get registry`")
	}
	token := ""
	for p := u.Path; p != "/" && p != "." && token == ""; p = path.Dir(p) {
		token = conf["//"+u.Host+strings.TrimSuffix(p, "/")+"/:_authToken"]
	}
	if token == "" {
		token = conf["//"+u.Host+"/:_authToken"]
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: 60 * time.Second, TLSHandshakeTimeout: 20 * time.Second}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Minute}
	for try := 1; ; try++ {
		b, again, err := get(ctx, client, u.String(), token)
		if err == nil {
			return b, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !again || try == 3 {
			return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the npm registry did not serve %s %s: check `npm config get registry` and the network, then try again", e.name, e.version)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(try) * 300 * time.Millisecond):
		}
	}
}

// get reads one address; again says whether a later try may fare better.
func get(ctx context.Context, client *http.Client, address, token string) (b []byte, again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, false, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, true, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests, fmt.Errorf("status %s", res.Status)
	}
	b, err = io.ReadAll(io.LimitReader(res.Body, maxDownload+1))
	if err == nil && len(b) > maxDownload {
		return nil, false, fmt.Errorf("more than %d MiB", maxDownload>>20)
	}
	return b, true, err
}

// npmConfig is npm's own configuration in npm's order: environment, the
// user's file, the global file, its default. Where npm is installed it is
// asked for the registry, since only it knows its built-in files.
func (f Fetcher) npmConfig(ctx context.Context) map[string]string {
	conf := map[string]string{}
	user := f.env("npm_config_userconfig")
	if user == "" {
		user = filepath.Join(f.env("HOME"), ".npmrc")
	}
	for _, name := range []string{"/etc/npmrc", user} {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(k, ";") && !strings.HasPrefix(k, "#") {
				conf[strings.TrimSpace(k)] = os.Expand(strings.Trim(strings.TrimSpace(v), `"`), f.env)
			}
		}
	}
	for _, key := range []string{"NPM_CONFIG_REGISTRY", "npm_config_registry"} {
		if v := f.env(key); v != "" {
			conf["registry"] = v
			return conf
		}
	}
	if conf["registry"] == "" {
		cmd := exec.CommandContext(ctx, "npm", "config", "get", "registry")
		cmd.Env, cmd.Dir = f.Environ, os.TempDir()
		if out, err := cmd.Output(); err == nil {
			conf["registry"] = strings.TrimSpace(string(out))
		}
	}
	if conf["registry"] == "" {
		conf["registry"] = npmDefault
	}
	return conf
}
