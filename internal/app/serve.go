package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"proofhouse/internal/proofhouse"
)

// contentPolicy lets the report's own styles in and nothing else: no script, no
// request to anywhere, no frame.
const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeReport shows a run's report at addr ("127.0.0.1:0" takes a free port)
// until ctx ends. ready is told the address once it answers. Only the files
// that a report consists of are served, never the artifacts or the journal.
func (a *App) ServeReport(ctx context.Context, folder, addr string, ready func(url string)) error {
	if _, err := os.Stat(filepath.Join(folder, "report.html")); err != nil {
		return proofhouse.Errorf(proofhouse.NotFound, err, "there is no report in that folder: `report DIR` writes one")
	}
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return proofhouse.Errorf(proofhouse.Invalid, err, "a report is shown to this machine only: give a loopback address such as 127.0.0.1:8080")
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "that address cannot be listened on: choose another port, or 0 for a free one")
	}
	server := &http.Server{Handler: reportHandler(folder), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	ready("http://" + l.Addr().String() + "/")
	select {
	case err = <-done:
	case <-ctx.Done():
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(closing)
		err = <-done
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func reportHandler(folder string) http.Handler {
	mux := http.NewServeMux()
	file := func(name, kind string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			http.ServeFile(w, r, filepath.Join(folder, name))
		}
	}
	mux.HandleFunc("GET /{$}", file("report.html", "text/html; charset=utf-8"))
	mux.HandleFunc("GET /results.json", file("results.json", "application/json"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		mux.ServeHTTP(w, r)
	})
}
