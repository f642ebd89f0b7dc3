package root

import (
	"archive/tar"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/erofs/go-erofs"
	"github.com/google/go-cmp/cmp"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

func file(name string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode}
}

func dir(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}
}

func recipes(text string) fstest.MapFS {
	return fstest.MapFS{"small.toml": {Data: []byte(text)}}
}

const smallRecipe = "description = \"d\"\npackages = [\"tool\"]\nwithout = [\"dpkg\"]\ndrop = [\"/usr/lib/*.a\"]\n[links]\n\"/usr/bin/awk\" = \"mawk\"\n"

// stock fills an archive with a tool and a library.
func stock(a *archive) (toolPath string) {
	toolPath = a.add(pkg{
		name: "tool", version: "1.0-1", fields: "Depends: libx (>= 2~), dpkg\n", packing: "zst",
		files: []tar.Header{
			dir("./"), dir("./bin/"), file("./bin/tool", 0o4755), dir("./usr/"), dir("./usr/share/"), dir("./usr/share/doc/"), file("./usr/share/doc/tool", 0o644),
			{Typeflag: tar.TypeLink, Name: "./usr/bin/again", Linkname: "./bin/tool"},
			{Typeflag: tar.TypeChar, Name: "./dev/kmem", Mode: 0o666, Devmajor: 1, Devminor: 2},
			{Typeflag: tar.TypeSymlink, Name: "./usr/bin/host", Linkname: "/../../../etc/shadow"},
			file("./etc/passwd", 0o666),
		},
		content: map[string]string{"./bin/tool": "tool", "./usr/share/doc/tool": "doc", "./etc/passwd": "eve::0:0"},
	})
	a.add(pkg{
		name: "libx", version: "2.0-1", packing: "xz",
		files:   []tar.Header{dir("./lib/"), file("./lib/libx.so.2", 0o644), file("./usr/lib/libx.a", 0o644)},
		content: map[string]string{"./lib/libx.so.2": "lib", "./usr/lib/libx.a": "static"},
	})
	a.sign(day)
	return toolPath
}

// tree lists an image: mode, owner, path, and content or target.
func listing(t *testing.T, img sandbox.Image) map[string]string {
	t.Helper()
	tree, f, err := img.FS()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := map[string]string{}
	err = fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*erofs.Stat)
		line := st.Mode.String() // info.Mode leaves out setuid and sticky bits
		if st.UID != 0 || st.GID != 0 {
			line += " owned"
		}
		switch {
		case info.Mode().IsRegular():
			b, err := fs.ReadFile(tree, p)
			if err != nil {
				return err
			}
			line += " " + string(b)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := fs.ReadLink(tree, p)
			if err != nil {
				return err
			}
			line += " " + target
		}
		got["/"+p] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestMake(t *testing.T) {
	a := newArchive(t)
	stock(a)
	s := a.store(recipes(smallRecipe))
	lock(t, s, "small", day)
	img, err := s.Make(context.Background(), "small", day, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := listing(t, img)
	want := map[string]string{
		"/bin":               "Lrwxrwxrwx usr/bin",
		"/lib":               "Lrwxrwxrwx usr/lib",
		"/usr/bin/tool":      "-rwxr-xr-x tool",
		"/usr/bin/again":     "-rwxr-xr-x tool",
		"/usr/bin/host":      "Lrwxrwxrwx /../../../etc/shadow",
		"/usr/bin/awk":       "Lrwxrwxrwx mawk",
		"/usr/lib/libx.so.2": "-rw-r--r-- lib",
		"/etc/passwd":        "-rw-r--r-- root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
		"/etc/resolv.conf":   "-rw-r--r-- ",
		"/tmp":               "dtrwxrwxrwx",
		"/work":              "drwxr-xr-x",
		"/.proofhouse":       "drwxr-xr-x",
	}
	for p, w := range want {
		if got[p] != w {
			t.Errorf("%s is %q, want %q", p, got[p], w)
		}
	}
	for _, p := range []string{"/usr/share/doc", "/usr/share/doc/tool", "/dev/kmem", "/usr/lib/libx.a"} {
		if _, ok := got[p]; ok {
			t.Errorf("%s entered the image", p)
		}
	}
	for p, line := range got {
		if strings.Contains(line, "owned") || strings.ContainsAny(line[:4], "ugD") {
			t.Errorf("%s is %q", p, line)
		}
	}

	other := a.store(s.Recipes.(fstest.MapFS))
	twin, err := other.Make(context.Background(), "small", day.AddDate(5, 0, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	if twin.Digest != img.Digest {
		t.Errorf("the same lock gave %s and %s", img.Digest, twin.Digest)
	}

	a.mu.Lock()
	clear(a.files)
	a.mu.Unlock()
	again, err := s.Make(context.Background(), "small", day, nil)
	if err != nil || again.Digest != img.Digest {
		t.Errorf("with the archive gone, Make gave %v, %v: it should have used its record", again.Digest, err)
	}
}

// TestMakeIsOrdered makes one image of many files twice.
func TestMakeIsOrdered(t *testing.T) {
	a := newArchive(t)
	p := pkg{name: "many", version: "1", content: map[string]string{}}
	for i := range 200 {
		name := fmt.Sprintf("./usr/share/many/%d", i*7919%200)
		p.files, p.content[name] = append(p.files, file(name, 0o644)), strings.Repeat(name, 500)
	}
	a.add(p)
	a.sign(day)
	one, two := a.store(recipes("packages = [\"many\"]")), a.store(recipes("packages = [\"many\"]"))
	lock(t, one, "small", day)
	lock(t, two, "small", day)
	x, err1 := one.Make(context.Background(), "small", day, nil)
	y, err2 := two.Make(context.Background(), "small", day, nil)
	if err1 != nil || err2 != nil || x.Digest != y.Digest {
		t.Errorf("%v %v, %v %v", x.Digest, err1, y.Digest, err2)
	}
}

// TestMakeFollowsLock changes the lock after the root was made.
func TestMakeFollowsLock(t *testing.T) {
	a := newArchive(t)
	stock(a)
	s := a.store(recipes(smallRecipe))
	lock(t, s, "small", day)
	before, err := s.Make(context.Background(), "small", day, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.add(pkg{name: "libx", version: "3", files: []tar.Header{file("./lib/libx.so.3", 0o644)}, content: map[string]string{"./lib/libx.so.3": "new"}})
	a.sign(day)
	lock(t, s, "small", day)
	after, err := s.Make(context.Background(), "small", day, nil)
	if err != nil || after.Digest == before.Digest {
		t.Errorf("the new lock gave %v, %v", after.Digest, err)
	}
}

// TestRelockRefuses serves packages that the index does not sign.
func TestRelockRefuses(t *testing.T) {
	a := newArchive(t)
	stock(a)
	other := newArchive(t)
	a.mu.Lock()
	a.files["/debian/dists/bookworm/main/binary-amd64/Packages.xz"] = slices.Clone(a.files["/debian/dists/bookworm/main/binary-amd64/Packages.xz"])
	b := a.files["/debian/dists/bookworm/main/binary-amd64/Packages.xz"]
	b[len(b)/2] ^= 1
	a.mu.Unlock()
	_, err := a.store(recipes(smallRecipe)).Relock(context.Background(), "small", day)
	wantError(t, err, proofhouse.Integrity, "not what its index signs")
	s := other.store(recipes(smallRecipe))
	s.Keyrings = a.ring
	_, err = s.Relock(context.Background(), "small", day)
	wantError(t, err, proofhouse.Integrity, "no valid signature")
}

// TestMakeSuperseded takes a package from the pool, as a security update does.
func TestMakeSuperseded(t *testing.T) {
	a := newArchive(t)
	old := stock(a)
	s := a.store(recipes(smallRecipe))
	lock(t, s, "small", day)

	a.mu.Lock()
	delete(a.files, old)
	a.mu.Unlock()
	_, err := s.Make(context.Background(), "small", day, nil)
	wantError(t, err, proofhouse.Unavailable, "signs no newer one")

	a.add(pkg{
		name: "tool", version: "1.0-1+deb12u1", suite: releaseSecurity, fields: "Depends: libx (>= 2~), dpkg\n",
		files: []tar.Header{file("./usr/bin/tool", 0o755)}, content: map[string]string{"./usr/bin/tool": "mended"},
	})
	a.sign(day.AddDate(0, 0, 1))

	strict := s
	strict.Strict = true
	_, err = strict.Make(context.Background(), "small", day.AddDate(0, 0, 2), nil)
	wantError(t, err, proofhouse.Unavailable, "run proofhouse root relock")

	_, err = s.Make(context.Background(), "small", day.AddDate(0, 1, 0), nil)
	wantError(t, err, proofhouse.Integrity, "no archive of apt's sources gives a sound index")

	var notes []string
	img, err := s.Make(context.Background(), "small", day.AddDate(0, 0, 2), func(p Progress) {
		if p.Note != "" {
			notes = append(notes, p.Note)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := listing(t, img)["/usr/bin/tool"]; got != "-rwxr-xr-x mended" {
		t.Errorf("the tool is %q", got)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "tool 1.0-1; taking the signed 1.0-1+deb12u1") {
		t.Errorf("progress said %q", notes)
	}
	rec, _, err := s.Made("small")
	if err != nil || len(rec.Substitutes) != 1 || rec.Substitutes[0].Locked != "1.0-1" || rec.Substitutes[0].Taken != "1.0-1+deb12u1" {
		t.Errorf("the record is %+v, %v", rec, err)
	}
	if _, _, err := strict.Made("small"); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a strict store took a root with substitutes: %v", err)
	}
}

// TestSubstituteKeepsSourceTogether changes two packages of one source, of
// which only one has left the pool.
func TestSubstituteKeepsSourceTogether(t *testing.T) {
	a := newArchive(t)
	both := func(version, content, suite string) string {
		f := "Source: duo (1)\n"
		a.add(pkg{name: "duo-data", version: version, suite: suite, fields: f, files: []tar.Header{file("./usr/data", 0o644)}, content: map[string]string{"./usr/data": content}})
		return a.add(pkg{name: "duo", version: version, suite: suite, fields: f + "Depends: duo-data (= " + version + ")\n", files: []tar.Header{file("./usr/duo", 0o644)}, content: map[string]string{"./usr/duo": content}})
	}
	old := both("1", "old", "")
	a.sign(day)
	s := a.store(recipes("packages = [\"duo\"]"))
	lock(t, s, "small", day)
	both("2", "new", releaseSecurity)
	a.sign(day)
	a.mu.Lock()
	delete(a.files, old)
	a.mu.Unlock()
	img, err := s.Make(context.Background(), "small", day, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := listing(t, img)
	if got["/usr/data"] != "-rw-r--r-- new" || got["/usr/duo"] != "-rw-r--r-- new" {
		t.Errorf("the two packages are mixed: %q %q", got["/usr/data"], got["/usr/duo"])
	}
}

func TestMakeRefuses(t *testing.T) {
	evil := func(h ...tar.Header) func(*archive) {
		return func(a *archive) { a.add(pkg{name: "tool", version: "1", packing: "gz", files: h}) }
	}
	for _, test := range []struct {
		name   string
		stock  func(*archive)
		spoil  func(*archive)
		recipe string
		kind   proofhouse.Kind
		says   string
	}{
		{name: "climbing path", stock: evil(dir("../../etc/")), kind: proofhouse.Integrity, says: "outside itself"},
		{name: "link circle", stock: evil(tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "b"}, tar.Header{Typeflag: tar.TypeSymlink, Name: "b", Linkname: "a"}, file("a/x", 0o644)), kind: proofhouse.Integrity, says: "in a circle"},
		{name: "file below a file", stock: evil(file("x", 0o644), file("x/y", 0o644)), kind: proofhouse.Integrity, says: "no directory"},
		{name: "hard link to nothing", stock: evil(tar.Header{Typeflag: tar.TypeLink, Name: "x", Linkname: "/etc/shadow"}), kind: proofhouse.Integrity, says: "hard link"},
		{name: "too deep", stock: evil(dir(strings.Repeat("a/", 200))), kind: proofhouse.Integrity, says: "too deep"},
		{name: "changed bytes", stock: evil(file("x", 0o644)), spoil: func(a *archive) {
			for name, b := range a.files {
				if strings.HasSuffix(name, ".deb") {
					a.files[name] = append(slices.Clone(b[:len(b)-1]), b[len(b)-1]^1)
				}
			}
		}, kind: proofhouse.Integrity, says: "not what the lock pins"},
		{name: "endless bytes", stock: evil(file("x", 0o644)), spoil: func(a *archive) {
			for name, b := range a.files {
				if strings.HasSuffix(name, ".deb") {
					a.files[name] = append(slices.Clone(b), make([]byte, 1<<20)...)
				}
			}
		}, kind: proofhouse.Integrity, says: "not what the lock pins"},
		{name: "unknown key", recipe: "packages = [\"tool\"]\nscripts = true\n", kind: proofhouse.Invalid, says: "correct its TOML"},
		{name: "wrong type", recipe: "packages = \"tool\"\n", kind: proofhouse.Invalid, says: "correct its TOML"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newArchive(t)
			if test.stock != nil {
				test.stock(a)
			}
			a.sign(day)
			s := a.store(recipes("packages = [\"tool\"]"))
			if test.recipe == "" {
				lock(t, s, "small", day)
			} else {
				s.Recipes = recipes(test.recipe)
			}
			if test.spoil != nil {
				a.mu.Lock()
				test.spoil(a)
				a.mu.Unlock()
			}
			_, err := s.Make(context.Background(), "small", day, nil)
			wantError(t, err, test.kind, test.says)
			for _, d := range []string{s.Images.Dir, s.Fetch, s.Records} {
				left, _ := filepath.Glob(filepath.Join(d, ".*"))
				images, _ := filepath.Glob(filepath.Join(d, "*.erofs"))
				records, _ := filepath.Glob(filepath.Join(d, "*.json"))
				if all := slices.Concat(left, images, records); len(all) > 0 {
					t.Errorf("it left %q", all)
				}
			}
		})
	}
}

func TestMakeMends(t *testing.T) {
	a := newArchive(t)
	stock(a)
	s := a.store(recipes(smallRecipe))
	l := lock(t, s, "small", day)
	if _, err := s.Make(context.Background(), "small", day, nil); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(s.Records, "small.json"))
	name := filepath.Join(s.Fetch, l.Packages[0].Digest.Hex())
	os.Chmod(name, 0o644)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	write(t, name, string(b))
	_, err = s.Make(context.Background(), "small", day, nil)
	wantError(t, err, proofhouse.Integrity, "has changed on disk")
	if _, err := s.Make(context.Background(), "small", day, nil); err != nil {
		t.Errorf("run again, it says %v", err)
	}
}

func wantError(t *testing.T, err error, kind proofhouse.Kind, says string) {
	t.Helper()
	if err == nil || proofhouse.KindOf(err) != kind || !strings.Contains(err.Error(), says) {
		t.Errorf("the error is %v (%s), want %s: ...%s...", err, proofhouse.KindOf(err), kind, says)
	}
}

// TestShipped reads the recipes and locks that ship.
func TestShipped(t *testing.T) {
	s := Store{Recipes: os.DirFS("../../../tasks/root"), Records: t.TempDir()}
	names, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"agent", "base", "c-build", "c-run", "go", "node"}, names); diff != "" {
		t.Errorf("recipes (-want +got):\n%s", diff)
	}
	for _, name := range names {
		recipe, l, err := s.plan(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if missing := l.missing(recipe); missing != "" || recipe.Description == "" {
			t.Errorf("%s: its lock lacks %q; description %q", name, missing, recipe.Description)
		}
		for _, p := range l.Packages {
			if slices.Contains(recipe.Without, p.Name) {
				t.Errorf("%s: its lock holds %s, which its recipe leaves out", name, p.Name)
			}
		}
	}
}
