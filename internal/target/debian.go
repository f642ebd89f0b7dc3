package target

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ulikunitz/xz"

	"proofhouse/internal/proofhouse"
)

// debianTree gets a Debian source package, patched: all of its series, or on
// the vulnerable side all but the one that src omits. The newest revision that
// holds the pinned archive and the pinned patch is taken; it names itself in
// the string.
func (f Fetcher) debianTree(ctx context.Context, src Source) (tree, string, error) {
	if f.Debian == nil {
		return nil, "", proofhouse.Errorf(proofhouse.Unavailable, nil, "Debian source packages cannot be fetched here: this machine has no apt sources")
	}
	// A revision that was found to hold the pins is taken again without
	// asking the index: both sides are then of one revision, and offline.
	raw, err := json.Marshal([]string{src.Debian, src.Revision, src.Orig, src.Patch})
	if err != nil {
		return nil, "", err
	}
	record := "debian-" + proofhouse.DigestOf(raw).Hex() + ".json"
	var known DebianSource
	if b, err := os.ReadFile(filepath.Join(f.Dir, record)); err == nil && json.Unmarshal(b, &known) == nil {
		if t, err := f.debianRevision(ctx, known, src); err == nil {
			return t, src.Debian + " " + known.Version, nil
		}
	}
	revisions, err := f.Debian.Sources(ctx, src.Debian, src.Revision)
	if err != nil {
		return nil, "", err
	}
	var refusals []string
	for _, rev := range revisions {
		t, err := f.debianRevision(ctx, rev, src)
		if err == nil {
			if raw, err = json.Marshal(rev); err == nil {
				err = f.keep(record, raw)
			}
			return t, src.Debian + " " + rev.Version, err
		}
		if k := proofhouse.KindOf(err); k != proofhouse.Integrity && k != proofhouse.Invalid {
			return nil, "", err
		}
		refusals = append(refusals, rev.Version+": "+err.Error())
	}
	return nil, "", proofhouse.Errorf(proofhouse.Integrity, nil,
		"no revision of the Debian source %s from %s on holds what the task pins (%s)", src.Debian, src.Revision, strings.Join(refusals, "; "))
}

// debianRevision unpacks and patches one revision.
func (f Fetcher) debianRevision(ctx context.Context, rev DebianSource, src Source) (tree, error) {
	var orig, debian DebianFile
	for _, file := range rev.Files {
		switch {
		case strings.Contains(file.Name, ".orig.tar.") && !strings.HasSuffix(file.Name, ".asc"):
			orig = file
		case strings.Contains(file.Name, ".debian.tar.") && !strings.HasSuffix(file.Name, ".asc"):
			debian = file
		}
	}
	if orig.Name == "" || debian.Name == "" {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "it has no original and debian archives (format 3.0 quilt)")
	}
	if string(orig.SHA256) != src.Orig {
		return nil, differs("the original archive "+orig.Name, src.Orig, string(orig.SHA256))
	}
	base, err := f.debianArchive(ctx, orig, 1)
	if err != nil {
		return nil, err
	}
	packaging, err := f.debianArchive(ctx, debian, 0)
	if err != nil {
		return nil, err
	}
	patches := packaging.sub("debian/patches")
	if err := base.applySeries(patches, src); err != nil {
		return nil, err
	}
	return base, nil
}

func (f Fetcher) debianArchive(ctx context.Context, file DebianFile, strip int) (tree, error) {
	b, err := f.debianFile(ctx, file)
	if err != nil {
		return nil, err
	}
	var r io.Reader = bytes.NewReader(b)
	switch {
	case strings.HasSuffix(file.Name, ".xz"):
		r, err = xz.NewReader(r)
	case strings.HasSuffix(file.Name, ".gz"):
		r, err = gzip.NewReader(r)
	case strings.HasSuffix(file.Name, ".bz2"):
		r = bzip2.NewReader(r)
	default:
		err = fmt.Errorf("unknown compression")
	}
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "%s cannot be unpacked", file.Name)
	}
	t, err := untar(r, strip)
	if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", file.Name, err)
	}
	return t, nil
}

// seriesEntry is a line of debian/patches/series.
type seriesEntry struct {
	name  string
	strip int
}

func parseSeries(b []byte) ([]seriesEntry, error) {
	var out []seriesEntry
	for line := range strings.Lines(string(b)) {
		if i := strings.Index(" "+line, " #"); i >= 0 {
			line = line[:i]
		}
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		e := seriesEntry{fields[0], 1}
		if len(fields) > 1 {
			n, err := strconv.Atoi(strings.TrimPrefix(fields[1], "-p"))
			if err != nil || n < 0 || n > 9 || len(fields) > 2 {
				return nil, proofhouse.Errorf(proofhouse.Invalid, err, "the series of patches has the line %q", clip(line))
			}
			e.strip = n
		}
		out = append(out, e)
	}
	return out, nil
}

// pinned is the name of the patch that src pins by hash. It stands in the
// series of both sides; the vulnerable side names it too, to omit it.
func (src Source) pinned(patches tree, series []seriesEntry) (string, error) {
	found := ""
	for _, e := range series {
		if src.Omit == e.name || src.Omit == "" && string(proofhouse.DigestOf(patches[e.name].data)) == src.Patch {
			found = e.name
		}
	}
	if found == "" {
		return "", proofhouse.Errorf(proofhouse.Integrity, nil, "its series does not apply the pinned patch %s", src.Omit)
	}
	if got := string(proofhouse.DigestOf(patches[found].data)); got != src.Patch {
		return "", differs("the patch "+found, src.Patch, got)
	}
	return found, nil
}

// applySeries applies a series of patches without the one that src omits. The
// patch that src pins must be there with its hash, on both sides. With a patch
// left out, the surroundings of later ones may differ by two lines, patch's
// own default; without, by none, dpkg's.
func (t tree) applySeries(patches tree, src Source) error {
	series, err := parseSeries(patches["series"].data)
	if err != nil {
		return err
	}
	pinned, err := src.pinned(patches, series)
	if err != nil {
		return err
	}
	fuzz := 0
	for _, e := range series {
		if e.name == pinned && src.Omit != "" {
			fuzz = 2
			continue
		}
		p, ok := patches[e.name]
		if !ok {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "its series names the patch %s, which is not there", clip(e.name))
		}
		if err := t.apply(p.data, e.strip, fuzz); err != nil {
			return fmt.Errorf("applying the patch %s: %w", e.name, err)
		}
	}
	return t.check()
}
