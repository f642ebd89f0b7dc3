package target

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"

	"proofhouse/internal/proofhouse"
)

// goLock is a go.mod with its go.sum: every module that a build needs, by hash.
type goLock struct {
	mod, sum []byte
	zips     map[module.Version]string // h1 of each module's archive
	mods     map[module.Version]string // h1 of each module's go.mod
}

// parseGoLock reads a lock and refuses what could swap code behind its back:
// replaced modules and a hash that is given twice.
func parseGoLock(mod, sum []byte) (goLock, error) {
	l := goLock{mod: mod, sum: sum, zips: map[module.Version]string{}, mods: map[module.Version]string{}}
	f, err := modfile.Parse("go.mod", mod, nil)
	if err != nil {
		return goLock{}, proofhouse.Errorf(proofhouse.Invalid, err, "the lock's go.mod cannot be read")
	}
	if len(f.Replace) > 0 {
		return goLock{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the lock's go.mod replaces %s: a lock pins modules by hash and replaces none", f.Replace[0].Old.Path)
	}
	for i, line := range strings.Split(string(sum), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		bad := func() error {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "line %d of the lock's go.sum is not \"module version h1:hash\"", i+1)
		}
		if len(fields) != 3 || h1Name(fields[2]) == "" {
			return goLock{}, bad()
		}
		into, version := l.zips, fields[1]
		if v, ok := strings.CutSuffix(version, "/go.mod"); ok {
			into, version = l.mods, v
		}
		m := module.Version{Path: fields[0], Version: version}
		if module.Check(m.Path, m.Version) != nil {
			return goLock{}, bad()
		}
		if old, ok := into[m]; ok && old != fields[2] {
			return goLock{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the lock's go.sum gives two hashes for %s %s", m.Path, version)
		}
		into[m] = fields[2]
	}
	return l, nil
}

// holds says whether the lock pins src as the task does.
func (l goLock) holds(src Source) error {
	m := module.Version{Path: src.Package, Version: src.Version}
	got, ok := l.zips[m]
	if !ok {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the lock's go.sum has no hash for %s %s: make the lock again and pin that version", src.Package, src.Version)
	}
	if got != src.Hash {
		return differs(src.Package+" "+src.Version, src.Hash, got+" (in the lock's go.sum)")
	}
	return nil
}

// h1Name is the name of a kept download, or "" if h is no h1 hash.
func h1Name(h string) string {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(h, "h1:"))
	if err != nil || len(raw) != 32 || !strings.HasPrefix(h, "h1:") {
		return ""
	}
	return "h1-" + hex.EncodeToString(raw)
}

func checkZip(m module.Version, want string) func([]byte) error {
	return func(b []byte) error {
		got, err := hashZip(b)
		if err != nil {
			return proofhouse.Errorf(proofhouse.Integrity, err, "the archive of %s %s is cut short or damaged: fetch it again", m.Path, m.Version)
		}
		if got != want {
			return differs(m.Path+" "+m.Version, want, got)
		}
		return nil
	}
}

func hashZip(b []byte) (string, error) {
	f, err := os.CreateTemp("", "proofhouse-zip-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return dirhash.HashZip(f.Name(), dirhash.Hash1)
}

func checkMod(m module.Version, want string) func([]byte) error {
	return func(b []byte) error {
		if got := hashMod(b); got != want {
			return differs("the go.mod of "+m.Path+" "+m.Version, want, got)
		}
		return nil
	}
}

// hashMod is the go.sum hash of a go.mod; nothing in it can fail.
func hashMod(b []byte) string {
	h, _ := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	})
	return h
}

// modules gets all that a lock names, as a tree in the layout of the module
// proxy protocol, which the go command in the box reads as its only proxy.
func (f Fetcher) modules(ctx context.Context, l goLock) (tree, error) {
	zips, mods := map[module.Version][]byte{}, map[module.Version][]byte{}
	var wantZips, wantMods []string
	for m, h := range l.zips {
		b, err := f.lookup(h1Name(h)+".zip", checkZip(m, h))
		if err != nil {
			wantZips = append(wantZips, m.Path+"@"+m.Version)
			continue
		}
		zips[m] = b
	}
	for m, h := range l.mods {
		b, err := f.lookup(h1Name(h)+".mod", checkMod(m, h))
		if err != nil {
			wantMods = append(wantMods, m.Path+"@"+m.Version)
			continue
		}
		mods[m] = b
	}
	if len(wantZips)+len(wantMods) > 0 {
		if err := f.download(ctx, l, wantZips, wantMods, zips, mods); err != nil {
			return nil, err
		}
	}
	t := tree{}
	for m, b := range mods {
		name, err := proxyName(m)
		if err != nil {
			return nil, err
		}
		info, _ := json.Marshal(map[string]string{"Version": m.Version})
		t[name+".mod"], t[name+".info"] = node{data: b}, node{data: info}
		if z, ok := zips[m]; ok {
			t[name+".zip"] = node{data: z}
		}
	}
	for m := range zips {
		if mods[m] == nil {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the lock's go.sum has no go.mod hash for %s %s: make the lock again with the go command", m.Path, m.Version)
		}
	}
	return t, nil
}

func proxyName(m module.Version) (string, error) {
	p, err := module.EscapePath(m.Path)
	if err != nil {
		return "", err
	}
	v, err := module.EscapeVersion(m.Version)
	return p + "/@v/" + v, err
}

// goModule gets the archive of one module, unpacked.
func (f Fetcher) goModule(ctx context.Context, src Source) (tree, error) {
	m := module.Version{Path: src.Package, Version: src.Version}
	if module.Check(m.Path, m.Version) != nil || h1Name(src.Hash) == "" {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "%s %s with hash %q does not pin a Go module: write its path, version and h1: hash", src.Package, src.Version, src.Hash)
	}
	l := goLock{zips: map[module.Version]string{m: src.Hash}}
	b, err := f.lookup(h1Name(src.Hash)+".zip", checkZip(m, src.Hash))
	if err != nil {
		zips := map[module.Version][]byte{}
		if err := f.download(ctx, l, []string{m.Path + "@" + m.Version}, nil, zips, nil); err != nil {
			return nil, err
		}
		b = zips[m]
	}
	return unzip(b, m.Path+"@"+m.Version+"/")
}

// download asks the go command, which knows this machine's proxies, mirrors
// and credentials, for modules, and keeps what has the lock's hashes.
// Downloading a module runs nothing of it, and GOVCS forbids the version
// control tools that a "direct" fetch would start. The checksum database is
// not asked: the task's own pins are stricter.
func (f Fetcher) download(ctx context.Context, l goLock, wantZips, wantMods []string, zips, mods map[module.Version][]byte) (err error) {
	tmp, err := os.MkdirTemp("", "proofhouse-gomod-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	run := func(names []string, args ...string) error {
		if len(names) == 0 {
			return nil
		}
		cmd := exec.CommandContext(ctx, "go", append(args, names...)...)
		cmd.Dir = tmp
		cmd.Env = append(append([]string{}, f.Environ...), "GOFLAGS=-modcacherw -mod=mod", "GO111MODULE=on", "GOWORK=off",
			"GOTOOLCHAIN=local", "GOSUMDB=off", "GOVCS=*:off", "GOMODCACHE="+filepath.Join(tmp, "cache"))
		out, err := cmd.Output()
		if errors.Is(err, exec.ErrNotFound) {
			return proofhouse.Errorf(proofhouse.Unavailable, err, "the go command is not there to fetch Go modules: install Go")
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if derr := f.collect(l, out, zips, mods); derr != nil {
			return derr
		}
		if err != nil {
			return refusedModule(err, names)
		}
		return nil
	}
	if err := run(wantZips, "mod", "download", "-json"); err != nil {
		return err
	}
	missing := wantMods[:0:0]
	for _, name := range wantMods {
		p, v, _ := strings.Cut(name, "@")
		if mods[module.Version{Path: p, Version: v}] == nil {
			missing = append(missing, name)
		}
	}
	return run(missing, "list", "-m", "-json")
}

func refusedModule(err error, names []string) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, clip(string(exit.Stderr)))
	}
	return proofhouse.Errorf(proofhouse.Unavailable, err, "the Go module registry did not serve %s: check `go env GOPROXY` and the network, then try again", names[0])
}

// collect checks and keeps what the go command reports as downloaded.
func (f Fetcher) collect(l goLock, out []byte, zips, mods map[module.Version][]byte) error {
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var got struct {
			Path, Version, Zip, GoMod string
			Error                     any
		}
		if err := dec.Decode(&got); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the go command's report: %w", err)
		}
		m := module.Version{Path: got.Path, Version: got.Version}
		if got.Error != nil {
			return proofhouse.Errorf(proofhouse.Unavailable, fmt.Errorf("%v", got.Error), "the Go module registry did not serve %s %s: check `go env GOPROXY` and the network, then try again", m.Path, m.Version)
		}
		if h := l.zips[m]; h != "" && got.Zip != "" {
			b, err := os.ReadFile(got.Zip)
			if err == nil {
				err = checkZip(m, h)(b)
			}
			if err == nil {
				err = f.keep(h1Name(h)+".zip", b)
			}
			if err != nil {
				return err
			}
			zips[m] = b
		}
		if h := l.mods[m]; h != "" && got.GoMod != "" {
			b, err := os.ReadFile(got.GoMod)
			if err == nil {
				err = checkMod(m, h)(b)
			}
			if err == nil {
				err = f.keep(h1Name(h)+".mod", b)
			}
			if err != nil {
				return err
			}
			mods[m] = b
		}
	}
}
