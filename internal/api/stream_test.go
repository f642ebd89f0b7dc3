package api_test

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/storetest"
)

// TestStream reads a case's events as they come, by sequence, goes on where a connection broke, and ends for a
// member who leaves.
func TestStream(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	id := h.opened(t)
	// open gives what the next message is each time: the seq of an event, or the last one's kind.
	open := func(query, last string) (next func() string, end func()) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/v1/cases/"+string(id)+"/stream"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer eve")
		req.Header.Set("Last-Event-ID", last)
		resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // end closes it
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
			t.Fatalf("%d, %s", resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		lines := bufio.NewScanner(resp.Body)
		return func() string {
			seq := ""
			for lines.Scan() {
				line := lines.Text()
				if s, ok := strings.CutPrefix(line, "id: "); ok {
					seq = s
				}
				if data, ok := strings.CutPrefix(line, "data: "); ok {
					if seq == "" {
						return data
					}
					return seq
				}
			}
			return "the stream is over"
		}, func() { resp.Body.Close() }
	}
	const there = 6 // opened makes so many events
	next, end := open("", "0")
	for seq := range there {
		if got := next(); got != strconv.Itoa(seq+1) {
			t.Fatalf("message %d is %s", seq+1, got)
		}
	}
	h.do(t, "ada", id, docket.Announce{Date: start})
	if got := next(); got != "7" {
		t.Errorf("what comes is %s", got)
	}
	end()
	for _, c := range []struct{ query, last, want string }{{"?after=3", "0", "4"}, {"", "5", "6"}, {"?after=2", "6", "7"}} {
		next, end := open(c.query, c.last)
		if got := next(); got != c.want {
			t.Errorf("after %s and %s comes %s, want %s", c.query, c.last, got, c.want)
		}
		end()
	}
	h.do(t, "ada", id, docket.Announce{Date: start})
	next, end = open("?after=7", "0")
	defer end()
	if got := next(); got != "8" {
		t.Errorf("what comes is %s", got)
	}
	h.do(t, "rita", id, docket.Leave{Member: proofhouse.Actor{Organisation: "institute", Person: "eve", Role: proofhouse.Evaluator}})
	got := next()
	if got == "9" { // the leaving itself, read just before
		got = next()
	}
	if !strings.Contains(got, `"kind":"not_found"`) {
		t.Errorf("to a member who left comes %s", got)
	}
	if got := next(); got != "the stream is over" {
		t.Errorf("and then %s", got)
	}
}
