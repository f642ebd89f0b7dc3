package root

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"time"

	"proofhouse/internal/proofhouse"
)

// errGone says that a server has no such file, as apart from not answering.
var errGone = errors.New("the server has no such file")

// open starts reading a file of a mirror: http, https or file. A server that
// does not answer is asked three times.
func open(ctx context.Context, client *http.Client, address string) (io.ReadCloser, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		f, err := os.Open(u.Path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w", errGone, err)
		}
		return f, err
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("a mirror of the kind %q cannot be read", u.Scheme)
	}
	for try := 1; ; try++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		switch {
		case err == nil && resp.StatusCode == http.StatusOK:
			return resp.Body, nil
		case err == nil:
			resp.Body.Close()
			if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
				return nil, fmt.Errorf("%w: %s", errGone, resp.Status)
			}
			err = errors.New(resp.Status)
			if resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests {
				return nil, err
			}
		}
		if try == 3 {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(try) * time.Second):
		}
	}
}

// readSmall reads a file of at most max bytes whole.
func readSmall(ctx context.Context, client *http.Client, address string, max int64) ([]byte, error) {
	r, err := open(ctx, client, address)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, max+1))
	if err == nil && int64(len(b)) > max {
		err = proofhouse.Errorf(proofhouse.Limit, nil, "a file of the mirror is larger than %d bytes: try another mirror", max)
	}
	return b, err
}

// fetch brings a file of known size and digest into the folder and gives its
// path there. The file appears under its name only when it is whole and right.
func (s Store) fetch(ctx context.Context, client *http.Client, bases []string, name string, size int64, want proofhouse.Digest) (string, error) {
	dst := filepath.Join(s.Fetch, want.Hex())
	if info, err := os.Stat(dst); err == nil && info.Size() == size {
		return dst, nil // its digest is checked again when it is read
	}
	if err := os.MkdirAll(s.Fetch, 0o755); err != nil {
		return "", err
	}
	last := errGone
	for _, base := range bases {
		got, n, err := s.download(ctx, client, base+"/"+name, size, dst, func(d proofhouse.Digest, n int64) bool { return d == want && n == size })
		switch {
		case err == nil:
			return dst, nil
		case errors.Is(err, errWrong):
			return "", proofhouse.Errorf(proofhouse.Integrity, nil, "%s is not what the lock pins (%d bytes, %s, not %d bytes, %s): the mirror is faulty, try another", filepath.Base(name), n, got.Short(), size, want.Short())
		case ctx.Err() != nil:
			return "", ctx.Err()
		case !errors.Is(err, errGone):
			last = err // one that does not answer hides whether it is gone
		}
	}
	if errors.Is(last, errGone) {
		return "", last
	}
	return "", proofhouse.Errorf(proofhouse.Unavailable, last, "%s cannot be fetched: check the network and apt's sources", filepath.Base(name))
}

var errWrong = errors.New("the bytes are not the pinned ones")

// download writes at most max bytes of address to dst, if right accepts them.
func (s Store) download(ctx context.Context, client *http.Client, address string, max int64, dst string, right func(proofhouse.Digest, int64) bool) (d proofhouse.Digest, n int64, err error) {
	r, err := open(ctx, client, address)
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	tmp, err := os.CreateTemp(s.Fetch, ".new-*")
	if err != nil {
		return "", 0, err
	}
	defer func() {
		tmp.Close()
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	d, n, err = proofhouse.DigestReader(io.TeeReader(io.LimitReader(r, max+1), tmp))
	if err != nil {
		return d, n, err
	}
	if !right(d, n) {
		return d, n, errWrong
	}
	if err := tmp.Chmod(0o444); err != nil {
		return d, n, err
	}
	return d, n, os.Rename(tmp.Name(), dst)
}

// index fetches, verifies and reads what packages a suite offers.
func (s Store) index(ctx context.Context, client *http.Client, suite string, now time.Time) (Index, []candidate, error) {
	ix, plain, err := s.signed(ctx, client, suite, "main/binary-"+debianArch+"/Packages.xz", now)
	if err != nil {
		return Index{}, nil, err
	}
	list, err := parsePackages(bytes.NewReader(plain), suite)
	return ix, list, err
}

// signed fetches a compressed file that a suite's index signs, from the first
// archive that serves both soundly.
func (s Store) signed(ctx context.Context, client *http.Client, suite, name string, now time.Time) (Index, []byte, error) {
	sources, err := readSources(or(s.Apt, "/etc/apt"))
	if err != nil {
		return Index{}, nil, err
	}
	keys, err := readKeyring(or(s.Keyrings, "/usr/share/keyrings"))
	if err != nil {
		return Index{}, nil, err
	}
	bases := archives(sources, suite)
	if len(bases) == 0 {
		return Index{}, nil, noArchive(suite)
	}
	var faults []error
	for _, base := range bases {
		ix, plain, err := readSigned(ctx, client, base+"/dists/"+suite, suite, name, func(b []byte) (inRelease, error) {
			return verifyInRelease(b, keys, suite, now)
		})
		if err == nil {
			return ix, plain, nil
		}
		faults = append(faults, err)
	}
	if err := ctx.Err(); err != nil {
		return Index{}, nil, err
	}
	return Index{}, nil, proofhouse.Errorf(kindOf(faults), errors.Join(faults...), "no archive of apt's sources gives a sound index of Debian %s: check the network and apt's sources", suite)
}

func noArchive(suite string) error {
	return proofhouse.Errorf(proofhouse.Unavailable, nil, "apt's sources name no archive of Debian %s: add one, such as your mirror of it", suite)
}

// kindOf is Integrity if any fault is, because that is the one to look at.
func kindOf(faults []error) proofhouse.Kind {
	for _, err := range faults {
		if proofhouse.KindOf(err) == proofhouse.Integrity {
			return proofhouse.Integrity
		}
	}
	return proofhouse.Unavailable
}

func readSigned(ctx context.Context, client *http.Client, dist, suite, name string, verify func([]byte) (inRelease, error)) (Index, []byte, error) {
	b, err := readSmall(ctx, client, dist+"/InRelease", 4<<20)
	if err != nil {
		return Index{}, nil, fmt.Errorf("fetching the index of %s: %w", suite, err)
	}
	rel, err := verify(b)
	if err != nil {
		return Index{}, nil, err
	}
	sum, ok := rel.Files[name]
	if !ok || sum.Size > 64<<20 {
		return Index{}, nil, proofhouse.Errorf(proofhouse.Integrity, nil, "the index of %s lists no usable %s: try another mirror", suite, path.Base(name))
	}
	address := dist + "/" + name
	if rel.ByHash {
		address = dist + "/" + path.Dir(name) + "/by-hash/SHA256/" + sum.Digest.Hex()
	}
	packed, err := readSmall(ctx, client, address, sum.Size)
	if errors.Is(err, errGone) && rel.ByHash { // a mirror that keeps no copies by hash
		packed, err = readSmall(ctx, client, dist+"/"+name, sum.Size)
	}
	if err != nil {
		return Index{}, nil, fmt.Errorf("fetching %s of %s: %w", path.Base(name), suite, err)
	}
	if got := proofhouse.DigestOf(packed); got != sum.Digest {
		return Index{}, nil, proofhouse.Errorf(proofhouse.Integrity, nil, "%s of %s is not what its index signs: the mirror is faulty or changed just now, try again", path.Base(name), suite)
	}
	plain, err := decompressAll(packed, 512<<20)
	if err != nil {
		return Index{}, nil, fmt.Errorf("reading %s of %s: %w", path.Base(name), suite, err)
	}
	return rel.Index, plain, nil
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
