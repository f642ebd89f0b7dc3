package inspect

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// archive is a zip file of JSON members. Inspect reads stored, deflated and
// zstd members; deflate needs nothing beyond the standard library.
type archive struct {
	zip *zip.Writer
	buf bytes.Buffer
}

// Compressors are large (1.2 MB) and slow to make: without the pool most of a
// log of small samples is spent on making them.
var compressors = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.DefaultCompression)
	if err != nil {
		panic(err) // the level is a constant of the package
	}
	return w
}}

// pooled gives its compressor back when it is closed.
type pooled struct{ *flate.Writer }

func (p *pooled) Close() error {
	err := p.Writer.Close()
	compressors.Put(p.Writer)
	p.Writer = nil
	return err
}

func newArchive(w io.Writer) *archive {
	a := &archive{zip: zip.NewWriter(w)}
	a.zip.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		c, ok := compressors.Get().(*flate.Writer)
		if !ok {
			return nil, fmt.Errorf("compressing a member: no compressor")
		}
		c.Reset(out)
		return &pooled{c}, nil
	})
	return a
}

// put adds a member.
func (a *archive) put(name string, v any) error {
	a.buf.Reset()
	if err := json.NewEncoder(&a.buf).Encode(v); err != nil {
		return fmt.Errorf("writing %s of the Inspect log: %w", name, err)
	}
	member, err := a.zip.Create(name)
	if err == nil {
		_, err = member.Write(a.buf.Bytes())
	}
	if err != nil {
		return fmt.Errorf("writing %s of the Inspect log: %w", name, err)
	}
	return nil
}

func (a *archive) close() error {
	if err := a.zip.Close(); err != nil {
		return fmt.Errorf("closing the Inspect log: %w", err)
	}
	return nil
}
