package target

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io/fs"
	"testing"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// TestUntar holds the reader against archives that try to write elsewhere.
func TestUntar(t *testing.T) {
	link := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	refused := map[string][]tar.Header{
		"a name that climbs":       {file("p/../../x", "")},
		"a hidden climb":           {file("p/a/../../../x", "")},
		"a file below a link":      {link("p/d", "e"), file("p/d/x", "")},
		"a file below a file":      {file("p/d", ""), file("p/d/x", "")},
		"a device":                 {{Typeflag: tar.TypeChar, Name: "p/null"}},
		"a pipe":                   {{Typeflag: tar.TypeFifo, Name: "p/pipe"}},
		"a backslash":              {file(`p/..\x`, "")},
		"a hard link that climbs":  {{Typeflag: tar.TypeLink, Name: "p/x", Linkname: "p/../../etc/passwd"}},
		"an absolute name in fact": {file("p//../../x", "")},
	}
	for name, entries := range refused {
		if got, err := untar(bytes.NewReader(tarOf(t, entries...)), 1); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v, error %v, want it refused", name, got.names(), err)
		}
	}
	got, err := untar(bytes.NewReader(tarOf(t, file("p/a", "1"), file("p/./b//c", "2"), link("p/in", "b/c"), link("p/b/up", "../a"),
		link("p/out", "../../etc"), link("p/abs", "/etc/passwd"), tar.Header{Typeflag: tar.TypeLink, Name: "p/hard", Linkname: "p/a"})), 1)
	if err != nil {
		t.Fatal(err)
	}
	if string(got["a"].data) != "1" || string(got["b/c"].data) != "2" || string(got["hard"].data) != "1" || got["in"].link != "b/c" || got["b/up"].link != "../a" {
		t.Errorf("unpacked %v", got)
	}
	if _, ok := got["out"]; ok {
		t.Error("a link out of the tree was kept")
	}
	if _, ok := got["abs"]; ok {
		t.Error("an absolute link was kept")
	}
	whole := tarOf(t, file("p/a", "12345"))
	if _, err := untar(bytes.NewReader(whole[:514]), 1); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a cut archive: error %v, want integrity", err)
	}
}

func TestUnzip(t *testing.T) {
	pack := func(names ...string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, n := range names {
			if _, err := z.Create(n); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if got, err := unzip(pack("m@v1/a", "m@v1/d/", "m@v1/d/b"), "m@v1/"); err != nil || len(got) != 2 {
		t.Errorf("unpacked %v, error %v", got.names(), err)
	}
	for _, name := range []string{"other/a", "m@v1/../../x", "m@v1//etc/x"} {
		if _, err := unzip(pack(name), "m@v1/"); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: error %v, want it refused", name, err)
		}
	}
}

// TestTreeImage writes the same files twice, in different orders of making.
func TestTreeImage(t *testing.T) {
	store := sandbox.Images{Dir: t.TempDir()}
	a := tree{"d/e/f": {data: []byte("x")}, "run": {data: []byte("y"), exec: true}, "l": {link: "run"}}
	b := tree{}.merge("", tree{"l": {link: "run"}}).merge("d", tree{"e/f": {data: []byte("x")}}).merge("", tree{"run": {data: []byte("y"), exec: true}})
	if a.digest() != b.digest() {
		t.Error("equal trees differ in digest")
	}
	var digests []proofhouse.Digest
	for _, tr := range []tree{a, b} {
		img, err := store.Write(func(w *erofs.Writer) error { return tr.write(w, "", 0, epoch) })
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, img.Digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("equal trees gave the images %v", digests)
	}
	img, err := store.Open(digests[0])
	if err != nil {
		t.Fatal(err)
	}
	fsys, f, err := img.FS()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := fs.Stat(fsys, "run")
	if err != nil || info.Mode().Perm() != 0o755 || !info.ModTime().Equal(epoch) {
		t.Errorf("run is %v %v, error %v", info.Mode(), info.ModTime(), err)
	}
}

func FuzzUntar(f *testing.F) {
	f.Add(tarOf(f, file("p/a", "1"), tar.Header{Typeflag: tar.TypeSymlink, Name: "p/l", Linkname: "a"}), 1)
	f.Add(tarOf(f, file("p/../x", "1")), 0)
	f.Fuzz(func(t *testing.T, b []byte, strip int) {
		got, err := untar(bytes.NewReader(b), strip%4)
		if err == nil {
			sound(t, got)
		}
	})
}

func FuzzUnzip(f *testing.F) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	_, _ = z.Create("m@v1/a")
	if err := z.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := unzip(b, "m@v1/")
		if err == nil {
			sound(t, got)
		}
	})
}

// sound fails if a tree holds what must never come out of an archive.
func sound(t *testing.T, got tree) {
	for name, n := range got {
		if !fs.ValidPath(name) || name == "." {
			t.Fatalf("the tree holds %q", name)
		}
		if n.link != "" && n.link[0] == '/' {
			t.Fatalf("the tree holds the link %q to %q", name, n.link)
		}
	}
	if err := got.check(); err != nil {
		t.Fatal(err)
	}
}
