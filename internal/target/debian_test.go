package target

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

const (
	oldC = "int a(int i) {\n\treturn buf[i];\n}\n\nint b(void) {\n\treturn 1;\n}\n\nint c(void) {\n\treturn 2;\n}\n"

	fixA = "Description: check the index\n--- a/x.c\n+++ b/x.c\n@@ -1,4 +1,6 @@\n int a(int i) {\n+\tif (i < 0)\n+\t\treturn 0;\n \treturn buf[i];\n }\n \n"
	fixC = "--- a/x.c\n+++ b/x.c\n@@ -10,5 +10,5 @@\n }\n \n int c(void) {\n-\treturn 2;\n+\treturn 3;\n }\n--- /dev/null\n+++ b/new.c\n@@ -0,0 +1,2 @@\n+int n;\n+int m;\n"
)

// debianIndex serves source packages from memory.
type debianIndex struct {
	sources []DebianSource
	files   map[proofhouse.Digest][]byte
}

func (d *debianIndex) Sources(_ context.Context, name, _ string) ([]DebianSource, error) {
	return d.sources, nil
}

func (d *debianIndex) Fetch(_ context.Context, f DebianFile, w io.Writer) error {
	_, err := w.Write(d.files[f.SHA256])
	return err
}

// add adds a revision, newest first.
func (d *debianIndex) add(t *testing.T, version string, orig []byte, series string, patches map[string]string) {
	t.Helper()
	entries := []string{"debian/patches/series", series}
	for name, text := range patches {
		entries = append(entries, "debian/patches/"+name, text)
	}
	b := tgzOf(t, entries...)
	src := DebianSource{Name: "x", Version: version}
	for name, content := range map[string][]byte{"x_1.orig.tar.gz": orig, "x_" + version + ".debian.tar.gz": b} {
		digest := proofhouse.DigestOf(content)
		d.files[digest] = content
		src.Files = append(src.Files, DebianFile{Name: name, SHA256: digest, Size: int64(len(content))})
	}
	d.sources = append([]DebianSource{src}, d.sources...)
}

// tgzOf packs names and texts in turn.
func tgzOf(t *testing.T, pairs ...string) []byte {
	t.Helper()
	headers := make([]tar.Header, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		headers = append(headers, file(pairs[i], pairs[i+1]))
	}
	return tgz(t, headers...)
}

func TestDebian(t *testing.T) {
	orig := tgzOf(t, "x-1/x.c", oldC)
	index := &debianIndex{files: map[proofhouse.Digest][]byte{}}
	patches := map[string]string{"fix-a.patch": fixA, "fix-c.patch": fixC}
	index.add(t, "1-2", orig, "fix-a.patch\n# a remark\nfix-c.patch -p1\n", patches)
	f := Fetcher{Dir: t.TempDir(), Debian: index} // keeps what it found
	fixed := Source{Debian: "x", Revision: "1-2", Orig: string(proofhouse.DigestOf(orig)), Patch: string(proofhouse.DigestOf([]byte(fixA)))}
	vulnerable := fixed
	vulnerable.Omit = "fix-a.patch"

	check := func(t *testing.T, src Source, has, hasNot, label string) {
		t.Helper()
		f := Fetcher{Dir: t.TempDir(), Debian: index}
		s, err := f.resolve(t.Context(), nil, C, src)
		if err != nil {
			t.Fatal(err)
		}
		text := string(s.code["x/x.c"].data)
		if !strings.Contains(text, has) || hasNot != "" && strings.Contains(text, hasNot) || !strings.Contains(text, "return 3") {
			t.Errorf("x.c is %q", text)
		}
		if string(s.code["x/new.c"].data) != "int n;\nint m;\n" || s.label != label {
			t.Errorf("new.c is %q, label %q", s.code["x/new.c"].data, s.label)
		}
	}
	t.Run("fixed", func(t *testing.T) { check(t, fixed, "if (i < 0)", "", "x 1-2") })
	t.Run("vulnerable", func(t *testing.T) { check(t, vulnerable, "return buf[i]", "if (i < 0)", "x 1-2 without fix-a.patch") })
	t.Run("a newer revision that holds both", func(t *testing.T) {
		more := map[string]string{"fix-a.patch": fixA, "fix-c.patch": fixC, "more.patch": "--- a/y.c\n+++ b/y.c\n@@ -0,0 +1 @@\n+int y;\n"}
		index.add(t, "1-3", orig, "fix-a.patch\nfix-c.patch\nmore.patch\n", more)
		check(t, vulnerable, "return buf[i]", "if (i < 0)", "x 1-3 without fix-a.patch")
	})
	t.Run("a newer revision with another patch is passed over", func(t *testing.T) {
		index.add(t, "1-4", orig, "fix-a.patch\nfix-c.patch\n", map[string]string{"fix-a.patch": fixA + "\n", "fix-c.patch": fixC})
		check(t, vulnerable, "return buf[i]", "if (i < 0)", "x 1-3 without fix-a.patch")
	})
	t.Run("both sides are of one revision, and offline the second time", func(t *testing.T) {
		one, err := f.resolve(t.Context(), nil, C, vulnerable)
		if err != nil {
			t.Fatal(err)
		}
		two, err := (Fetcher{Dir: f.Dir, Debian: &debianIndex{}}).resolve(t.Context(), nil, C, fixed)
		if err != nil || one.label != two.label+" without fix-a.patch" {
			t.Errorf("labels %q and %q, error %v", one.label, two.label, err)
		}
	})
	t.Run("no revision holds the patch", func(t *testing.T) {
		other := vulnerable
		other.Patch = string(proofhouse.DigestOf([]byte("other")))
		_, err := f.resolve(t.Context(), nil, C, other)
		wantKind(t, err, proofhouse.Integrity, "x", "1-2", "fix-a.patch", other.Patch)
	})
	t.Run("another original archive", func(t *testing.T) {
		other := vulnerable
		other.Orig = string(proofhouse.DigestOf([]byte("other")))
		_, err := f.resolve(t.Context(), nil, C, other)
		wantKind(t, err, proofhouse.Integrity, "original archive", other.Orig)
	})
	t.Run("the mirror serves other bytes", func(t *testing.T) {
		index.files[proofhouse.DigestOf(orig)] = []byte("other")
		_, err := (Fetcher{Dir: t.TempDir(), Debian: index}).resolve(t.Context(), nil, C, vulnerable)
		wantKind(t, err, proofhouse.Integrity, "x_1.orig.tar.gz", string(proofhouse.DigestOf([]byte("other"))))
	})
}

// TestApplyAsPatch compares with the patch program where there is one.
func TestApplyAsPatch(t *testing.T) {
	for name, c := range map[string]struct {
		text, patch string
		fuzz        int
		fits        bool
	}{
		"exact":       {oldC, fixA, 0, true},
		"moved":       {"// a\n// b\n// c\n" + oldC, "--- a/x.c\n+++ b/x.c\n@@ -3,7 +3,7 @@\n }\n \n int b(void) {\n-\treturn 1;\n+\treturn 9;\n }\n \n int c(void) {\n", 0, true},
		"fuzzy":       {strings.Replace(oldC, "\n\nint b", "\n//\nint b", 1), fixA, 2, true},
		"not so":      {strings.Replace(oldC, "\n\nint b", "\n//\nint b", 1), fixA, 0, false},
		"gone":        {"int z;\n", fixA, 2, false},
		"no newline":  {"a\nb", "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n", 0, true},
		"drops it":    {"a\nb\n", "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n", 0, true},
		"two hunks":   {oldC, "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,3 @@\n+// top\n int a(int i) {\n \treturn buf[i];\n@@ -9,3 +10,3 @@\n int c(void) {\n-\treturn 2;\n+\treturn 4;\n }\n", 0, true},
		"pure append": {"a\n", "--- a/x.c\n+++ b/x.c\n@@ -1,0 +2 @@\n+b\n", 0, true},
	} {
		tr := tree{"x.c": {data: []byte(c.text)}}
		err := tr.apply([]byte(c.patch), 1, c.fuzz)
		if (err == nil) != c.fits {
			t.Errorf("%s: error %v, want fit %v", name, err, c.fits)
			continue
		}
		if _, err := exec.LookPath("patch"); err != nil {
			continue
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x.c"), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("patch", "-p1", "-s", "-F", string(rune('0'+c.fuzz)))
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(c.patch)
		if out, err := cmd.CombinedOutput(); err == nil != c.fits {
			t.Errorf("%s: patch says %v %s", name, err, out)
		} else if want, _ := os.ReadFile(filepath.Join(dir, "x.c")); c.fits && !bytes.Equal(want, tr["x.c"].data) {
			t.Errorf("%s: gave %q, patch gives %q", name, tr["x.c"].data, want)
		}
	}
}

func TestDiffThenApply(t *testing.T) {
	a, b := tree{"x.c": {data: []byte(oldC)}, "gone.c": {data: []byte("int g;\n")}}, tree{"x.c": {data: []byte(oldC)}, "made.c": {data: []byte("int m;\n")}}
	if err := b.apply([]byte(fixA), 1, 0); err != nil {
		t.Fatal(err)
	}
	d := diffTrees(a, b)
	if err := a.apply(d, 1, 0); err != nil {
		t.Fatalf("the difference does not apply: %v\n%s", err, d)
	}
	if a.digest() != b.digest() {
		t.Errorf("the difference does not lead to the other tree:\n%s", d)
	}
}

func FuzzPatch(f *testing.F) {
	f.Add([]byte(fixA), []byte(oldC))
	f.Add([]byte(fixC), []byte(oldC))
	f.Add([]byte("--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n\\ No newline\n+b\n"), []byte("a"))
	f.Fuzz(func(t *testing.T, patch, text []byte) {
		tr := tree{"x.c": {data: text}}
		if tr.apply(patch, 1, 2) == nil {
			sound(t, tree{}.merge("", tr.files()))
		}
	})
}

// files are those of t that no other file lies above; a patch may make both.
func (t tree) files() tree {
	if t.check() != nil {
		return tree{}
	}
	return t
}

func FuzzGoLock(f *testing.F) {
	f.Add([]byte("module t\n\nrequire a.b/c v1.0.0\n"), []byte("a.b/c v1.0.0 h1:h8qDotaEPuJATrMmW04NCwg7v22aHH28wwpauUhK9Oo=\n"))
	f.Fuzz(func(t *testing.T, mod, sum []byte) {
		l, err := parseGoLock(mod, sum)
		if err != nil {
			return
		}
		for m, h := range l.zips {
			if name, err := proxyName(m); err != nil || h1Name(h) == "" || strings.Contains("/"+name, "/../") {
				t.Fatalf("the lock lets %v %q through", m, h)
			}
		}
	})
}

func FuzzNpmLock(f *testing.F) {
	f.Add(npmLock(npmLockEntry("node_modules/@a/b", "1.0.0", integrity(nil))))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseNpmLock(b)
		if err != nil {
			return
		}
		for _, e := range entries {
			if strings.Contains("/"+e.place+"/", "/../") || strings.Contains(e.name, "..") && strings.Contains(e.name, "/..") || sha512Name(e.integrity) == "" {
				t.Fatalf("the lock lets %+v through", e)
			}
		}
	})
}
