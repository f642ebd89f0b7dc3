package root

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"proofhouse/internal/proofhouse"
)

// decompress reads gzip, xz, zstd or nothing, told by its first bytes.
func decompress(r io.Reader) (io.Reader, func(), error) {
	br := bufio.NewReaderSize(r, 256<<10)
	head, err := br.Peek(6)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(br)
		return z, func() {}, err
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		z, err := xz.NewReader(br)
		return z, func() {}, err
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	default:
		return br, func() {}, nil
	}
}

func decompressAll(b []byte, max int64) ([]byte, error) {
	r, done, err := decompress(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := io.ReadAll(io.LimitReader(r, max+1))
	if err == nil && int64(len(out)) > max {
		err = fmt.Errorf("it is larger than %d bytes", max)
	}
	return out, err
}

// dataOf finds the data member of a .deb, which is an ar archive of
// debian-binary, control.tar.* and data.tar.*, in this order.
func dataOf(r io.Reader) (io.Reader, error) {
	magic := make([]byte, 8)
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != "!<arch>\n" {
		return nil, malformed(err, "it is no ar archive")
	}
	for range 16 {
		var h [60]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return nil, malformed(err, "it has no data")
		}
		name := strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/")
		size, err := strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
		if err != nil || size < 0 || size > maxDeb || string(h[58:]) != "`\n" {
			return nil, malformed(err, "a member of it is malformed")
		}
		if strings.HasPrefix(name, "data.tar") {
			return io.LimitReader(r, size), nil
		}
		if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
			return nil, malformed(err, "it is cut short")
		}
	}
	return nil, malformed(nil, "it has no data")
}

func malformed(cause error, why string) error {
	return proofhouse.Errorf(proofhouse.Integrity, cause, "a package is malformed: %s", why)
}

// What one archive may hold.
const (
	maxEntries  = 400_000
	maxUnpacked = 8 << 30 // bytes of file content
)

// walkTar calls each for every entry of a possibly compressed tar, with a
// clean absolute name. Entries that a root never holds (devices, fifos) are
// passed over. The reader holds the entry's content.
func walkTar(r io.Reader, each func(h *tar.Header, name string, content io.Reader) error) error {
	z, done, err := decompress(r)
	if err != nil {
		return malformed(err, "its compression")
	}
	defer done()
	return walkPlainTar(z, each)
}

func walkPlainTar(r io.Reader, each func(h *tar.Header, name string, content io.Reader) error) error {
	var total int64
	t := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return malformed(err, "its tar")
		}
		name, err := cleanName(h.Name)
		if err != nil {
			return err
		}
		total += h.Size
		if n >= maxEntries || h.Size < 0 || total > maxUnpacked {
			return proofhouse.Errorf(proofhouse.Limit, nil, "an archive unpacks to more than %d files or %d bytes", maxEntries, int64(maxUnpacked))
		}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink:
			if err := each(h, name, t); err != nil {
				return err
			}
		}
	}
}
