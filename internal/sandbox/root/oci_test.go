package root

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// ociLayers are two layers, of which the second takes away and replaces.
func ociLayers(t *testing.T) [][]byte {
	first := makeTar(t, []tar.Header{
		dir("etc/"), file("etc/keep", 0o4755), file("etc/gone", 0o644), dir("opt/"), dir("opt/app/"), file("opt/app/old", 0o644),
		dir("lib/"), file("lib/x", 0o644),
		{Typeflag: tar.TypeSymlink, Name: "var", Linkname: "/../../../srv"},
		file("var/through", 0o644),
		{Typeflag: tar.TypeLink, Name: "etc/same", Linkname: "etc/keep"},
		{Typeflag: tar.TypeBlock, Name: "dev/sda", Devmajor: 8},
		file("etc/resolv.conf", 0o644),
	}, map[string]string{"etc/keep": "keep", "etc/gone": "gone", "opt/app/old": "old", "lib/x": "x", "var/through": "through", "etc/resolv.conf": "nameserver 192.0.2.1"})
	second := makeTar(t, []tar.Header{
		file("etc/.wh.gone", 0o644), file("opt/app/new", 0o644), file("opt/app/.wh..wh..opq", 0o644),
		{Typeflag: tar.TypeSymlink, Name: "lib", Linkname: "usr/lib"},
		file("etc/.wh...", 0o644),
	}, map[string]string{"opt/app/new": "new"})
	return [][]byte{first, second}
}

// ociLayout writes an OCI image layout and gives the digest of its index.
func ociLayout(t *testing.T, dir string, layers [][]byte) proofhouse.Digest {
	t.Helper()
	blob := func(b []byte) string {
		d := proofhouse.DigestOf(b)
		if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "blobs", "sha256", d.Hex()), string(b))
		return fmt.Sprintf(`{"digest":%q,"size":%d`, d, len(b))
	}
	var diffs, descs []string
	for i, l := range layers {
		diffs = append(diffs, fmt.Sprintf("%q", proofhouse.DigestOf(l)))
		descs = append(descs, blob(squeeze(t, []string{"gz", "zst"}[i%2], l))+"}")
	}
	config := blob([]byte(`{"created":"2026-01-02T03:04:05Z","rootfs":{"diff_ids":[`+strings.Join(diffs, ",")+`]}}`)) + "}"
	man := blob([]byte(`{"config":` + config + `,"layers":[` + strings.Join(descs, ",") + `]}`))
	index := []byte(`{"manifests":[{"digest":"sha256:` + strings.Repeat("0", 64) + `","platform":{"os":"linux","architecture":"arm64"}},` + man + `,"platform":{"os":"linux","architecture":"amd64"}}]}`)
	blob(index)
	write(t, filepath.Join(dir, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
	return proofhouse.DigestOf(index)
}

// dockerArchive writes what docker save writes and gives the image ID.
func dockerArchive(t *testing.T, name string, layers [][]byte) proofhouse.Digest {
	t.Helper()
	var diffs, names []string
	content := map[string]string{}
	headers := []tar.Header{}
	put := func(name, body string) {
		headers = append(headers, file(name, 0o644))
		content[name] = body
	}
	for i, l := range layers {
		diffs = append(diffs, fmt.Sprintf("%q", proofhouse.DigestOf(l)))
		names = append(names, fmt.Sprintf("%d/layer.tar", i))
		put(names[i], string(l))
	}
	config := `{"created":"2026-01-02T03:04:05Z","rootfs":{"diff_ids":[` + strings.Join(diffs, ",") + `]}}`
	id := proofhouse.DigestOf([]byte(config))
	put(id.Hex()+".json", config)
	m, err := json.Marshal([]map[string]any{{"Config": id.Hex() + ".json", "Layers": names}})
	if err != nil {
		t.Fatal(err)
	}
	put("manifest.json", string(m))
	write(t, name, string(makeTar(t, headers, content)))
	return id
}

func bare(t *testing.T) Store {
	d := t.TempDir()
	return Store{Images: sandbox.Images{Dir: filepath.Join(d, "images")}, Fetch: filepath.Join(d, "fetch"), Records: filepath.Join(d, "roots")}
}

func TestFromOCI(t *testing.T) {
	layers := ociLayers(t)
	layout, archive := t.TempDir(), filepath.Join(t.TempDir(), "saved.tar")
	index := ociLayout(t, layout, layers)
	id := dockerArchive(t, archive, layers)
	s := bare(t)
	img, err := s.FromOCI(context.Background(), layout, index)
	if err != nil {
		t.Fatal(err)
	}
	got := listing(t, img)
	for p, want := range map[string]string{
		"/etc/keep": "-rwxr-xr-x keep", "/etc/same": "-rwxr-xr-x keep", "/etc/gone": "", "/opt/app/old": "", "/opt/app/new": "-rw-r--r-- new",
		"/lib": "Lrwxrwxrwx usr/lib", "/var": "Lrwxrwxrwx /../../../srv", "/srv/through": "-rw-r--r-- through", "/dev/sda": "", "/etc/resolv.conf": "-rw-r--r-- ", "/work": "drwxr-xr-x",
	} {
		if got[p] != want {
			t.Errorf("%s is %q, want %q", p, got[p], want)
		}
	}
	twin, err := s.FromOCI(context.Background(), archive, id)
	if err != nil || twin.Digest != img.Digest {
		t.Errorf("the docker archive of the same layers gave %v, %v", twin.Digest, err)
	}
	if err := os.RemoveAll(layout); err != nil {
		t.Fatal(err)
	}
	if again, err := s.FromOCI(context.Background(), layout, index); err != nil || again.Digest != img.Digest {
		t.Errorf("with the layout gone: %v, %v; the record should have done", again.Digest, err)
	}
}

func TestFromOCIRefuses(t *testing.T) {
	layers := ociLayers(t)
	spoil := func(t *testing.T, dir string, which func([]byte) bool) {
		names, _ := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if which(b) {
				b[len(b)-3] ^= 1
				write(t, name, string(b))
			}
		}
	}
	for name, test := range map[string]struct {
		layers [][]byte
		spoil  func([]byte) bool
		kind   proofhouse.Kind
		says   string
	}{
		"manifest":     {layers, func(b []byte) bool { return strings.HasPrefix(string(b), `{"config"`) }, proofhouse.Integrity, "not what its digest"},
		"index":        {layers, func(b []byte) bool { return strings.HasPrefix(string(b), `{"manifests"`) }, proofhouse.Integrity, "not what its digest"},
		"config":       {layers, func(b []byte) bool { return strings.HasPrefix(string(b), `{"created"`) }, proofhouse.Integrity, "not what its digest"},
		"layer":        {layers, func(b []byte) bool { return b[0] == 0x28 }, proofhouse.Integrity, ""},
		"climbing":     {[][]byte{makeTar(t, []tar.Header{file("a/../../b", 0o644)}, nil)}, nil, proofhouse.Integrity, "outside itself"},
		"link circle":  {[][]byte{makeTar(t, []tar.Header{{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "a/b"}, file("a/x", 0o644)}, nil)}, nil, proofhouse.Integrity, "circle"},
		"foreign link": {[][]byte{makeTar(t, []tar.Header{{Typeflag: tar.TypeLink, Name: "a", Linkname: "/etc/shadow"}}, nil)}, nil, proofhouse.Integrity, "hard link"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			want := ociLayout(t, dir, test.layers)
			if test.spoil != nil {
				spoil(t, dir, test.spoil)
			}
			s := bare(t)
			_, err := s.FromOCI(context.Background(), dir, want)
			wantError(t, err, test.kind, test.says)
			if left, _ := filepath.Glob(filepath.Join(s.Images.Dir, "*")); len(left) > 0 {
				t.Errorf("it left %q", left)
			}
		})
	}
	archive := filepath.Join(t.TempDir(), "saved.tar")
	id := dockerArchive(t, archive, layers)
	b, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	write(t, archive, strings.Replace(string(b), "\x00keep\x00", "\x00KEEP\x00", 1))
	_, err = bare(t).FromOCI(context.Background(), archive, id)
	if proofhouse.KindOf(err) != proofhouse.Integrity {
		t.Errorf("a changed layer of a docker archive gave %v", err)
	}
	_, err = bare(t).FromOCI(context.Background(), archive, proofhouse.DigestOf([]byte("another")))
	wantError(t, err, proofhouse.NotFound, "holds no image")
	_, err = bare(t).FromOCI(context.Background(), archive+"x", proofhouse.DigestOf([]byte("another")))
	wantError(t, err, proofhouse.NotFound, "no image at")
}
