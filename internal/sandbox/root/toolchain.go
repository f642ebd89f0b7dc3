package root

import (
	"archive/zip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/dirhash"

	"proofhouse/internal/proofhouse"
)

// toolchainPath is the module that the Go project publishes its toolchains as.
const toolchainPath = "golang.org/toolchain"

const maxToolchain = 512 << 20 // bytes of the zip

func toolchainVersion(goVersion string) string { return "v0.0.1-" + goVersion + ".linux-" + debianArch }

// goProxies are the module proxies of the go command's configuration.
func (s Store) goProxies(ctx context.Context) ([]string, error) {
	list := s.GoProxy
	if list == "" {
		out, err := exec.CommandContext(ctx, "go", "env", "GOPROXY").Output()
		if err != nil {
			return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the go command does not say which module proxy to use: install Go, or set GOPROXY")
		}
		list = strings.TrimSpace(string(out))
	}
	var all []string
	for _, p := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == '|' }) {
		if p != "direct" && p != "off" {
			all = append(all, strings.TrimRight(p, "/"))
		}
	}
	if len(all) == 0 {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, nil, "GOPROXY names no module proxy: set it to one that serves %s", toolchainPath)
	}
	return all, nil
}

// fetchModule brings a module's zip into the folder and checks its go.sum hash.
func (s Store) fetchModule(ctx context.Context, client *http.Client, m Module) (string, error) {
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Hash, "h1:"))
	if err != nil {
		return "", err
	}
	dst := filepath.Join(s.Fetch, fmt.Sprintf("h1-%x", sum))
	check := func() error {
		got, err := dirhash.HashZip(dst, dirhash.Hash1)
		if err == nil && got == m.Hash {
			return nil
		}
		os.Remove(dst)
		return proofhouse.Errorf(proofhouse.Integrity, err, "%s %s is not what the lock pins: the module proxy is faulty, try another", m.Path, m.Version)
	}
	if _, err := os.Stat(dst); err == nil {
		return dst, check()
	}
	if err := os.MkdirAll(s.Fetch, 0o755); err != nil {
		return "", err
	}
	proxies, err := s.goProxies(ctx)
	if err != nil {
		return "", err
	}
	var faults []error
	for _, p := range proxies {
		_, _, err := s.download(ctx, client, p+"/"+m.Path+"/@v/"+m.Version+".zip", maxToolchain, dst, func(_ proofhouse.Digest, n int64) bool { return n <= maxToolchain })
		if err == nil {
			return dst, check()
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		faults = append(faults, err)
	}
	return "", proofhouse.Errorf(proofhouse.Unavailable, errors.Join(faults...), "%s %s cannot be fetched: check the network and GOPROXY", m.Path, m.Version)
}

// unpackToolchain lays a toolchain's zip at /usr/local/go.
func unpackToolchain(t *tree, name, version string, drop dropper, spool *os.File) error {
	z, err := zip.OpenReader(name)
	if err != nil {
		return malformed(err, "the toolchain's zip")
	}
	defer z.Close()
	prefix := toolchainPath + "@" + version + "/"
	var total int64
	for _, f := range z.File {
		rel, ok := strings.CutPrefix(f.Name, prefix)
		if !ok || strings.HasSuffix(rel, "/") {
			continue
		}
		p, err := cleanName("/usr/local/go/" + rel)
		if err != nil {
			return err
		}
		if drop.drops(p) {
			continue
		}
		if total += int64(f.UncompressedSize64); total > maxUnpacked || len(z.File) > maxEntries {
			return proofhouse.Errorf(proofhouse.Limit, nil, "the toolchain unpacks to more than %d bytes", int64(maxUnpacked))
		}
		r, err := f.Open()
		if err != nil {
			return malformed(err, "the toolchain's zip")
		}
		data, err := spoolFrom(spool, r, int64(f.UncompressedSize64))
		r.Close()
		if err != nil {
			return err
		}
		// A module's zip holds no modes; these are the folders of programs.
		n := &node{mode: 0o644, data: data}
		if strings.HasPrefix(rel, "bin/") || strings.HasPrefix(rel, "pkg/tool/") {
			n.mode = 0o755
		}
		if err := t.put(p, n); err != nil {
			return err
		}
	}
	return nil
}

// lockToolchain asks the go command for a toolchain's hash, which it checks
// against the checksum database it is configured with.
func lockToolchain(ctx context.Context, goVersion, dir string) (Module, error) {
	m := Module{Path: toolchainPath, Version: toolchainVersion(goVersion)}
	cache, err := os.MkdirTemp(dir, "modcache-*")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(cache)
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-modcacherw", "-json", m.Path+"@"+m.Version)
	cmd.Env = append(cmd.Environ(), "GOMODCACHE="+cache, "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw")
	cmd.Dir = cache
	out, err := cmd.Output()
	if err != nil {
		return m, proofhouse.Errorf(proofhouse.Unavailable, err, "the go command cannot fetch %s: check the network, GOPROXY and the version", m.Version)
	}
	var answer struct{ Sum string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return m, err
	}
	m.Hash = answer.Sum
	return m, nil
}
