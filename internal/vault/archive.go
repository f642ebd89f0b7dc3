package vault

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"proofhouse/internal/proofhouse"
)

// Member is a file, a folder or a link in an archive.
type Member struct {
	Name   string            `json:"name"` // relative, in the form of path.Clean
	Kind   MemberKind        `json:"kind"`
	Bytes  int64             `json:"bytes,omitempty"`  // of a file
	Digest proofhouse.Digest `json:"digest,omitempty"` // of a file
	Target string            `json:"target,omitempty"` // of a link, as it is written
}

// MemberKind says what a member is.
type MemberKind string

// The kinds of member.
const (
	PlainFile MemberKind = "file"
	Folder    MemberKind = "folder"
	SoftLink  MemberKind = "link"
	HardLink  MemberKind = "hard link"
)

// ArchiveLimits bound what an archive may hold. A zero field is that of DefaultArchiveLimits.
type ArchiveLimits struct {
	Members int   // of all kinds
	Bytes   int64 // of all files together, unpacked
	Ratio   int64 // how many times the archive's own size they may be; beyond 1 MiB
}

// DefaultArchiveLimits let a repository or the logs of a long run pass.
var DefaultArchiveLimits = ArchiveLimits{Members: 100_000, Bytes: 16 << 30, Ratio: 200}

const (
	maxMemberName = 1024
	freeRatio     = 1 << 20 // bytes that are unpacked whatever the archive's size is
)

// ListArchive says what a ZIP, tar or gzipped tar of that size in bytes holds, and reads all
// of it, for the digests, but writes nothing anywhere. It takes the archive for hostile:
// proofhouse.Invalid is one that would do harm where it is unpacked, or that two
// programs would read differently; proofhouse.Limit one that holds too much; and
// proofhouse.Integrity one that is damaged. Errors count members from 1 and do not name them.
func ListArchive(ctx context.Context, r io.ReaderAt, size int64, limits ArchiveLimits) ([]Member, error) {
	if limits.Members == 0 {
		limits.Members = DefaultArchiveLimits.Members
	}
	if limits.Bytes == 0 {
		limits.Bytes = DefaultArchiveLimits.Bytes
	}
	if limits.Ratio == 0 {
		limits.Ratio = DefaultArchiveLimits.Ratio
	}
	room := min(limits.Bytes, freeRatio+limits.Ratio*min(size, limits.Bytes/limits.Ratio+1))
	l := &listing{ctx: ctx, limits: limits, members: []Member{}, kinds: map[string]MemberKind{}, files: map[string]bool{}, room: room, stream: room}
	whole := io.NewSectionReader(r, 0, size)
	head := make([]byte, 512)
	n, err := whole.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		err = l.zip(r, size)
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		var z *gzip.Reader
		if z, err = gzip.NewReader(bufio.NewReader(whole)); err == nil {
			err = l.tar(&metered{z, l, &l.stream})
		}
	case len(head) == 512 && (string(head[257:262]) == "ustar" || len(bytes.Trim(head, "\x00")) == 0):
		err = l.tar(whole)
	default:
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "this is no archive that is read here: ZIP, tar or tar.gz")
	}
	if _, known := errors.AsType[*proofhouse.Error](err); err != nil && !known && ctx.Err() == nil {
		err = proofhouse.Errorf(proofhouse.Integrity, err, "the archive is damaged, behind its member %d", len(l.members))
	}
	if err != nil {
		return nil, err
	}
	return l.members, nil
}

// listing is an archive on its way.
type listing struct {
	ctx     context.Context
	limits  ArchiveLimits
	room    int64 // bytes of files that may still be unpacked
	stream  int64 // bytes that a gzipped tar may still have
	members []Member
	kinds   map[string]MemberKind // by folded name; folders that nobody listed too
	files   map[string]bool       // by exact name, for hard links
}

func (l *listing) refuse(kind proofhouse.Kind, what string) error {
	return proofhouse.Errorf(kind, nil, "member %d of the archive %s: it is not taken", len(l.members)+1, what)
}

// metered accounts for what was unpacked.
type metered struct {
	r    io.Reader
	l    *listing
	room *int64
}

func (m *metered) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	if *m.room -= int64(n); *m.room < 0 {
		return 0, m.l.refuse(proofhouse.Limit, "unpacks to more than the archive may hold, or than its size lets expect")
	}
	if stopped := m.l.ctx.Err(); stopped != nil {
		return 0, stopped
	}
	return n, err
}

// file reads a file's content.
func (l *listing) file(m *Member, content io.Reader) error {
	h := sha256.New()
	n, err := io.Copy(h, &metered{content, l, &l.room})
	m.Kind, m.Bytes, m.Digest = PlainFile, n, digestOf(h)
	return err
}

// add checks a member against those before it.
func (l *listing) add(m Member) error {
	switch why := badName(m.Name); {
	case len(l.members) >= l.limits.Members:
		return l.refuse(proofhouse.Limit, "is one too many")
	case why != "":
		return l.refuse(proofhouse.Invalid, why)
	}
	name := path.Clean(m.Name)
	if name == "." {
		if m.Kind != Folder {
			return l.refuse(proofhouse.Invalid, "has no name")
		}
		return nil
	}
	// Disks differ in whether A and a are one name: here they are.
	key := strings.ToLower(name)
	before, twice := l.kinds[key]
	if twice && (before != Folder || m.Kind != Folder) {
		return l.refuse(proofhouse.Invalid, "has a name that another one has, or lies where another one has its folder")
	}
	for up := path.Dir(key); up != "." && up != "/"; up = path.Dir(up) {
		if kind, known := l.kinds[up]; known && kind != Folder {
			return l.refuse(proofhouse.Invalid, "lies below a file or a link")
		}
		l.kinds[up] = Folder
	}
	switch m.Kind {
	case SoftLink:
		if !staysInside(name, m.Target) {
			return l.refuse(proofhouse.Invalid, "is a link that leads out of the archive, or may")
		}
	case HardLink:
		if !l.files[path.Clean(m.Target)] {
			return l.refuse(proofhouse.Invalid, "is a hard link to no file before it")
		}
	case PlainFile:
		l.files[name] = true
	case Folder:
	}
	m.Name, l.kinds[key] = name, m.Kind
	l.members = append(l.members, m)
	return nil
}

// badName says what is wrong with a member's name, or "".
func badName(name string) string {
	switch {
	case name == "":
		return "has no name"
	case len(name) > maxMemberName:
		return "has a name of over 1024 bytes"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Cf, c) }):
		return "has a name that is no plain text"
	case strings.HasPrefix(name, "/"), len(name) > 1 && name[1] == ':':
		return "has an absolute name"
	case strings.Contains(name, `\`):
		return "has a name with a backslash, which some systems take for a slash"
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "has a name that leads out of its folder"
	}
	return ""
}

// staysInside says whether a link leads nowhere but into the archive, whatever
// else in it is a link: it goes up first and only as far as there are folders,
// none of which is a link, and then down.
func staysInside(name, target string) bool {
	depth := strings.Count(name, "/")
	for {
		rest, up := strings.CutPrefix(target, "../")
		if target == ".." {
			rest, up = "", true
		}
		if !up {
			break
		}
		if depth--; depth < 0 {
			return false
		}
		target = rest
	}
	return target == "" && depth < strings.Count(name, "/") || badName(target) == ""
}

// tar lists a tar.
func (l *listing) tar(r io.Reader) error {
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return l.end(r)
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // names are judged here
			return err
		}
		m := Member{Name: h.Name, Target: h.Linkname}
		switch h.Typeflag {
		case tar.TypeReg:
			m.Target = ""
			if err := l.file(&m, archive); err != nil {
				return err
			}
		case tar.TypeDir:
			m.Kind, m.Target = Folder, ""
		case tar.TypeSymlink:
			m.Kind = SoftLink
		case tar.TypeLink:
			m.Kind = HardLink
		case tar.TypeXGlobalHeader:
			continue // a remark, such as the commit of `git archive`
		case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
			return l.refuse(proofhouse.Invalid, "is a device or a pipe")
		default:
			return l.refuse(proofhouse.Invalid, "is neither file, folder nor link")
		}
		if err := l.add(m); err != nil {
			return err
		}
	}
}

// end reads what comes after a tar's end: nothing but zeros.
func (l *listing) end(r io.Reader) error {
	b := make([]byte, 32<<10)
	for {
		n, err := r.Read(b)
		switch {
		case len(bytes.Trim(b[:n], "\x00")) > 0:
			return proofhouse.Errorf(proofhouse.Invalid, nil, "something lies behind the archive's end: it is not taken")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := l.ctx.Err(); err != nil {
			return err
		}
	}
}

// rationed lets a directory be read only so far, so that a hostile one does
// not fill the memory.
type rationed struct {
	io.ReaderAt
	left int64
}

var errRation = errors.New("the archive's directory is too long")

func (r *rationed) ReadAt(b []byte, at int64) (int, error) {
	if r.left -= int64(len(b)); r.left < 0 {
		return 0, errRation
	}
	return r.ReaderAt.ReadAt(b, at)
}

// zip lists a ZIP by its directory, and reads each member where the directory says.
func (l *listing) zip(r io.ReaderAt, size int64) error {
	ration := &rationed{r, 1<<20 + 250*int64(l.limits.Members)}
	archive, err := zip.NewReader(ration, size)
	if errors.Is(err, errRation) {
		return proofhouse.Errorf(proofhouse.Limit, nil, "the archive's directory is longer than %d members need: it is not taken", l.limits.Members)
	}
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are judged here
		return err
	}
	ration.left = 1 << 62
	if len(archive.File) > l.limits.Members {
		return proofhouse.Errorf(proofhouse.Limit, nil, "the archive has more than %d members: it is not taken", l.limits.Members)
	}
	if err := apart(archive.File, r, size); err != nil {
		return err
	}
	for _, f := range archive.File {
		m := Member{Name: f.Name}
		switch mode := f.Mode(); {
		case f.Flags&1 != 0:
			return l.refuse(proofhouse.Invalid, "is encrypted, so nobody can look into it")
		case f.Method != zip.Store && f.Method != zip.Deflate:
			return l.refuse(proofhouse.Invalid, "is packed in a way that is not read here")
		case strings.HasSuffix(f.Name, "/"):
			if f.UncompressedSize64 > 0 || f.CompressedSize64 > 2 { // of nothing, deflated
				return l.refuse(proofhouse.Invalid, "is a folder with content of its own")
			}
			m.Kind = Folder
		case mode&fs.ModeSymlink != 0:
			if m.Target, err = l.target(f); err != nil {
				return err
			}
			m.Kind = SoftLink
		case mode.Type() != 0:
			return l.refuse(proofhouse.Invalid, "is a device or a pipe")
		default:
			content, err := f.Open()
			if err == nil {
				err = errors.Join(l.file(&m, content), content.Close())
			}
			if err != nil {
				return err
			}
		}
		if err := l.add(m); err != nil {
			return err
		}
	}
	return nil
}

// apart says whether each member of a ZIP lies where it has its directory's
// name, within the archive, and none in another.
func apart(files []*zip.File, r io.ReaderAt, size int64) error {
	type span struct{ from, to int64 }
	spans := make([]span, 0, len(files))
	for i, f := range files {
		from, err := f.DataOffset()
		if err != nil {
			return err
		}
		if from > size || f.CompressedSize64 > uint64(size-from) {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "member %d of the archive lies beyond its end: it is not taken", i+1)
		}
		begin := localHeader(f.Name, r, from)
		if begin < 0 {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "member %d of the archive has another name in the directory than where it lies: it is not taken", i+1)
		}
		spans = append(spans, span{begin, from + int64(f.CompressedSize64)}) // fits, by the case above
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "members of the archive lie one in another: it is not taken")
		}
	}
	return nil
}

// localHeader is where the header begins that stands before a member's data
// and has its name, or -1. How long its extra field is stands only in itself.
func localHeader(name string, r io.ReaderAt, from int64) int64 {
	const fixed = 30 // bytes before the name
	for _, most := range []int{512, 1<<16 - 1} {
		b := make([]byte, min(from, int64(fixed+len(name)+most)))
		if _, err := r.ReadAt(b, from-int64(len(b))); err != nil && !errors.Is(err, io.EOF) {
			return -1
		}
		for extra := 0; extra <= most && fixed+len(name)+extra <= len(b); extra++ {
			h := b[len(b)-fixed-len(name)-extra:]
			if bytes.HasPrefix(h, []byte("PK\x03\x04")) && int(binary.LittleEndian.Uint16(h[26:])) == len(name) &&
				int(binary.LittleEndian.Uint16(h[28:])) == extra && string(h[fixed:fixed+len(name)]) == name {
				return from - int64(fixed+len(name)+extra)
			}
		}
	}
	return -1
}

// target reads where a link of a ZIP leads.
func (l *listing) target(f *zip.File) (string, error) {
	content, err := f.Open()
	if err != nil {
		return "", err
	}
	defer content.Close()
	b, err := io.ReadAll(io.LimitReader(&metered{content, l, &l.room}, maxMemberName+1))
	return string(b), err
}

// IsArchive says whether r, of that size in bytes, begins as a ZIP, a tar or a gzipped tar does. A
// gzipped file that is no tar is none.
func IsArchive(r io.ReaderAt, size int64) (bool, error) {
	whole := io.NewSectionReader(r, 0, size)
	head := make([]byte, 512)
	n, err := io.ReadFull(whole, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return true, nil
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(bufio.NewReader(io.NewSectionReader(r, 0, size)))
		if err != nil {
			return false, nil
		}
		head = make([]byte, 512)
		n, _ = io.ReadFull(z, head) // what breaks off is no tar
		head = head[:n]
	}
	return len(head) == 512 && string(head[257:262]) == "ustar", nil
}
