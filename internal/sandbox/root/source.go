package root

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"proofhouse/internal/proofhouse"
)

// Sources is Debian's signed index of source packages. It reads the index
// once, when it is first asked, and is safe for concurrent use.
type Sources struct {
	Store Store
	Now   time.Time // bounds the age of the index

	mu    sync.Mutex // guards what follows, which load fills once
	list  map[string][]SourcePackage
	place []source
	http  *http.Client
}

// SourcePackage is one revision of a source package.
type SourcePackage struct {
	Name, Version string
	Suite         string
	Index         proofhouse.Digest // of the InRelease that signs it
	Files         []SourceFile
}

// SourceFile is one file of a source package.
type SourceFile struct {
	Name     string
	Location string // SUITE and path in the archive
	Digest   proofhouse.Digest
	Size     int64 // bytes
}

// Find gives the revisions of a source package that are at least as new as
// atLeast by Debian's order ("" is any), the newest first.
func (s *Sources) Find(ctx context.Context, name, atLeast string) ([]SourcePackage, error) {
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	var all []SourcePackage
	for _, p := range s.list[name] {
		if atLeast == "" || compareVersions(p.Version, atLeast) >= 0 {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "Debian %s signs no source package %s of version %s or newer: correct the task's source", release, name, atLeast)
	}
	return all, nil
}

func (s *Sources) load(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list != nil {
		return nil
	}
	var err error
	if s.place, err = readSources(or(s.Store.Apt, "/etc/apt")); err != nil {
		return err
	}
	if s.http = s.Store.Client; s.http == nil {
		s.http = newClient(ctx)
	}
	found := map[string][]SourcePackage{}
	for _, suite := range releaseSuites {
		ix, plain, err := s.Store.signed(ctx, s.http, suite, "main/source/Sources.xz", s.Now)
		if err != nil {
			return err
		}
		if err := parseSources(plain, ix, found); err != nil {
			return err
		}
	}
	for _, list := range found {
		slices.SortFunc(list, func(a, b SourcePackage) int { return compareVersions(b.Version, a.Version) })
	}
	s.list = found
	return nil
}

// parseSources reads a Sources file into list.
func parseSources(b []byte, ix Index, list map[string][]SourcePackage) error {
	for st := range stanzas(bytes.NewReader(b)) {
		p := SourcePackage{Name: st["package"], Version: st["version"], Suite: ix.Suite, Index: ix.Digest}
		dir := st["directory"]
		if !packagePattern.MatchString(p.Name) || path.Clean(dir) != dir || !strings.HasPrefix(dir, "pool/") || strings.ContainsAny(dir, "?#%\\\x00") {
			return proofhouse.Errorf(proofhouse.Integrity, nil, "the source index of %s has a malformed package %q: try another mirror", ix.Suite, p.Name)
		}
		for line := range strings.Lines(st["checksums-sha256"]) {
			f := strings.Fields(line)
			if len(f) != 3 {
				continue
			}
			size, err := strconv.ParseInt(f[1], 10, 64)
			d := proofhouse.Digest("sha256:" + f[0])
			if err != nil || size < 0 || d.Validate() != nil || path.Base(f[2]) != f[2] || strings.ContainsAny(f[2], "?#%\\\x00") {
				return proofhouse.Errorf(proofhouse.Integrity, err, "the source index of %s has a malformed file of %s: try another mirror", ix.Suite, p.Name)
			}
			p.Files = append(p.Files, SourceFile{Name: f[2], Location: ix.Suite + " " + dir + "/" + f[2], Digest: d, Size: size})
		}
		list[p.Name] = append(list[p.Name], p)
	}
	return nil
}

// Fetch writes a file to w once all of it has the signed digest, from the
// folder of downloads where it is there already.
func (s *Sources) Fetch(ctx context.Context, f SourceFile, w io.Writer) error {
	suite, name, ok := strings.Cut(f.Location, " ")
	if !ok {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s is not a file of a source index", f.Name)
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	local, err := s.Store.fetch(ctx, s.http, archives(s.place, suite), name, f.Size, f.Digest)
	if errors.Is(err, errGone) {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "no archive serves %s: try another mirror, or later", f.Name)
	}
	if err != nil {
		return err
	}
	in, err := os.Open(local)
	if err != nil {
		return err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, f.Size+1))
	if err != nil {
		return err
	}
	if proofhouse.DigestOf(b) != f.Digest {
		os.Remove(local)
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the fetched %s has changed on disk: run the command again to fetch it anew", f.Name)
	}
	_, err = w.Write(b)
	return err
}
