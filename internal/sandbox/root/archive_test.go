package root

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// archive is a small Debian archive with keys of its own, served over HTTP.
type archive struct {
	t    *testing.T
	key  *openpgp.Entity
	url  string
	apt  string
	ring string

	mu     sync.Mutex
	files  map[string][]byte
	asked  map[string]int
	stanza map[string][]string // by suite
}

// pkg is a package of the archive.
type pkg struct {
	name, version, fields string
	packing               string // gz, xz, zst
	files                 []tar.Header
	content               map[string]string
	suite                 string
}

func newArchive(t *testing.T) *archive {
	a := &archive{t: t, files: map[string][]byte{}, asked: map[string]int{}, stanza: map[string][]string{}}
	a.key = newKey(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		b, ok := a.files[r.URL.Path]
		a.asked[r.URL.Path]++
		a.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(b)
	}))
	t.Cleanup(srv.Close)
	a.url = srv.URL
	a.apt, a.ring = t.TempDir(), t.TempDir()
	write(t, filepath.Join(a.apt, "sources.list"), fmt.Sprintf("# ours\ndeb [arch=amd64] %s/debian bookworm main\ndeb %s/debian bookworm-updates main\ndeb %s/debian-security/ bookworm-security main\ndeb %s/other stable main\n", srv.URL, srv.URL, srv.URL, srv.URL))
	var ring bytes.Buffer
	if err := a.key.Serialize(&ring); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(a.ring, "debian-archive-test.gpg"), ring.String())
	a.sign(day)
	return a
}

func newKey(t *testing.T) *openpgp.Entity {
	t.Helper()
	k, err := openpgp.NewEntity("archive", "", "archive@example.org", &packet.Config{Time: func() time.Time { return day.AddDate(-1, 0, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func place(suite string) string {
	if suite == releaseSecurity {
		return "/debian-security"
	}
	return "/debian"
}

// add puts a package into a suite's index and pool; sign makes it visible.
func (a *archive) add(p pkg) string {
	a.t.Helper()
	if p.suite == "" {
		p.suite = release
	}
	deb := makeDeb(a.t, p)
	name := fmt.Sprintf("pool/main/%s/%s_%s_amd64.deb", p.name, p.name, strings.ReplaceAll(p.version, ":", ""))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.files[place(p.suite)+"/"+name] = deb
	a.stanza[p.suite] = append(a.stanza[p.suite], fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\n%sFilename: %s\nSize: %d\nSHA256: %s\n", p.name, p.version, p.fields, name, len(deb), proofhouse.DigestOf(deb).Hex()))
	return place(p.suite) + "/" + name
}

// sign writes the indexes of all suites as of a time; they expire a week later.
func (a *archive) sign(at time.Time) {
	a.t.Helper()
	for _, suite := range releaseSuites {
		a.mu.Lock()
		packed := squeeze(a.t, "xz", []byte(strings.Join(a.stanza[suite], "\n")))
		a.mu.Unlock()
		body := fmt.Sprintf("Origin: Debian\nSuite: oldstable\nCodename: %s\nDate: %s\nValid-Until: %s\nSHA256:\n %s %d main/binary-amd64/Packages.xz\n",
			suite, at.Format(time.RFC1123), at.AddDate(0, 0, 7).Format(time.RFC1123), proofhouse.DigestOf(packed).Hex(), len(packed))
		a.mu.Lock()
		a.files[place(suite)+"/dists/"+suite+"/InRelease"] = clearSign(a.t, a.key, body, at)
		a.files[place(suite)+"/dists/"+suite+"/main/binary-amd64/Packages.xz"] = packed
		a.mu.Unlock()
	}
}

func clearSign(t *testing.T, key *openpgp.Entity, body string, at time.Time) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, key.PrivateKey, &packet.Config{Time: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(body))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func squeeze(t *testing.T, packing string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var err error
	switch packing {
	case "gz":
		w := gzip.NewWriter(&out)
		w.Write(b)
		err = w.Close()
	case "zst":
		w, e := zstd.NewWriter(&out)
		if e != nil {
			t.Fatal(e)
		}
		w.Write(b)
		err = w.Close()
	case "xz", "":
		w, e := xz.NewWriter(&out)
		if e != nil {
			t.Fatal(e)
		}
		w.Write(b)
		err = w.Close()
	default:
		out.Write(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func makeTar(t *testing.T, headers []tar.Header, content map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content[h.Name]))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(content[h.Name])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func makeDeb(t *testing.T, p pkg) []byte {
	t.Helper()
	ext := p.packing
	if ext == "" {
		ext = "xz"
	}
	return makeAr(
		[2]string{"debian-binary", "2.0\n"},
		[2]string{"control.tar.gz", "xxxxx"},
		[2]string{"data.tar." + ext, string(squeeze(t, ext, makeTar(t, p.files, p.content)))},
	)
}

func makeAr(members ...[2]string) []byte {
	b := bytes.NewBufferString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m[0], 0, 0, 0, "100644", len(m[1]))
		b.WriteString(m[1])
		if len(m[1])%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// store is a fresh data folder over the archive.
func (a *archive) store(recipes fstest.MapFS) Store {
	dir := a.t.TempDir()
	return Store{
		Images: sandbox.Images{Dir: filepath.Join(dir, "images")}, Fetch: filepath.Join(dir, "fetch"), Records: filepath.Join(dir, "roots"),
		Recipes: recipes, Apt: a.apt, Keyrings: a.ring, Client: http.DefaultClient,
	}
}

// lock resolves a recipe and puts its lock into the recipes.
func lock(t *testing.T, s Store, name string, now time.Time) Lock {
	t.Helper()
	l, err := s.Relock(context.Background(), name, now)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := l.Write(&b); err != nil {
		t.Fatal(err)
	}
	s.Recipes.(fstest.MapFS)[name+".lock"] = &fstest.MapFile{Data: b.Bytes()}
	return l
}
