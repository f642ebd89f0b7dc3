package vault

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

type entry = tar.Header // of which content stands in Uname

func of(name, content string) entry { return entry{Name: name, Uname: content, Typeflag: tar.TypeReg} }
func folder(name string) entry      { return entry{Name: name, Typeflag: tar.TypeDir} }
func link(name, target string) entry {
	return entry{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}
}

func hard(name, target string) entry {
	return entry{Name: name, Linkname: target, Typeflag: tar.TypeLink}
}

func tarOf(t testing.TB, all ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range all {
		content := e.Uname
		if e.Typeflag != tar.TypeXGlobalHeader {
			e.Uname, e.Size, e.Mode = "", int64(len(content)), 0o644
		}
		if err := w.WriteHeader(&e); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipOf(t testing.TB, all ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range all {
		h := &zip.FileHeader{Name: e.Name, Method: zip.Deflate}
		switch e.Typeflag {
		case tar.TypeSymlink:
			h.SetMode(0o777 | fs.ModeSymlink)
			e.Uname = e.Linkname
		case tar.TypeFifo:
			h.SetMode(0o644 | fs.ModeNamedPipe)
		case tar.TypeChar:
			h.SetMode(0o644 | fs.ModeDevice)
		case tar.TypeDir:
			h.Name, h.Method = strings.TrimSuffix(e.Name, "/")+"/", zip.Store
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, e.Uname); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func list(b []byte, l ArchiveLimits) ([]Member, error) {
	return ListArchive(context.Background(), bytes.NewReader(b), int64(len(b)), l)
}

// TestListArchive lists the same in each form.
func TestListArchive(t *testing.T) {
	all := []entry{folder("log/"), of("log/a.txt", "alpha"), of("./log/deep/b", ""), link("log/latest", "deep/b"), link("log/deep/up", "../a.txt"), of("ü/Ünder", "x"), folder("log")}
	want := "log folder|log/a.txt file 5|log/deep/b file 0|log/latest link>deep/b|log/deep/up link>../a.txt|ü/Ünder file 1|log folder|"
	text := func(all []Member) string {
		out := ""
		for _, m := range all {
			out += m.Name + " " + string(m.Kind)
			if m.Kind == PlainFile {
				out += " " + string(rune('0'+m.Bytes))
			}
			if m.Target != "" {
				out += ">" + m.Target
			}
			out += "|"
		}
		return out
	}
	plain := tarOf(t, all...)
	for what, b := range map[string][]byte{"tar": plain, "tar.gz": gz(t, plain), "zip": zipOf(t, all...)} {
		got, err := list(b, ArchiveLimits{})
		if err != nil || text(got) != want {
			t.Errorf("%s: %v\n%s\n%s", what, err, text(got), want)
			continue
		}
		if got[1].Digest != proofhouse.DigestOf([]byte("alpha")) || got[3].Digest != "" {
			t.Errorf("%s: %+v", what, got)
		}
	}
	for what, b := range map[string][]byte{"tar": tarOf(t), "tar.gz": gz(t, tarOf(t)), "zip": zipOf(t), "git": gz(t, tarOf(t, entry{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}))} {
		if got, err := list(b, ArchiveLimits{}); err != nil || len(got) != 0 {
			t.Errorf("an empty %s: %v, %v", what, got, err)
		}
	}
	if got, err := list(tarOf(t, of("a", "x"), hard("b", "a")), ArchiveLimits{}); err != nil || got[1].Kind != HardLink || got[1].Target != "a" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestHostileArchives are refused, each for what it is, in each form that can have it.
func TestHostileArchives(t *testing.T) {
	x := of("x", "x")
	for what, c := range map[string]struct {
		all  []entry
		says string
		only string
	}{
		"an absolute name":        {[]entry{x, of("/etc/passwd", "x")}, "member 2 of the archive has an absolute name", ""},
		"a drive":                 {[]entry{of("C:x", "x")}, "absolute name", ""},
		"up":                      {[]entry{of("../x", "x")}, "leads out of its folder", ""},
		"up in between":           {[]entry{of("a/../../x", "x")}, "leads out of its folder", ""},
		"up and back":             {[]entry{of("a/../x", "x")}, "leads out of its folder", ""},
		"up at the end":           {[]entry{folder("a/..")}, "leads out of its folder", ""},
		"a backslash":             {[]entry{of(`a\..\x`, "x")}, "backslash", ""},
		"no text":                 {[]entry{of("a\xff", "x")}, "no plain text", ""},
		"a line end":              {[]entry{of("a\nb", "x")}, "no plain text", ""},
		"writing from the right":  {[]entry{of("a\u202etxt.exe", "x")}, "no plain text", ""},
		"a long name":             {[]entry{of(strings.Repeat("a/", 600)+"x", "x")}, "over 1024 bytes", ""},
		"no name":                 {[]entry{of(".", "x")}, "no name", ""},
		"twice":                   {[]entry{x, of("x", "y")}, "a name that another one has", ""},
		"twice, spelled else":     {[]entry{x, of("./x", "y")}, "a name that another one has", ""},
		"twice but for case":      {[]entry{x, of("X", "y")}, "a name that another one has", ""},
		"a file and a folder":     {[]entry{x, folder("x")}, "a name that another one has", ""},
		"below a file":            {[]entry{x, of("x/y", "y")}, "below a file or a link", ""},
		"below a link":            {[]entry{folder("d"), link("l", "d"), of("l/y", "y")}, "below a file or a link", ""},
		"far below a link":        {[]entry{folder("d"), link("l", "d"), of("l/a/b/y", "y")}, "below a file or a link", ""},
		"a link over a folder":    {[]entry{of("l/y", "y"), link("l", "d")}, "where another one has its folder", ""},
		"a link to everything":    {[]entry{link("l", "/")}, "a link that leads out", ""},
		"a link up":               {[]entry{link("l", "..")}, "a link that leads out", ""},
		"a link up and out":       {[]entry{link("a/l", "../../x")}, "a link that leads out", ""},
		"a link over a link":      {[]entry{link("a/b/l", ".."), link("m", "a/b/l/../../x")}, "a link that leads out", ""},
		"a link to a drive":       {[]entry{link("l", `c:\x`)}, "a link that leads out", ""},
		"a link with a backslash": {[]entry{link("l", `..\x`)}, "a link that leads out", ""},
		"a hard link out":         {[]entry{hard("l", "/etc/passwd")}, "hard link to no file before it", "tar"},
		"a hard link forward":     {[]entry{hard("l", "x"), x}, "hard link to no file before it", "tar"},
		"a hard link to a link":   {[]entry{link("l", "y"), hard("m", "l")}, "hard link to no file before it", "tar"},
		"a pipe":                  {[]entry{x, {Name: "p", Typeflag: tar.TypeFifo}}, "member 2 of the archive is a device or a pipe", ""},
		"a device":                {[]entry{{Name: "p", Typeflag: tar.TypeChar}}, "a device or a pipe", ""},
		"a disk":                  {[]entry{{Name: "p", Typeflag: tar.TypeBlock}}, "a device or a pipe", "tar"},
		"another kind":            {[]entry{{Name: "p", Typeflag: tar.TypeCont}}, "neither file, folder nor link", "tar"},
	} {
		forms := map[string][]byte{}
		if c.only != "zip" {
			b := tarOf(t, c.all...)
			forms["tar"], forms["tar.gz"] = b, gz(t, b)
		}
		if c.only != "tar" {
			forms["zip"] = zipOf(t, c.all...)
		}
		for form, b := range forms {
			_, err := list(b, ArchiveLimits{})
			wantKind(t, what+" in a "+form, err, proofhouse.Invalid)
			if err != nil && !strings.Contains(proofhouse.PublicOf(err), c.says) {
				t.Errorf("%s in a %s: %v", what, form, err)
			}
			if err != nil && strings.Contains(err.Error(), "passwd") {
				t.Errorf("%s in a %s: the error has a name: %v", what, form, err)
			}
		}
	}
}

// TestBombs meet the limits before they are unpacked.
func TestBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 20<<20)
	many := make([]entry, 200)
	for i := range many {
		many[i] = of("f"+strings.Repeat("x", i), "")
	}
	for what, c := range map[string]struct {
		b      []byte
		limits ArchiveLimits
	}{
		"by ratio, zip":      {zipOf(t, of("x", zeros)), ArchiveLimits{}},
		"by ratio, tar.gz":   {gz(t, tarOf(t, of("x", zeros))), ArchiveLimits{}},
		"by total, zip":      {zipOf(t, of("x", "0123456789"), of("y", "0123456789")), ArchiveLimits{Bytes: 19}},
		"by total, tar":      {tarOf(t, of("x", "0123456789"), of("y", "0123456789")), ArchiveLimits{Bytes: 19}},
		"by members, zip":    {zipOf(t, many...), ArchiveLimits{Members: 199}},
		"by members, tar":    {tarOf(t, many...), ArchiveLimits{Members: 199}},
		"zeros after a tar":  {gz(t, append(tarOf(t, of("x", "x")), zeros...)), ArchiveLimits{}},
		"a link of a length": {zipOf(t, link("l", zeros)), ArchiveLimits{Bytes: 100}},
	} {
		_, err := list(c.b, c.limits)
		wantKind(t, what, err, proofhouse.Limit)
	}
	for what, b := range map[string][]byte{"zip": zipOf(t, of("x", zeros[:1<<20-1000])), "tar.gz": gz(t, tarOf(t, of("x", zeros[:1<<20-3000])))} {
		if _, err := list(b, ArchiveLimits{}); err != nil {
			t.Errorf("a %s that is no bomb: %v", what, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := zipOf(t, of("x", "x"))
	if _, err := ListArchive(ctx, bytes.NewReader(b), int64(len(b)), ArchiveLimits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// TestBentArchives: what two programs would read differently, or none can.
func TestBentArchives(t *testing.T) {
	good := zipOf(t, of("one", strings.Repeat("1", 100)), of("two", strings.Repeat("2", 100)))
	change := func(b []byte, old, by string, n int) []byte {
		out := bytes.Clone(b)
		at := -1
		for range n {
			at += 1 + bytes.Index(out[at+1:], []byte(old))
		}
		copy(out[at:], by)
		return out
	}
	directory := bytes.Index(good, []byte("PK\x01\x02"))
	second := directory + 4 + bytes.Index(good[directory+4:], []byte("PK\x01\x02"))
	at := func(b []byte, i int, v byte) []byte {
		b = bytes.Clone(b)
		b[i] = v
		return b
	}
	inside := bytes.Clone(good)
	binary.LittleEndian.PutUint32(inside[second+42:], 0) // both where the first one lies
	copy(inside[second+46:], "one")
	twoIsOne := at(inside, second+46, 'o')
	plain := tarOf(t, of("x", strings.Repeat("x", 2000)), of("y", "y"))
	packed := gz(t, plain)
	for what, c := range map[string]struct {
		b    []byte
		kind proofhouse.Kind
		says string
	}{
		"no archive":                       {[]byte("hello"), proofhouse.Invalid, "no archive"},
		"nothing":                          {nil, proofhouse.Invalid, "no archive"},
		"a ZIP behind something":           {append([]byte("MZ"), good...), proofhouse.Invalid, "no archive"},
		"another name where it lies":       {change(good, "two", "tow", 1), proofhouse.Invalid, "another name in the directory"},
		"another name in the directory":    {change(good, "two", "tow", 2), proofhouse.Invalid, "another name in the directory"},
		"one in another":                   {twoIsOne, proofhouse.Invalid, "one in another"},
		"encrypted":                        {at(good, directory+8, good[directory+8]|1), proofhouse.Invalid, "encrypted"},
		"another packing":                  {at(good, directory+10, 12), proofhouse.Invalid, "not read here"},
		"a longer member than the archive": {at(good, second+20+2, 0x7f), proofhouse.Invalid, "beyond its end"},
		"another checksum":                 {at(good, directory+16, good[directory+16]^1), proofhouse.Integrity, "damaged"},
		"another length":                   {at(good, directory+24, good[directory+24]-1), proofhouse.Integrity, "damaged"},
		"a cut directory":                  {good[:len(good)-30], proofhouse.Integrity, "damaged"},
		"a cut tar":                        {plain[:1000], proofhouse.Integrity, "damaged"},
		"a tar with another checksum":      {change(plain, "ustar", "ustaR", 2), proofhouse.Integrity, "damaged"},
		"something behind a tar":           {append(bytes.Clone(plain), "hidden"...), proofhouse.Invalid, "behind the archive's end"},
		"something behind a packed tar":    {gz(t, append(bytes.Clone(plain), "hidden"...)), proofhouse.Invalid, "behind the archive's end"},
		"a cut tar.gz":                     {packed[:len(packed)-5], proofhouse.Integrity, "damaged"},
		"a tar.gz with another checksum":   {at(packed, len(packed)-6, packed[len(packed)-6]^1), proofhouse.Integrity, "damaged"},
		"something behind a tar.gz":        {append(bytes.Clone(packed), "hidden"...), proofhouse.Integrity, "damaged"},
	} {
		_, err := list(c.b, ArchiveLimits{})
		wantKind(t, what, err, c.kind)
		if err != nil && !strings.Contains(proofhouse.PublicOf(err), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestHugeDirectory: a directory of a million members is not read to its end.
func TestHugeDirectory(t *testing.T) {
	entry := make([]byte, 46)
	copy(entry, "PK\x01\x02")
	const n = 1_000_000
	directory := bytes.Repeat(entry, n)
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[8:], uint16(n%(1<<16)))
	binary.LittleEndian.PutUint16(end[10:], uint16(n%(1<<16)))
	binary.LittleEndian.PutUint32(end[12:], uint32(len(directory)))
	binary.LittleEndian.PutUint32(end[16:], 4)
	b := append(append([]byte("PK\x03\x04"), directory...), end...)
	r := &counting{r: bytes.NewReader(b)}
	_, err := ListArchive(t.Context(), r, int64(len(b)), ArchiveLimits{Members: 1000})
	wantKind(t, "a huge directory", err, proofhouse.Limit)
	if r.read > 2<<20 {
		t.Errorf("%d bytes were read of a directory of %d", r.read, len(directory))
	}
	// Too many is said before each is looked for.
	many := zipOf(t, of("one", "1"), of("two", "2"))
	many[bytes.Index(many, []byte("two"))] = 'T'
	_, err = list(many, ArchiveLimits{Members: 1})
	wantKind(t, "one too many", err, proofhouse.Limit)
}

type counting struct {
	r    io.ReaderAt
	read int
}

func (c *counting) ReadAt(b []byte, at int64) (int, error) {
	n, err := c.r.ReadAt(b, at)
	c.read += n
	return n, err
}

// FuzzListArchive: whatever is listed is safe to unpack by a program that
// trusts it: every name and link stays inside, and none is there twice.
func FuzzListArchive(f *testing.F) {
	all := []entry{folder("d"), of("d/a", "alpha"), link("l", "d/a"), of("b", strings.Repeat("b", 300))}
	f.Add(tarOf(f, append(all, hard("h", "b"))...))
	f.Add(gz(f, tarOf(f, all...)))
	f.Add(zipOf(f, all...))
	f.Add(tarOf(f, of("../x", "x")))
	f.Add(zipOf(f, link("l", "../x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := list(b, ArchiveLimits{Members: 100, Bytes: 1 << 20})
		if err != nil {
			switch proofhouse.KindOf(err) {
			case proofhouse.Invalid, proofhouse.Limit, proofhouse.Integrity:
			default:
				t.Errorf("%v", err)
			}
			return
		}
		kinds := map[string]MemberKind{}
		for _, m := range got {
			key := strings.ToLower(m.Name)
			if before, twice := kinds[key]; twice && (before != Folder || m.Kind != Folder) || !fs.ValidPath(m.Name) || strings.ContainsAny(m.Name, "\x00\\") {
				t.Errorf("%q is listed", m.Name)
			}
			kinds[key] = m.Kind
			if m.Kind == SoftLink && (path.IsAbs(m.Target) || strings.HasPrefix(path.Join(path.Dir(m.Name), m.Target), "..")) {
				t.Errorf("%q leads to %q", m.Name, m.Target)
			}
		}
		for name := range kinds {
			for up := path.Dir(name); up != "."; up = path.Dir(up) {
				if kind, there := kinds[up]; there && kind != Folder {
					t.Errorf("%q lies below a %s", name, kind)
				}
			}
		}
	})
}
