package bench

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	erofs "github.com/erofs/go-erofs"
	"github.com/klauspost/compress/zstd"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// builtSuite is a fixture suite on disk, built with images that hold a file.
func builtSuite(t testing.TB, tasks int) (folder string, s Suite, store BuiltStore) {
	t.Helper()
	dir := t.TempDir()
	for name, f := range fixtureSuite(tasks) {
		if err := writeWhole(filepath.Join(dir, name), f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	folder = filepath.Join(dir, "demo")
	s, err := OpenSuite(nil, folder, today)
	if err != nil || len(s.Faults) > 0 {
		t.Fatal(err, s.Faults)
	}
	store = BuiltStore{Dir: filepath.Join(dir, "suites"), Images: sandbox.Images{Dir: filepath.Join(dir, "images")}}
	image := func(text string) sandbox.Image {
		img, err := store.Images.Write(func(w *erofs.Writer) error {
			f, err := w.Create("a")
			if err != nil {
				return err
			}
			_, err = f.Write([]byte(text))
			f.Close()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	root := image("root")
	for _, task := range s.Tasks {
		b := Built{Version: 1, Task: task.Task.Name, Folder: task.Digest, Crash: "panic", Patch: "-a\n+b\n"}
		b.Target = target.Target{
			Language:   target.Go,
			Vulnerable: target.Build{Root: root, Image: image("vulnerable " + task.Short()), Argv: []string{"/target/harness"}},
			Fixed:      target.Build{Root: root, Image: image("fixed " + task.Short())},
		}
		if err := store.Put(b); err != nil {
			t.Fatal(err)
		}
	}
	return folder, s, store
}

func packed(t testing.TB, tasks int) ([]byte, proofhouse.Digest, BuiltStore) {
	t.Helper()
	folder, s, store := builtSuite(t, tasks)
	var b bytes.Buffer
	d, err := Pack(t.Context(), &b, os.DirFS(folder), s, store)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), d, store
}

func emptyStore(t testing.TB) (parent string, store BuiltStore) {
	dir := t.TempDir()
	return filepath.Join(dir, "to"), BuiltStore{Dir: filepath.Join(dir, "suites"), Images: sandbox.Images{Dir: filepath.Join(dir, "images")}}
}

func TestPackAndUnpack(t *testing.T) {
	pack, digest, from := packed(t, 3)
	again, digest2, _ := packed(t, 3)
	if !bytes.Equal(pack, again) || digest != digest2 {
		t.Error("the same suite packs to different bytes")
	}
	parent, store := emptyStore(t)
	if _, err := Unpack(t.Context(), bytes.NewReader(pack), parent, store, proofhouse.DigestOf(nil), today); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("another pack than the one asked for: %v", err)
	}
	s, err := Unpack(t.Context(), bytes.NewReader(pack), parent, store, digest, today)
	if err != nil {
		t.Fatal(err)
	}
	_, here, err := store.LoadTrials(s.Name, s.Tasks)
	if err != nil {
		t.Fatal(err)
	}
	_, there, err := from.LoadTrials(s.Name, s.Tasks)
	if err != nil || here != there || here.Tasks != 3 {
		t.Errorf("%v is not %v: %v", here, there, err)
	}
	if _, err := Unpack(t.Context(), bytes.NewReader(pack), parent, store, "", today); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a second time: %v", err)
	}
	entries, _ := os.ReadDir(parent)
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// A swapped or changed build is found before anything runs on it.
func TestSwappedBuild(t *testing.T) {
	_, s, store := builtSuite(t, 2)
	a, err := store.Load(s.Tasks[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := os.ReadFile(a.Target.Fixed.Image.Path)
	if err != nil {
		t.Fatal(err)
	}
	name := a.Target.Vulnerable.Image.Path
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, fixed, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(s.Tasks[0], nil); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a swapped build gives %v", err)
	}
	if _, _, err := store.LoadTrials("demo", s.Tasks); proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a suite with a swapped build gives %v", err)
	}
	changed := s.Tasks[1]
	changed.Digest = proofhouse.DigestOf([]byte("edited"))
	if _, err := store.Load(changed, nil); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a task that changed since gives %v", err)
	}
	changed.Task.Name = "demo/none"
	if _, err := store.Load(changed, nil); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a task that is not built gives %v", err)
	}
}

// repack changes a pack's manifest or entries and compresses it again.
func repack(t testing.TB, pack []byte, change func(m *Manifest, files map[string][]byte, order *[]string)) []byte {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(pack))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	in := tar.NewReader(z)
	files, order := map[string][]byte{}, []string{}
	var m Manifest
	for {
		h, err := in.Next()
		if err != nil {
			break
		}
		var b bytes.Buffer
		_, _ = b.ReadFrom(in)
		if h.Name == "manifest.json" {
			_ = json.Unmarshal(b.Bytes(), &m)
			continue
		}
		files[h.Name] = b.Bytes()
		order = append(order, h.Name)
	}
	change(&m, files, &order)
	var out bytes.Buffer
	w, _ := zstd.NewWriter(&out)
	tw := tar.NewWriter(w)
	head, _ := json.Marshal(m)
	_ = tw.WriteHeader(&tar.Header{Name: "manifest.json", Size: int64(len(head)), Mode: 0o644})
	_, _ = tw.Write(head)
	for _, name := range order {
		h := &tar.Header{Name: name, Size: int64(len(files[name])), Mode: 0o644}
		if bytes.HasPrefix(files[name], []byte("LINK ")) {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, string(files[name][5:]), 0
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			_, _ = tw.Write(files[name])
		}
	}
	tw.Close()
	w.Close()
	return out.Bytes()
}

func TestHostilePacks(t *testing.T) {
	pack, _, _ := packed(t, 1)
	entry := func(m *Manifest, name string) *PackEntry {
		for i := range m.Entries {
			if m.Entries[i].Name == name {
				return &m.Entries[i]
			}
		}
		t.Fatalf("no entry %s", name)
		return nil
	}
	const file = "suite/t0/solution/poc"
	add := func(name string, body []byte) func(*Manifest, map[string][]byte, *[]string) {
		return func(m *Manifest, files map[string][]byte, order *[]string) {
			files[name] = body
			*order = append(*order, name)
			m.Entries = append(m.Entries, PackEntry{name, int64(len(body)), proofhouse.DigestOf(body)})
		}
	}
	for name, change := range map[string]func(m *Manifest, files map[string][]byte, order *[]string){
		"changed byte":  func(_ *Manifest, files map[string][]byte, _ *[]string) { files[file][0] ^= 1 },
		"changed size":  func(m *Manifest, _ map[string][]byte, _ *[]string) { entry(m, file).Size++ },
		"missing entry": func(_ *Manifest, _ map[string][]byte, order *[]string) { *order = (*order)[:len(*order)-1] },
		"entry too many": func(_ *Manifest, files map[string][]byte, order *[]string) {
			files["x"] = []byte("x")
			*order = append(*order, "x")
		},
		"link":           func(_ *Manifest, files map[string][]byte, _ *[]string) { files[file] = []byte("LINK /etc/passwd") },
		"way up":         add("suite/../../up", []byte("x")),
		"absolute":       add("/tmp/abs", []byte("x")),
		"elsewhere":      add("zzz/x", []byte("x")),
		"backslash":      add("suite/..\\..\\x", []byte("x")),
		"image misnamed": add("suite/zz/../../images/x", []byte("x")),
		"other suite":    func(m *Manifest, _ map[string][]byte, _ *[]string) { m.Suite.Name = "../demo" },
		"other digest":   func(m *Manifest, _ map[string][]byte, _ *[]string) { m.Suite.Digest = proofhouse.DigestOf([]byte("x")) },
		"negative":       func(m *Manifest, _ map[string][]byte, _ *[]string) { entry(m, file).Size = -1 },
		"huge":           func(m *Manifest, _ map[string][]byte, _ *[]string) { entry(m, file).Size = 1 << 62 },
		"out of order": func(m *Manifest, _ map[string][]byte, _ *[]string) {
			m.Entries[0], m.Entries[1] = m.Entries[1], m.Entries[0]
		},
		"later format":  func(m *Manifest, _ map[string][]byte, _ *[]string) { m.Format = 2 },
		"swapped built": func(m *Manifest, files map[string][]byte, _ *[]string) { swapBuilt(t, m, files) },
		"task unreadable": func(m *Manifest, files map[string][]byte, _ *[]string) {
			replace(m, files, "suite/t0/task.toml", []byte("x = "))
		},
	} {
		t.Run(name, func(t *testing.T) {
			parent, store := emptyStore(t)
			_, err := Unpack(t.Context(), bytes.NewReader(repack(t, pack, change)), parent, store, "", today)
			if kind := proofhouse.KindOf(err); kind != proofhouse.Integrity && kind != proofhouse.Invalid {
				t.Errorf("got %v", err)
			}
			noTrace(t, parent, store)
		})
	}
	for cut := 0; cut < len(pack); cut += 1 + len(pack)/40 {
		parent, store := emptyStore(t)
		if _, err := Unpack(t.Context(), bytes.NewReader(pack[:cut]), parent, store, "", today); err == nil || proofhouse.KindOf(err) == proofhouse.Internal {
			t.Errorf("cut at %d: %v", cut, err)
		}
		noTrace(t, parent, store)
	}
}

func replace(m *Manifest, files map[string][]byte, name string, body []byte) {
	files[name] = body
	for i := range m.Entries {
		if m.Entries[i].Name == name {
			m.Entries[i].Size, m.Entries[i].Digest = int64(len(body)), proofhouse.DigestOf(body)
		}
	}
}

// swapBuilt makes the record of the built task say that its fixed side is the
// vulnerable one, with a manifest that agrees.
func swapBuilt(t testing.TB, m *Manifest, files map[string][]byte) {
	var b Built
	if err := json.Unmarshal(files["built/t0.json"], &b); err != nil {
		t.Fatal(err)
	}
	b.Target.Fixed = b.Target.Vulnerable
	body, _ := json.Marshal(b)
	replace(m, files, "built/t0.json", body)
}

// noTrace says whether a refused pack left anything but whole images.
func noTrace(t testing.TB, parent string, store BuiltStore) {
	t.Helper()
	for _, dir := range []string{parent, store.Dir} {
		entries, _ := os.ReadDir(dir)
		if len(entries) > 0 {
			t.Errorf("left behind: %v", entries)
		}
	}
	images, _ := os.ReadDir(store.Images.Dir)
	for _, e := range images {
		b, err := os.ReadFile(filepath.Join(store.Images.Dir, e.Name()))
		if err != nil || proofhouse.DigestOf(b).Hex()+".erofs" != e.Name() {
			t.Errorf("left a false image %s: %v", e.Name(), err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	pack, _, _ := packed(f, 1)
	f.Add(pack)
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Add(repack(f, pack, func(m *Manifest, _ map[string][]byte, _ *[]string) { m.Entries = nil }))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		parent := filepath.Join(dir, "to")
		store := BuiltStore{Dir: filepath.Join(dir, "suites"), Images: sandbox.Images{Dir: filepath.Join(dir, "images")}}
		if _, err := Unpack(t.Context(), bytes.NewReader(b), parent, store, "", today); err != nil {
			noTrace(t, parent, store)
		}
		_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !d.Type().IsRegular() {
				t.Errorf("%s is no plain file", name)
			}
			return err
		})
	})
}

func FuzzTaskTOML(f *testing.F) {
	f.Add([]byte(fixtureTOML))
	f.Add([]byte("[metadata]\nx=1\n[environment.env]\na='b'\n[[steps]]\n"))
	f.Add([]byte("a.b.c = {d = 1}\n\"\" = nan\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := fixtureSuite(1)
		in["demo/t0/task.toml"].Data = b
		sub, err := fs.Sub(in, "demo/t0")
		if err != nil {
			t.Fatal(err)
		}
		task, faults := LoadTask(sub, "demo/t0", today)
		if len(faults) == 0 && (task.Task.Name != "demo/t0" || task.Environment.NetworkMode != "no-network") {
			t.Errorf("accepted %q", b)
		}
		for _, fault := range faults {
			if fault.File == "" || fault.What == "" || fault.Line < 0 || strings.HasSuffix(fault.What, ".") {
				t.Errorf("fault %+v", fault)
			}
		}
	})
}
