package root

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/proofhouse"
)

func TestCompareVersions(t *testing.T) {
	// In order, the oldest first; from deb-version(7) and dpkg's own rules.
	order := []string{"1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-1~deb", "1.0-1", "1.0-1+b1", "1.0-1+deb12u1", "1.0-10", "1.0a", "1.0+x", "1.2", "1.10", "1:0.1", "2:0"}
	for i, a := range order {
		for j, b := range order {
			got := compareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("compareVersions(%q, %q) = %d", a, b, got)
			}
		}
	}
	for _, same := range [][2]string{{"0:1", "1"}, {"1.0", "1.00"}, {"1.0-0", "1.0"}} {
		if compareVersions(same[0], same[1]) != 0 {
			t.Errorf("%q and %q differ", same[0], same[1])
		}
	}
}

func TestReadSources(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "sources.list.d"), 0o755)
	write(t, filepath.Join(dir, "sources.list"), "# deb http://no/ bookworm main\ndeb-src http://no bookworm main\n  deb\t[ arch=amd64 signed-by=/x ] http://one/debian/ bookworm main contrib # why\ndeb http://broken\n")
	write(t, filepath.Join(dir, "sources.list.d", "b.sources"), "Types: deb deb-src\nURIs: http://two/debian http://three/debian\nSuites: trixie trixie-updates\nComponents: main\n# comment\nSigned-By:\n -----BEGIN\n .\n end\n\nTypes: deb\nEnabled: no\nURIs: http://no\nSuites: bookworm\nComponents: main\n")
	write(t, filepath.Join(dir, "sources.list.d", "a.list"), "deb https://vendor/apt bookworm stable\ndeb https://vendor/debian trixie main\n")
	write(t, filepath.Join(dir, "sources.list.d", "c.bak"), "deb http://no bookworm main\n")
	got, err := readSources(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"http://one/debian", "https://vendor/debian", "http://two/debian", "http://three/debian"}, archives(got, "bookworm")); diff != "" {
		t.Errorf("archives of bookworm (-want +got):\n%s", diff)
	}
	if got := archives(got, releaseSecurity); len(got) != 0 {
		t.Errorf("archives of security: %q", got)
	}
}

func TestVerifyInRelease(t *testing.T) {
	key, other := newKey(t), newKey(t)
	ring := openpgp.EntityList{key}
	body := "Origin: Debian\nCodename: bookworm\nDate: Sun, 01 Mar 2026 12:00:00 UTC\nValid-Until: Sun, 08 Mar 2026 12:00:00 UTC\nSHA256:\n"
	good := clearSign(t, key, body, day)
	if _, err := verifyInRelease(good, ring, release, day.AddDate(0, 0, 6)); err != nil {
		t.Fatalf("a sound index is refused: %v", err)
	}
	for name, test := range map[string]struct {
		b    []byte
		days int
		says string
	}{
		"another key":     {clearSign(t, other, body, day), 0, "no valid signature"},
		"changed":         {bytes.Replace(good, []byte("bookworm"), []byte("bookwork"), 1), 0, "no valid signature"},
		"unsigned":        {[]byte(body), 0, "not signed"},
		"text after":      {append(slices.Clone(good), "\nOrigin: Eve\n"...), 0, "not signed"},
		"expired":         {good, 8, "expired"},
		"another suite":   {clearSign(t, key, strings.Replace(body, "bookworm", "sid", 1), day), 0, "says that it is sid"},
		"another origin":  {clearSign(t, key, strings.Replace(body, "Debian", "Vendor", 1), day), 0, "cannot be read"},
		"before its time": {good, -30, "no valid signature"},
	} {
		_, err := verifyInRelease(test.b, ring, release, day.AddDate(0, 0, test.days))
		if err == nil || proofhouse.KindOf(err) != proofhouse.Integrity || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClose(t *testing.T) {
	index := `Package: a
Version: 1
Depends: b (>= 2) | c, virtual, left-out (>= 9)
Pre-Depends: d:any

Package: b
Version: 1

Package: c
Version: 1
Depends: a

Package: d
Version: 2
Depends: e | a

Package: e
Version: 1

Package: y
Version: 1
Provides: virtual

Package: x
Version: 1
Provides: virtual (= 3)

Package: strict
Version: 1
Depends: virtual (>= 3)

Package: hopeless
Version: 1
Depends: b (>> 1)
`
	index = strings.ReplaceAll(index, "\n\n", "\nFilename: pool/x.deb\nSize: 1\nSHA256: "+strings.Repeat("0", 64)+"\n\n") + "Filename: pool/x.deb\nSize: 1\nSHA256: " + strings.Repeat("0", 64) + "\n"
	list, err := parsePackages(strings.NewReader(index), release)
	if err != nil {
		t.Fatal(err)
	}
	u := newUniverse(list)
	for _, test := range []struct{ wanted, without, got string }{
		{"a", "left-out", "a c d x"},
		{"a y", "left-out", "a c d y"},
		{"strict y", "", "strict x y"},
		{"hopeless", "", "error"},
		{"nothing", "", "error"},
		{"a", "", "error"},
	} {
		all, err := u.close(strings.Fields(test.wanted), strings.Fields(test.without))
		var names []string
		for _, c := range all {
			names = append(names, c.Name)
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = "error"
		}
		if got != test.got {
			t.Errorf("%s without %q gives %q (%v), want %q", test.wanted, test.without, got, err, test.got)
		}
	}
}

func TestDataOf(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":        nil,
		"no data":      makeAr([2]string{"debian-binary", "2.0\n"}),
		"cut short":    makeAr([2]string{"debian-binary", "2.0\n"})[:40],
		"negative":     []byte("!<arch>\n" + strings.Repeat(" ", 48) + "-1        `\n"),
		"huge":         []byte("!<arch>\n" + strings.Repeat(" ", 48) + "9999999999`\n"),
		"many members": makeAr(slices.Repeat([][2]string{{"x", "y"}}, 40)...),
	} {
		if _, err := dataOf(bytes.NewReader(b)); proofhouse.KindOf(err) != proofhouse.Integrity {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDeb feeds damaged packages to the whole unpacking, which may refuse them
// but neither panics nor names anything outside the tree.
func FuzzDeb(f *testing.F) {
	t := &testing.T{}
	tarball := makeTar(t, []tar.Header{dir("./usr/"), file("./usr/x", 0o4755), {Typeflag: tar.TypeSymlink, Name: "./l", Linkname: "usr"}, {Typeflag: tar.TypeLink, Name: "./l/h", Linkname: "./usr/x"}}, map[string]string{"./usr/x": "hello"})
	for _, packing := range []string{"gz", "xz", "zst", "none"} {
		f.Add(makeAr([2]string{"debian-binary", "2.0\n"}, [2]string{"data.tar." + packing, string(squeeze(t, packing, tarball))}))
	}
	f.Add(makeAr([2]string{"data.tar", string(makeTar(t, []tar.Header{dir("../x")}, nil))}))
	spool, err := os.CreateTemp(f.TempDir(), "spool")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		data, err := dataOf(bytes.NewReader(b))
		if err != nil {
			return
		}
		spool.Truncate(0)
		tr := newTree()
		var entries []entry
		err = walkTar(io.LimitReader(data, 1<<20), func(h *tar.Header, name string, content io.Reader) error {
			if filepath.Clean(name) != name || !filepath.IsAbs(name) || strings.Contains(name, "/../") {
				t.Fatalf("an entry is named %q", name)
			}
			if h.Size > 1<<20 {
				return io.ErrShortBuffer
			}
			e, err := entryOf(h, name, content, spool)
			entries = append(entries, e)
			return err
		})
		if err == nil {
			tr.add(entries)
		}
	})
}

func FuzzParseLock(f *testing.F) {
	b, err := os.ReadFile("../../../tasks/root/go.lock")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(lockHeading + "\nindex a 2026-01-01T00:00:00Z sha256:" + strings.Repeat("0", 64) + "\npackage a b 1 amd64 pool/../x.deb 1 " + strings.Repeat("0", 64) + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLock(b)
		if err != nil {
			return
		}
		var text bytes.Buffer
		if err := l.Write(&text); err != nil {
			t.Fatal(err)
		}
		again, err := ParseLock(text.Bytes())
		if err != nil {
			t.Fatalf("what Write wrote is refused: %v\n%s", err, text.Bytes())
		}
		var twice bytes.Buffer
		again.Write(&twice)
		if !bytes.Equal(text.Bytes(), twice.Bytes()) {
			t.Fatal("a lock changes when it is read and written")
		}
		for _, p := range l.Packages {
			if strings.Contains(p.Path, "..") {
				t.Fatalf("a package lies at %q", p.Path)
			}
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte("Package: a\nVersion: 1\nDepends: b (>= 2) | c, d:any [amd64]\nFilename: pool/x.deb\nSize: 1\nSHA256: " + strings.Repeat("0", 64) + "\n"))
	f.Add([]byte("Origin: Debian\nCodename: bookworm\nDate: Sun, 01 Mar 2026 12:00:00 UTC\nSHA256:\n x 1 y\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseRelease(b)
		parseList(b)
		parseDeb822(b)
		parseSources(b, Index{}, map[string][]SourcePackage{})
		if list, err := parsePackages(bytes.NewReader(b), release); err == nil {
			u := newUniverse(list)
			for name := range u.newest {
				u.close([]string{name}, nil)
			}
		}
	})
}
