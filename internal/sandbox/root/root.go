// Package root makes the read-only file systems that boxes start from: out of
// Debian packages and Go toolchains that a lock pins byte by byte, or out of
// an OCI image by digest. Equal locks give equal images. No maintainer script
// and no program of a package runs, and nothing of the host's own file system
// enters. What runs on a root is left to target and bench.
package root

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Store makes roots and keeps them. It is safe for concurrent use, by several
// processes too.
type Store struct {
	Images  sandbox.Images
	Fetch   string // folder of downloads by hash
	Records string // folder of NAME.json, and of NAME.lock where the operator locked anew
	Recipes fs.FS  // NAME.toml and NAME.lock

	Apt      string       // apt's configuration; "" is /etc/apt
	Keyrings string       // folder of debian-archive-*.gpg; "" is /usr/share/keyrings
	GoProxy  string       // as GOPROXY; "" asks the go command
	Client   *http.Client // nil uses the proxies of the environment and of apt
	// Strict refuses to take a newer signed revision in place of a locked
	// package that the archive no longer serves.
	Strict bool
}

// Progress is told how making a root goes. Total is 0 where it is not known.
type Progress struct {
	Root  string `json:"root"`
	Step  string `json:"step"` // "fetch", "unpack", "write", "substitute"
	Done  int64  `json:"done"` // bytes fetched or packages unpacked
	Total int64  `json:"total"`
	Note  string `json:"note,omitempty"` // a sentence for people
}

// Record says what a made root consists of.
type Record struct {
	Name        string            `json:"name"`
	Key         proofhouse.Digest `json:"key"` // of recipe, lock and this package's rules
	Image       proofhouse.Digest `json:"image"`
	Bytes       int64             `json:"bytes"` // of the image file
	Packages    []string          `json:"packages"`
	Modules     []string          `json:"modules,omitempty"`
	Substitutes []Substitute      `json:"substitutes,omitempty"`
}

// Substitute is a newer signed revision that took the place of a locked
// package which the archive no longer serves.
type Substitute struct {
	Name   string            `json:"name"`
	Locked string            `json:"locked"` // version
	Taken  string            `json:"taken"`  // version
	Digest proofhouse.Digest `json:"digest"`
	Index  proofhouse.Digest `json:"index"` // of the InRelease that signs it
	Date   time.Time         `json:"date"`  // of that InRelease
}

// rules is part of every key: raise it when the same lock gives another image.
const rules = "proofhouse root rules 2"

// List names the recipes, sorted.
func (s Store) List() ([]string, error) {
	names, err := fs.Glob(s.Recipes, "*.toml")
	for i, n := range names {
		names[i] = strings.TrimSuffix(path.Base(n), ".toml")
	}
	slices.Sort(names)
	return names, err
}

// Describe is the recipe's one sentence.
func (s Store) Describe(name string) (string, error) {
	r, err := readRecipe(s.Recipes, name)
	return r.Description, err
}

// Lock is the lock that Make uses: the operator's own if there is one, else
// the one that ships.
func (s Store) Lock(name string) (Lock, error) {
	b, err := os.ReadFile(filepath.Join(s.Records, name+".lock"))
	if errors.Is(err, fs.ErrNotExist) {
		b, err = fs.ReadFile(s.Recipes, name+".lock")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Lock{}, proofhouse.Errorf(proofhouse.NotFound, err, "root %q has no lock: run proofhouse root relock %s", name, name)
	}
	if err != nil {
		return Lock{}, err
	}
	return ParseLock(b)
}

// Made gives the record and image of a root that was made from the present
// recipe and lock; NotFound if it has to be made.
func (s Store) Made(name string) (Record, sandbox.Image, error) {
	recipe, lock, err := s.plan(name)
	if err != nil {
		return Record{}, sandbox.Image{}, err
	}
	return s.made(name, key(recipe, lock))
}

func (s Store) plan(name string) (Recipe, Lock, error) {
	recipe, err := readRecipe(s.Recipes, name)
	if err != nil {
		return Recipe{}, Lock{}, err
	}
	lock, err := s.Lock(name)
	return recipe, lock, err
}

func (s Store) made(name string, key proofhouse.Digest) (Record, sandbox.Image, error) {
	var rec Record
	b, err := os.ReadFile(filepath.Join(s.Records, name+".json"))
	if err == nil {
		err = json.Unmarshal(b, &rec)
	}
	if err != nil || rec.Key != key || (s.Strict && len(rec.Substitutes) > 0) {
		return rec, sandbox.Image{}, proofhouse.Errorf(proofhouse.NotFound, err, "root %q is not made yet: run proofhouse root make %s", name, name)
	}
	img, err := s.Images.Open(rec.Image)
	return rec, img, err
}

// key names all that an image follows from.
func key(r Recipe, l Lock) proofhouse.Digest {
	var b bytes.Buffer
	r.Description = ""
	fmt.Fprintln(&b, rules)
	j, err := json.Marshal(r) // map keys are sorted
	if err != nil {
		panic(err) // strings only
	}
	b.Write(j)
	b.WriteByte('\n')
	_ = l.Write(&b) // a buffer does not fail
	return proofhouse.DigestOf(b.Bytes())
}

// Make gives the image of a root, making it if this machine has none of the
// present recipe and lock. now bounds the age of a signed index that is needed
// where the archive no longer serves a locked package. progress may be nil.
func (s Store) Make(ctx context.Context, name string, now time.Time, progress func(Progress)) (sandbox.Image, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	recipe, lock, err := s.plan(name)
	if err != nil {
		return sandbox.Image{}, err
	}
	k := key(recipe, lock)
	if _, img, err := s.made(name, k); err == nil {
		return img, nil
	}
	if missing := lock.missing(recipe); missing != "" {
		return sandbox.Image{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the lock of root %q does not hold %s, which its recipe wants: run proofhouse root relock %s", name, missing, name)
	}
	if s.Client == nil {
		s.Client = newClient(ctx)
	}
	m := &maker{Store: s, name: name, recipe: recipe, lock: lock, now: now, progress: progress}
	img, err := m.make(ctx)
	if err != nil {
		return sandbox.Image{}, err
	}
	rec := Record{Name: name, Key: k, Image: img.Digest, Substitutes: m.substitutes}
	for _, p := range m.lock.Packages {
		rec.Packages = append(rec.Packages, p.Name+" "+p.Version)
	}
	for _, mod := range lock.Modules {
		rec.Modules = append(rec.Modules, mod.Path+" "+mod.Version)
	}
	return img, s.writeRecord(rec, img)
}

func (s Store) writeRecord(rec Record, img sandbox.Image) error {
	info, err := os.Stat(img.Path)
	if err != nil {
		return err
	}
	rec.Bytes = info.Size()
	b, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(filepath.Join(s.Records, rec.Name+".json"), append(b, '\n'))
}

// missing names something that the recipe wants and the lock lacks, or "".
func (l Lock) missing(r Recipe) string {
	for _, name := range r.Packages {
		if !slices.ContainsFunc(l.Packages, func(p Package) bool { return p.Name == name }) {
			return name
		}
	}
	if r.Go != "" && !slices.ContainsFunc(l.Modules, func(m Module) bool { return m.Version == toolchainVersion(r.Go) }) {
		return r.Go
	}
	return ""
}

// Relock resolves a recipe from the signed indexes as of now. It writes
// nothing; see WriteLock.
func (s Store) Relock(ctx context.Context, name string, now time.Time) (Lock, error) {
	recipe, err := readRecipe(s.Recipes, name)
	if err != nil {
		return Lock{}, err
	}
	client := s.Client
	if client == nil {
		client = newClient(ctx)
	}
	var lock Lock
	var lists [][]candidate
	for _, suite := range releaseSuites {
		ix, list, err := s.index(ctx, client, suite, now)
		if err != nil {
			return Lock{}, err
		}
		lock.Indexes = append(lock.Indexes, ix)
		lists = append(lists, list)
	}
	chosen, err := newUniverse(lists...).close(recipe.Packages, recipe.Without)
	if err != nil {
		return Lock{}, err
	}
	for _, c := range chosen {
		lock.Packages = append(lock.Packages, c.Package)
	}
	if recipe.Go != "" {
		m, err := s.relockToolchain(ctx, name, recipe.Go)
		if err != nil {
			return Lock{}, err
		}
		lock.Modules = append(lock.Modules, m)
	}
	return lock, nil
}

// relockToolchain keeps the hash of the present lock, which never changes for
// a version, and asks for it only where there is none.
func (s Store) relockToolchain(ctx context.Context, name, goVersion string) (Module, error) {
	if old, err := s.Lock(name); err == nil {
		for _, m := range old.Modules {
			if m.Version == toolchainVersion(goVersion) {
				return m, nil
			}
		}
	}
	if err := os.MkdirAll(s.Fetch, 0o755); err != nil {
		return Module{}, err
	}
	return lockToolchain(ctx, goVersion, s.Fetch)
}

// WriteLock puts a lock into a folder as NAME.lock: the records, to use it on
// this machine, or the suite's source, to ship it.
func WriteLock(dir, name string, l Lock) error {
	var b bytes.Buffer
	if err := l.Write(&b); err != nil {
		return err
	}
	return writeWhole(filepath.Join(dir, name+".lock"), b.Bytes())
}

// writeWhole writes a file so that it is there whole or not at all.
func writeWhole(name string, b []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		tmp.Close()
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	if _, err := tmp.Write(b); err != nil {
		return err
	}
	if err := tmp.Chmod(0o644); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// image writes a finished tree.
func (s Store) image(t *tree, at time.Time) (sandbox.Image, error) {
	return s.Images.Write(func(w *erofs.Writer) error { return t.write(w, at) })
}
