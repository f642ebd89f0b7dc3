package wire

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"proofhouse/internal/proofhouse"
)

// slowly answers with a body of a byte at a time.
type slowly struct {
	pause time.Duration
	bytes int
}

func (s slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(&dripping{r.Context(), s}), Request: r}, nil
}

type dripping struct {
	ctx context.Context
	slowly
}

func (d *dripping) Read(b []byte) (int, error) {
	if d.bytes == 0 {
		return 0, io.EOF
	}
	select {
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	case <-time.After(d.pause):
	}
	d.bytes--
	b[0] = 'x'
	return 1, nil
}

// TestSlowBundle: an answer that stands still is given up, and one that goes on is read to its end, however long it takes.
func TestSlowBundle(t *testing.T) {
	was := http.DefaultTransport
	defer func() { http.DefaultTransport = was }()
	for _, c := range []struct {
		slowly
		want proofhouse.Kind
	}{
		{slowly{time.Hour, 1}, proofhouse.Unavailable},
		{slowly{stillness + time.Second, 2}, proofhouse.Unavailable},
		{slowly{stillness - time.Second, 20}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			http.DefaultTransport = c.slowly
			var b strings.Builder
			err := Client{URL: "http://house"}.Bundle(t.Context(), "case-1", "", "request-1", &b)
			if err == nil != (c.want == "") || err != nil && proofhouse.KindOf(err) != c.want || c.want == "" && b.Len() != c.bytes {
				t.Errorf("%d bytes, one each %v: %q, %v", c.bytes, c.pause, b.String(), err)
			}
		})
	}
}
