package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/proofhouse"
)

// TestFlow has a house send a file bit by bit: each bit arrives before the next is written, what breaks off is no file, and a refusal is none either.
func TestFlow(t *testing.T) {
	arrived := make(chan struct{})
	house := http.NewServeMux()
	house.HandleFunc("GET /v1/cases/{case}/bundle", func(w http.ResponseWriter, r *http.Request) {
		switch r.PathValue("case") {
		case "refused":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"kind":"refused","detail":"not yours"}`)
		case "early":
			panic(http.ErrAbortHandler)
		case "broken", "whole":
			_, _ = io.WriteString(w, "first")
			select {
			case <-arrived:
			case <-r.Context().Done():
			}
			if r.PathValue("case") == "broken" {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, ", second")
		}
	})
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visit{site: site{House: House{API: house}}, w: flushed{w}, r: r, client: wire.Client{URL: "http://house"}}
		err := v.pass("name", func(client wire.Client, w io.Writer) error {
			return client.Bundle(r.Context(), proofhouse.CaseID(strings.Trim(r.URL.Path, "/")), "", "request", w)
		})
		if err != nil {
			http.Error(w, proofhouse.PublicOf(err), http.StatusForbidden)
		}
	}))
	defer pages.Close()
	browser := http.Client{Timeout: 10 * time.Second}
	type reply struct {
		status int
		header http.Header
		body   io.Reader
	}
	get := func(path string) reply {
		t.Helper()
		resp, err := browser.Get(pages.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return reply{resp.StatusCode, resp.Header, resp.Body}
	}
	for path, want := range map[string]error{"/whole": nil, "/broken": io.ErrUnexpectedEOF} {
		resp := get(path)
		first := make([]byte, 5)
		if _, err := io.ReadFull(resp.body, first); err != nil || string(first) != "first" || resp.header.Get("Content-Disposition") != `attachment; filename="name"` {
			t.Fatalf("%s: %q, %v", path, first, err)
		}
		arrived <- struct{}{} // only now is there more
		rest, err := io.ReadAll(resp.body)
		if !errors.Is(err, want) || want == nil && string(rest) != ", second" {
			t.Errorf("%s: then %q, %v", path, rest, err)
		}
	}
	resp := get("/refused")
	if says, err := io.ReadAll(resp.body); err != nil || resp.status != http.StatusForbidden || resp.header.Get("Content-Disposition") != "" || string(says) != "not yours\n" {
		t.Errorf("refused: %d %q, %v", resp.status, says, err)
	}
	if resp, err := browser.Get(pages.URL + "/early"); err == nil {
		resp.Body.Close()
		t.Errorf("a house that broke off at once: %d", resp.StatusCode)
	}
}

// flushed sends each write at once.
type flushed struct{ http.ResponseWriter }

// Write implements http.ResponseWriter.
func (f flushed) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	return n, errors.Join(err, http.NewResponseController(f.ResponseWriter).Flush())
}
