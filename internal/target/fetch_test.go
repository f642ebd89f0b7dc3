package target

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"proofhouse/internal/proofhouse"
)

// wantKind fails unless err has the kind and its sentence says each word.
func wantKind(t *testing.T, err error, kind proofhouse.Kind, words ...string) {
	t.Helper()
	if err == nil || proofhouse.KindOf(err) != kind {
		t.Fatalf("error %v, want kind %s", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(proofhouse.PublicOf(err), w) {
			t.Errorf("the sentence %q does not say %q", proofhouse.PublicOf(err), w)
		}
	}
}

func TestFetchGo(t *testing.T) {
	r := newRegistry(t)
	aZip, aMod := r.addModule(t, "example.org/a", "v1.0.0", map[string]string{"a.go": "package a\n", "a_test.go": "package a\n"})
	bZip, bMod := r.addModule(t, "example.org/b", "v1.1.0", map[string]string{"b.go": "package b\n"})
	_, cMod := r.addModule(t, "example.org/c", "v1.2.0", map[string]string{"c.go": "package c\n"})
	sum := fmt.Sprintf("example.org/a v1.0.0 %s\nexample.org/a v1.0.0/go.mod %s\nexample.org/b v1.1.0 %s\nexample.org/b v1.1.0/go.mod %s\nexample.org/c v1.2.0/go.mod %s\n", aZip, aMod, bZip, bMod, cMod)
	src := Source{Package: "example.org/a", Version: "v1.0.0", Hash: aZip, Lock: "tests/v.mod"}
	f := r.fetcher(t)

	s, err := f.resolve(t.Context(), goTask(sum), Go, src)
	if err != nil {
		t.Fatal(err)
	}
	if string(s.code["a/a.go"].data) != "package a\n" || string(s.code["deps/example.org/b/b.go"].data) != "package b\n" {
		t.Errorf("code is %v", s.code.names())
	}
	if _, ok := s.proxy["example.org/c/@v/v1.2.0.mod"]; !ok {
		t.Errorf("proxy is %v, want c's go.mod in it", s.proxy.names())
	}
	if _, ok := visible(s.code)["a/a_test.go"]; ok {
		t.Error("an agent would see a test of the target")
	}

	t.Run("offline from the kept downloads", func(t *testing.T) {
		asked := r.requests()
		if _, err := f.resolve(t.Context(), goTask(sum), Go, src); err != nil {
			t.Fatal(err)
		}
		if n := r.requests(); n != asked {
			t.Errorf("the registry was asked %d times more", n-asked)
		}
	})
	t.Run("a kept download that changed is fetched again", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(f.Dir, h1Name(aZip)+".zip"), []byte("other"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := f.resolve(t.Context(), goTask(sum), Go, src); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("another archive of a transitive module", func(t *testing.T) {
		r.addModule(t, "example.org/b", "v1.1.0", map[string]string{"b.go": "package b // swapped\n"})
		_, err := r.fetcher(t).resolve(t.Context(), goTask(sum), Go, src)
		wantKind(t, err, proofhouse.Integrity, "example.org/b v1.1.0", bZip, "got h1:")
	})
	r.addModule(t, "example.org/b", "v1.1.0", map[string]string{"b.go": "package b\n"})
	t.Run("the task pins another hash than the lock", func(t *testing.T) {
		other := src
		other.Hash = bZip
		_, err := f.resolve(t.Context(), goTask(sum), Go, other)
		wantKind(t, err, proofhouse.Integrity, "example.org/a v1.0.0", bZip, aZip)
	})
	t.Run("the lock holds another version", func(t *testing.T) {
		other := src
		other.Version = "v1.0.1"
		_, err := f.resolve(t.Context(), goTask(sum), Go, other)
		wantKind(t, err, proofhouse.Integrity, "v1.0.1")
	})
	t.Run("the registry refuses", func(t *testing.T) {
		r.serve("/example.org/a/@v/v1.0.0.zip", nil)
		_, err := r.fetcher(t).resolve(t.Context(), goTask(sum), Go, src)
		wantKind(t, err, proofhouse.Unavailable, "go env GOPROXY", "try again")
	})
}

func TestGoLockRefuses(t *testing.T) {
	const h = "h1:h8qDotaEPuJATrMmW04NCwg7v22aHH28wwpauUhK9Oo="
	for name, l := range map[string][2]string{
		"a replaced module":  {"module t\nreplace a.b/c => ../c\n", ""},
		"two hashes":         {"module t\n", "a.b/c v1.0.0 " + h + "\na.b/c v1.0.0 h1:fxVm/GzAzEWqLHuvctI91KS9hhNmmWOoWu0XTYJS7CA=\n"},
		"a short hash":       {"module t\n", "a.b/c v1.0.0 h1:aaaa\n"},
		"an escaping path":   {"module t\n", "../c v1.0.0 " + h + "\n"},
		"an inexact version": {"module t\n", "a.b/c latest " + h + "\n"},
		"no go.mod":          {"modul t", ""},
	} {
		if _, err := parseGoLock([]byte(l[0]), []byte(l[1])); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: error %v, want kind invalid", name, err)
		}
	}
}

func TestFetchNpm(t *testing.T) {
	r := newRegistry(t)
	a := r.addPackage(t, "a", "1.0.0", file("package/index.js", "module.exports = 1"),
		tar.Header{Typeflag: tar.TypeSymlink, Name: "package/link", Linkname: "../../etc/passwd"},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "package/inner", Linkname: "index.js"})
	b := r.addPackage(t, "b", "2.0.0", file("package/index.js", "module.exports = 2"))
	lock := npmLock(npmLockEntry("node_modules/a", "1.0.0", a), npmLockEntry("node_modules/a/node_modules/b", "2.0.0", b))
	task := func(lock []byte) fstest.MapFS { return fstest.MapFS{"tests/v.json": {Data: lock}} }
	src := Source{Package: "a", Version: "1.0.0", Hash: a, Lock: "tests/v.json"}
	f := r.fetcher(t)

	s, err := f.resolve(t.Context(), task(lock), JavaScript, src)
	if err != nil {
		t.Fatal(err)
	}
	if string(s.code["node_modules/a/node_modules/b/index.js"].data) != "module.exports = 2" {
		t.Errorf("code is %v", s.code.names())
	}
	for name, n := range s.code {
		if n.link != "" {
			t.Errorf("%s is a link, which npm would not install", name)
		}
	}

	good := tgz(t, file("package/package.json", `{"name":"b"}`), file("package/index.js", "module.exports = 2"))
	for name, bytes := range map[string][]byte{"swapped": tgz(t, file("package/index.js", "other")), "cut short": good[:len(good)-9]} {
		t.Run("a tarball "+name, func(t *testing.T) {
			r.serve("/b/-/b-2.0.0.tgz", bytes)
			_, err := r.fetcher(t).resolve(t.Context(), task(lock), JavaScript, src)
			wantKind(t, err, proofhouse.Integrity, "b 2.0.0", b, "got sha512-")
		})
	}
	t.Run("a tarball that leads out, by its own hash", func(t *testing.T) {
		evil := tgz(t, file("package/../../../outside", "x"))
		r.serve("/b/-/b-2.0.0.tgz", evil)
		lock := npmLock(npmLockEntry("node_modules/a", "1.0.0", a), npmLockEntry("node_modules/b", "2.0.0", integrity(evil)))
		_, err := r.fetcher(t).resolve(t.Context(), task(lock), JavaScript, src)
		wantKind(t, err, proofhouse.Invalid, "leads out")
	})
	t.Run("the lock installs another version", func(t *testing.T) {
		other := npmLock(npmLockEntry("node_modules/a", "1.0.1", a))
		_, err := f.resolve(t.Context(), task(other), JavaScript, src)
		wantKind(t, err, proofhouse.Integrity, "a 1.0.0", "1.0.1")
	})
	t.Run("the registry refuses", func(t *testing.T) {
		r.serve("/a/-/a-1.0.0.tgz", nil)
		_, err := r.fetcher(t).resolve(t.Context(), task(lock), JavaScript, src)
		wantKind(t, err, proofhouse.Unavailable, "a 1.0.0", "npm config get registry")
	})
}

func TestNpmLockRefuses(t *testing.T) {
	h := integrity(nil)
	for name, lock := range map[string][]byte{
		"version 1":     []byte(`{"lockfileVersion":1}`),
		"no hash":       npmLock(`"node_modules/a":{"version":"1.0.0"}`),
		"a sha1":        npmLock(npmLockEntry("node_modules/a", "1.0.0", "sha1-AAAA")),
		"leads out":     npmLock(npmLockEntry("node_modules/../../a", "1.0.0", h)),
		"not installed": npmLock(npmLockEntry("a", "1.0.0", h)),
		"a range":       npmLock(npmLockEntry("node_modules/a", "^1.0.0", h)),
		"a link":        npmLock(`"node_modules/a":{"version":"1.0.0","link":true}`),
		"a path name":   npmLock(fmt.Sprintf(`"node_modules/a":{"name":"../x","version":"1.0.0","integrity":%q}`, h)),
	} {
		_, err := parseNpmLock(lock)
		if k := proofhouse.KindOf(err); err == nil || k != proofhouse.Invalid && k != proofhouse.Integrity {
			t.Errorf("%s: error %v, want it refused", name, err)
		}
	}
}

// TestNpmConfig reads registries from npm's own files.
func TestNpmConfig(t *testing.T) {
	home := t.TempDir()
	rc := "registry=http://127.0.0.1:1/all/\n@own:registry=http://127.0.0.1:1/own/\n//127.0.0.1:1/own/:_authToken=${TOKEN}\n; a remark\n"
	if err := os.WriteFile(filepath.Join(home, ".npmrc"), []byte(rc), 0o600); err != nil {
		t.Fatal(err)
	}
	f := Fetcher{Environ: []string{"HOME=" + home, "TOKEN=secret"}}
	c := f.npmConfig(t.Context())
	if c["registry"] != "http://127.0.0.1:1/all/" || c["@own:registry"] != "http://127.0.0.1:1/own/" || c["//127.0.0.1:1/own/:_authToken"] != "secret" {
		t.Errorf("config is %v", c)
	}
	f.Environ = append(f.Environ, "npm_config_registry=http://127.0.0.1:1/env/")
	if got := f.npmConfig(t.Context())["registry"]; got != "http://127.0.0.1:1/env/" {
		t.Errorf("registry is %q, want the environment's", got)
	}
}
