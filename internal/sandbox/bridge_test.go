package sandbox_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// hostile is a box whose bridge is somebody else's program.
type hostile struct {
	sandbox.Box
	exec func(ctx context.Context, in io.Reader, out io.Writer)
}

func (h hostile) Exec(ctx context.Context, cmd sandbox.Command) (sandbox.Result, error) {
	h.exec(ctx, cmd.Stdin, cmd.Report)
	return sandbox.Result{}, ctx.Err()
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func frame(kind, flags byte, stream uint32, payload string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	return string(binary.BigEndian.AppendUint32(append(head, flags), stream)) + payload
}

// TestHostileBridge: whatever a box sends instead of requests, the host is
// done with it when the command is, and holds nothing of it.
func TestHostileBridge(t *testing.T) {
	settings := frame(4, 0, 0, "")
	headers := "\x83\x86\x84\x41\x06bridge" // POST http / bridge
	var streams strings.Builder
	for i := range uint32(5000) {
		streams.WriteString(frame(1, 4, 2*i+1, headers))
	}
	for name, c := range map[string]struct {
		send string // over and over after the first time
		once string
		deaf bool // reads nothing
	}{
		"says nothing":               {},
		"garbage":                    {send: strings.Repeat("\xff\x00garbage", 1000)},
		"an older protocol":          {once: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		"pings that nobody reads":    {once: preface + settings, send: strings.Repeat(frame(6, 0, 0, "12345678"), 1000), deaf: true},
		"settings that nobody reads": {once: preface + settings, send: strings.Repeat(settings, 1000), deaf: true},
		"thousands of streams":       {once: preface + settings + streams.String(), deaf: true},
		"a frame that is too long":   {once: preface + settings + "\xff\xff\xff\x00\x00\x00\x00\x00\x01"},
		"half a request":             {once: preface + settings + frame(1, 4, 1, headers) + frame(0, 0, 1, "a part")},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			var serving atomic.Int64
			handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if n := serving.Add(1); n > 64 {
					t.Errorf("%d requests are served at once", n)
				}
				defer serving.Add(-1)
				_, _ = io.ReadAll(r.Body)
				time.Sleep(10 * time.Millisecond)
			})
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			box := hostile{exec: func(ctx context.Context, in io.Reader, out io.Writer) {
				if !c.deaf {
					go func() { _, _ = io.Copy(io.Discard, in) }()
				}
				_, err := io.WriteString(out, c.once)
				for err == nil && c.send != "" && ctx.Err() == nil {
					_, err = io.WriteString(out, c.send)
				}
				<-ctx.Done()
			}}
			if _, err := sandbox.ExecBridged(ctx, box, sandbox.Command{Argv: []string{"/x"}}, &http.Server{Handler: http.MaxBytesHandler(handler, 1<<20)}); err == nil { //nolint:gosec // a test's
				t.Error("the time was not up")
			}
			if n := serving.Load(); n != 0 {
				t.Errorf("%d requests are still served", n)
			}
			for range 200 { // what was started ends
				if runtime.NumGoroutine() <= before+1 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if now := runtime.NumGoroutine(); now > before+1 {
				buf := make([]byte, 1<<20)
				t.Errorf("%d goroutines were, and %d are:\n%s", before, now, buf[:runtime.Stack(buf, true)])
			}
		})
	}
}

// TestBridgeTakesTheDescriptors: a command that needs them itself is refused.
func TestBridgeTakesTheDescriptors(t *testing.T) {
	cmd := sandbox.Command{Argv: []string{"/x"}, Stdin: bytes.NewReader(nil)}
	if _, err := sandbox.ExecBridged(t.Context(), hostile{}, cmd, &http.Server{}); proofhouse.KindOf(err) != proofhouse.Invalid { //nolint:gosec // never served
		t.Error(err)
	}
}
