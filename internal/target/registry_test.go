package target

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// registry is a module proxy and an npm registry on the loopback. Its answers
// are set with serve; what it was asked is in asked.
type registry struct {
	url string

	mu    sync.Mutex // guards what follows
	files map[string][]byte
	asked []string
}

// serve sets the answer to a path; nil refuses it.
func (r *registry) serve(path string, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if delete(r.files, path); b != nil {
		r.files[path] = b
	}
}

// requests are how many requests there were.
func (r *registry) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

func newRegistry(t *testing.T) *registry {
	r := &registry{files: map[string][]byte{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.asked = append(r.asked, req.URL.Path)
		b, ok := r.files[req.URL.Path]
		r.mu.Unlock()
		if !ok {
			http.Error(w, "refused", http.StatusForbidden)
			return
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

func (r *registry) fetcher(t *testing.T) Fetcher {
	return Fetcher{Dir: t.TempDir(), Environ: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GOPROXY=" + r.url, "npm_config_registry=" + r.url, "GOENV=off",
	}}
}

// addModule serves a module and gives its go.sum lines.
func (r *registry) addModule(t *testing.T, path, version string, files map[string]string) (zipHash, modHash string) {
	t.Helper()
	return r.addModuleNeeding(t, path, version, "", files)
}

// addModuleNeeding is addModule with more lines of go.mod.
func (r *registry) addModuleNeeding(t *testing.T, path, version, needs string, files map[string]string) (zipHash, modHash string) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	mod := "module " + path + "\n" + needs
	files["go.mod"] = mod
	for name, text := range files {
		w, err := z.Create(path + "@" + version + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(text))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	at := "/" + path + "/@v/" + version
	r.serve(at+".zip", b.Bytes())
	r.serve(at+".mod", []byte(mod))
	r.serve(at+".info", []byte(fmt.Sprintf(`{"Version":%q}`, version)))
	zipHash, err := hashZip(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return zipHash, hashMod([]byte(mod))
}

// addPackage serves an npm package and gives its integrity.
func (r *registry) addPackage(t *testing.T, name, version string, entries ...tar.Header) string {
	t.Helper()
	b := tgz(t, append([]tar.Header{file("package/package.json", `{"name":"`+name+`"}`)}, entries...)...)
	r.serve("/"+name+"/-/"+name+"-"+version+".tgz", b)
	return integrity(b)
}

func integrity(b []byte) string {
	sum := sha512.Sum512(b)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// file is a tar entry whose content travels in Uname, for brevity here.
func file(name, text string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text)), Mode: 0o644, Uname: text}
}

func tgz(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(tarOf(t, entries...)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		text := h.Uname
		h.Uname = ""
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func npmLock(entries ...string) []byte {
	return []byte(`{"name":"t","lockfileVersion":3,"packages":{"":{"name":"t"},` + strings.Join(entries, ",") + `}}`)
}

func npmLockEntry(place, version, hash string) string {
	return fmt.Sprintf(`%q:{"version":%q,"integrity":%q,"resolved":"http://203.0.113.1/never"}`, place, version, hash)
}

// goTask is a task's folder with a lock for two modules.
func goTask(sum string) fstest.MapFS {
	return fstest.MapFS{
		"tests/v.mod": {Data: []byte("module task\n\ngo 1.21\n\nrequire example.org/a v1.0.0\n\nrequire example.org/b v1.1.0 // indirect\n")},
		"tests/v.sum": {Data: []byte(sum)},
	}
}
