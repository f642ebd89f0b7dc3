package root

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"proofhouse/internal/proofhouse"
)

const debianArch = "amd64"

// inRelease is the signed heart of a suite.
type inRelease struct {
	Index
	Until  time.Time // zero: says nothing about it
	ByHash bool
	Files  map[string]fileSum // by path below the suite
}

type fileSum struct {
	Digest proofhouse.Digest
	Size   int64
}

// readKeyring reads Debian's archive keys of this machine.
func readKeyring(dir string) (openpgp.EntityList, error) {
	names, err := filepath.Glob(filepath.Join(dir, "debian-archive-*.gpg"))
	if err != nil {
		return nil, err
	}
	var keys openpgp.EntityList
	for _, name := range names {
		if strings.Contains(name, "removed") {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		some, err := openpgp.ReadKeyRing(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("reading keyring %s: %w", filepath.Base(name), err)
		}
		keys = append(keys, some...)
	}
	if len(keys) == 0 {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, nil, "Debian's archive keys are not on this machine: install the package debian-archive-keyring")
	}
	return keys, nil
}

// verifyInRelease checks the signature, that the suite is the wanted one of
// Debian, and that it has not expired at now.
func verifyInRelease(b []byte, keys openpgp.EntityList, suite string, now time.Time) (inRelease, error) {
	block, rest := clearsign.Decode(b)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return inRelease{}, proofhouse.Errorf(proofhouse.Integrity, nil, "the index of %s is not signed: check apt's sources", suite)
	}
	cfg := &packet.Config{Time: func() time.Time { return now }}
	if _, err := openpgp.CheckDetachedSignature(keys, bytes.NewReader(block.Bytes), block.ArmoredSignature.Body, cfg); err != nil {
		return inRelease{}, proofhouse.Errorf(proofhouse.Integrity, err, "the index of %s bears no valid signature of Debian's: check apt's sources and the package debian-archive-keyring", suite)
	}
	r, err := parseRelease(block.Plaintext)
	if err != nil {
		return inRelease{}, proofhouse.Errorf(proofhouse.Integrity, err, "the index of %s cannot be read: check apt's sources", suite)
	}
	if r.Suite != suite {
		return inRelease{}, proofhouse.Errorf(proofhouse.Integrity, nil, "the index of %s says that it is %s: check apt's sources", suite, r.Suite)
	}
	if !r.Until.IsZero() && now.After(r.Until) {
		return inRelease{}, proofhouse.Errorf(proofhouse.Integrity, nil, "the index of %s expired on %s: the mirror is stale, or this machine's clock is wrong", suite, r.Until.Format(time.DateOnly))
	}
	r.Digest = proofhouse.DigestOf(b)
	return r, nil
}

// parseRelease reads the fields of a Release file; Suite is its codename.
func parseRelease(b []byte) (inRelease, error) {
	r := inRelease{Files: map[string]fileSum{}}
	for st := range stanzas(bytes.NewReader(b)) {
		if st["origin"] != "Debian" {
			return r, fmt.Errorf("origin %q", st["origin"])
		}
		r.Suite, r.ByHash = st["codename"], st["acquire-by-hash"] == "yes"
		var err error
		if r.Date, err = time.Parse(time.RFC1123, st["date"]); err != nil {
			return r, err
		}
		if u := st["valid-until"]; u != "" {
			if r.Until, err = time.Parse(time.RFC1123, u); err != nil {
				return r, err
			}
		}
		for line := range strings.Lines(st["sha256"]) {
			f := strings.Fields(line)
			if len(f) != 3 {
				continue
			}
			size, err := strconv.ParseInt(f[1], 10, 64)
			d := proofhouse.Digest("sha256:" + f[0])
			if err != nil || d.Validate() != nil {
				return r, fmt.Errorf("line %q", line)
			}
			r.Files[f[2]] = fileSum{d, size}
		}
		return r, nil
	}
	return r, fmt.Errorf("no stanza")
}

// candidate is a package that an index offers.
type candidate struct {
	Package
	Source   string
	Depends  [][]relation // all of these, one of each
	Provides []relation
}

// parsePackages reads a Packages file.
func parsePackages(r io.Reader, suite string) ([]candidate, error) {
	var all []candidate
	for st := range stanzas(r) {
		c := candidate{Package: Package{Suite: suite, Name: st["package"], Version: st["version"], Arch: st["architecture"], Path: st["filename"]}}
		c.Digest = proofhouse.Digest("sha256:" + st["sha256"])
		size, err := strconv.ParseInt(st["size"], 10, 64)
		if err != nil || size <= 0 || !packagePattern.MatchString(c.Name) || checkPoolPath(c.Path) != nil || c.Digest.Validate() != nil || c.Version == "" {
			return nil, proofhouse.Errorf(proofhouse.Integrity, err, "the index of %s has a malformed package %q: try another mirror", suite, c.Name)
		}
		if c.Size = size; size > maxDeb {
			continue // a game's data: no root can want it
		}
		c.Source, _, _ = strings.Cut(st["source"], " ")
		if c.Source == "" {
			c.Source = c.Name
		}
		c.Depends = append(parseRelations(st["pre-depends"]), parseRelations(st["depends"])...)
		for _, alt := range parseRelations(st["provides"]) {
			c.Provides = append(c.Provides, alt...)
		}
		all = append(all, c)
	}
	return all, nil
}

// stanzas yields the stanzas of a control file, field names in lower case,
// further lines of a field joined with newlines. It ends at the first fault
// of the reader; a signed file is checked whole before it is parsed.
func stanzas(r io.Reader) iter.Seq[map[string]string] {
	return func(yield func(map[string]string) bool) {
		sc := bufio.NewScanner(r)
		sc.Buffer(make([]byte, 64<<10), 16<<20)
		st, last := map[string]string{}, ""
		for sc.Scan() {
			line := sc.Text()
			switch {
			case strings.TrimSpace(line) == "":
				if len(st) > 0 && !yield(st) {
					return
				}
				st, last = map[string]string{}, ""
			case line[0] == '#':
			case line[0] == ' ' || line[0] == '\t':
				if last != "" {
					st[last] += "\n" + line[1:]
				}
			default:
				k, v, ok := strings.Cut(line, ":")
				if last = ""; ok {
					last = strings.ToLower(k)
					st[last] = strings.TrimSpace(v)
				}
			}
		}
		if len(st) > 0 {
			yield(st)
		}
	}
}
