package root

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
)

// Lock pins every byte that a root is made of. Its text has one line a thing:
//
//	index SUITE DATE DIGEST        a signed index it was resolved from
//	package SUITE NAME VERSION ARCH POOL-PATH SIZE SHA256
//	module PATH VERSION H1         a Go module, by its go.sum hash
//
// Lines that start with # are for people.
type Lock struct {
	Indexes  []Index
	Packages []Package
	Modules  []Module
}

// Index is a signed InRelease.
type Index struct {
	Suite  string
	Date   time.Time
	Digest proofhouse.Digest
}

// Package is one binary package of a suite.
type Package struct {
	Suite   string
	Name    string
	Version string
	Arch    string
	Path    string // in the archive: pool/...
	Size    int64  // bytes
	Digest  proofhouse.Digest
}

// Module is a Go module.
type Module struct{ Path, Version, Hash string }

// What a lock may hold at most.
const (
	maxLock     = 1 << 20 // bytes
	maxDeb      = 1 << 30 // bytes of one package
	lockHeading = "# proofhouse root lock 1"
)

// ParseLock reads the text of a lock.
func ParseLock(b []byte) (Lock, error) {
	bad := func(n int, err error, why string) (Lock, error) {
		return Lock{}, proofhouse.Errorf(proofhouse.Invalid, err, "line %d of the lock %s: run proofhouse root relock", n, why)
	}
	if len(b) > maxLock {
		return Lock{}, proofhouse.Errorf(proofhouse.Limit, nil, "the lock is larger than %d bytes: run proofhouse root relock", maxLock)
	}
	var l Lock
	if !bytes.HasPrefix(b, []byte(lockHeading+"\n")) {
		return bad(1, nil, "is not \""+lockHeading+"\"")
	}
	seen := map[string]bool{}
	sc := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, " ")
		if slices.Contains(f, "") {
			return bad(n, nil, "has an empty field")
		}
		var err error
		var key string
		switch {
		case f[0] == "index" && len(f) == 4:
			key = "index " + f[1]
			err = l.addIndex(f)
		case f[0] == "package" && len(f) == 8:
			key = "package " + f[2]
			err = l.addPackage(f)
		case f[0] == "module" && len(f) == 4:
			key = "module " + f[1]
			err = l.addModule(f)
		default:
			return bad(n, nil, "is of no known kind")
		}
		if err != nil {
			return bad(n, err, "is malformed")
		}
		if seen[key] {
			return bad(n, nil, "says something twice")
		}
		seen[key] = true
	}
	if err := sc.Err(); err != nil {
		return bad(0, err, "is too long")
	}
	for _, p := range l.Packages {
		if !seen["index "+p.Suite] {
			return Lock{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the lock takes %s from %s, of which it names no index: run proofhouse root relock", p.Name, p.Suite)
		}
	}
	return l, nil
}

func (l *Lock) addIndex(f []string) error {
	date, err := time.Parse(time.RFC3339, f[2])
	if err != nil {
		return err
	}
	d := proofhouse.Digest(f[3])
	if !namePattern.MatchString(f[1]) {
		return fmt.Errorf("suite %q", f[1])
	}
	if y := date.Year(); y < 1990 || y > 2200 {
		return fmt.Errorf("year %d", y)
	}
	l.Indexes = append(l.Indexes, Index{Suite: f[1], Date: date.UTC(), Digest: d})
	return d.Validate()
}

func (l *Lock) addPackage(f []string) error {
	size, err := strconv.ParseInt(f[6], 10, 64)
	if err != nil || size <= 0 || size > maxDeb || f[6] != strconv.FormatInt(size, 10) {
		return fmt.Errorf("size %q", f[6])
	}
	p := Package{Suite: f[1], Name: f[2], Version: f[3], Arch: f[4], Path: f[5], Size: size, Digest: proofhouse.Digest("sha256:" + f[7])}
	if !packagePattern.MatchString(p.Name) {
		return fmt.Errorf("name %q", p.Name)
	}
	if p.Arch != debianArch && p.Arch != "all" {
		return fmt.Errorf("architecture %q", p.Arch)
	}
	if err := checkPoolPath(p.Path); err != nil {
		return err
	}
	l.Packages = append(l.Packages, p)
	return p.Digest.Validate()
}

// checkPoolPath keeps an index or a lock from naming a file elsewhere.
func checkPoolPath(p string) error {
	if !strings.HasPrefix(p, "pool/") || path.Clean(p) != p || !strings.HasSuffix(p, ".deb") || strings.ContainsAny(p, "?#%\\\x00") {
		return fmt.Errorf("path %q", p)
	}
	return nil
}

func (l *Lock) addModule(f []string) error {
	m := Module{Path: f[1], Version: f[2], Hash: f[3]}
	raw, ok := strings.CutPrefix(m.Hash, "h1:")
	sum, err := base64.StdEncoding.DecodeString(raw)
	if err != nil || !ok || len(sum) != 32 {
		return fmt.Errorf("hash %q", m.Hash)
	}
	goVersion, prefixed := strings.CutPrefix(m.Version, "v0.0.1-")
	goVersion, platform := strings.CutSuffix(goVersion, ".linux-"+debianArch)
	if m.Path != toolchainPath || !prefixed || !platform || !goPattern.MatchString(goVersion) {
		return fmt.Errorf("module %q %q", m.Path, m.Version)
	}
	l.Modules = append(l.Modules, m)
	return nil
}

// Write gives the lock's text, sorted.
func (l Lock) Write(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, lockHeading)
	fmt.Fprintln(&b, "# Written by proofhouse root relock; not by hand.")
	for _, i := range slices.SortedFunc(slices.Values(l.Indexes), func(a, b Index) int { return strings.Compare(a.Suite, b.Suite) }) {
		fmt.Fprintln(&b, "index", i.Suite, i.Date.UTC().Format(time.RFC3339), i.Digest)
	}
	for _, p := range slices.SortedFunc(slices.Values(l.Packages), func(a, b Package) int { return strings.Compare(a.Name, b.Name) }) {
		fmt.Fprintln(&b, "package", p.Suite, p.Name, p.Version, p.Arch, p.Path, p.Size, p.Digest.Hex())
	}
	for _, m := range l.Modules {
		fmt.Fprintln(&b, "module", m.Path, m.Version, m.Hash)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// date is the newest date of the indexes: the time of every file of the root.
func (l Lock) date() time.Time {
	d := time.Unix(0, 0).UTC()
	for _, i := range l.Indexes {
		if i.Date.After(d) {
			d = i.Date
		}
	}
	return d
}
