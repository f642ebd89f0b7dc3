package app

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/storetest"
)

// benchHouse is a house in a fresh folder and database, whose sequencer runs.
func benchHouse(b *testing.B, database string) *House {
	b.Helper()
	data := b.TempDir()
	a, err := Open(b.Context(), Config{Data: data, HouseKey: filepath.Join(data, "keys", "house.key")})
	if err != nil {
		b.Fatal(err)
	}
	h, err := a.OpenHouse(b.Context(), HouseConfig{Database: database})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	ctx := b.Context()
	go func() { done <- h.sequencer.Run(ctx, sequencePause) }()
	b.Cleanup(func() {
		<-done // the benchmark's context has ended
		h.Close()
		a.Close()
	})
	return h
}

// databases runs a benchmark on SQLite and, with TEST_POSTGRES, on PostgreSQL. fresh is the address of
// a database that nothing was in: each house needs one, since a log belongs to it.
func databases(b *testing.B, run func(b *testing.B, fresh func(b *testing.B) string)) {
	b.Run("sqlite", func(b *testing.B) {
		run(b, func(b *testing.B) string { return "sqlite:" + filepath.Join(b.TempDir(), "house.db") })
	})
	b.Run("postgres", func(b *testing.B) { run(b, func(b *testing.B) string { return storetest.Postgres(b) }) })
}

func openedCase(b *testing.B, h *House, rules *docket.Profile) proofhouse.CaseID {
	b.Helper()
	ada := proofhouse.Actor{Organisation: "lab", Person: "ada", Role: proofhouse.Developer}
	c, err := h.Registry.Open(b.Context(), ada, rules, docket.OpenCase{Codename: "heron", Variants: []string{"deployed"}}, docket.Request{}, proofhouse.NewCaseID, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	return c.ID
}

// BenchmarkEvents takes events into 16 cases, one after the other and eight
// at once, with the public log taking them in beside.
func BenchmarkEvents(b *testing.B) {
	rules, err := docket.ShippedProfile("institute")
	if err != nil {
		b.Fatal(err)
	}
	databases(b, func(b *testing.B, fresh func(b *testing.B) string) {
		for _, writers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%d-writers", writers), func(b *testing.B) {
				h := benchHouse(b, fresh(b))
				cases := make([]proofhouse.CaseID, 16)
				for i := range cases {
					cases[i] = openedCase(b, h, rules)
				}
				e := docket.Event{By: proofhouse.Actor{Organisation: "lab", Person: "ada", Role: proofhouse.Developer}, Act: docket.Plan{}}
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range writers {
					wg.Go(func() {
						for {
							i := next.Add(1)
							if i > int64(b.N) {
								return
							}
							if _, _, err := h.Registry.Do(b.Context(), cases[i%int64(len(cases))], e, 0, docket.Request{}, time.Now()); err != nil {
								b.Error(err)
								return
							}
							h.sequencer.Wake()
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
				waiting, err := h.docket.Waiting(b.Context(), 1<<20)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(waiting)), "waiting")
			})
		}
	})
}

// BenchmarkList reads what lists show of 10,000 cases, for a registrar who has taken up all of them:
// the first page, one from the middle, and all by pages. Then as pages for a browser, with searches that find nothing and one.
func BenchmarkList(b *testing.B) {
	rules, err := docket.ShippedProfile("institute")
	if err != nil {
		b.Fatal(err)
	}
	const cases, limit = 10_000, 51
	rita := proofhouse.Actor{Organisation: "institute", Person: "rita", Role: proofhouse.Registrar}
	databases(b, func(b *testing.B, fresh func(b *testing.B) string) {
		h := benchHouse(b, fresh(b))
		const writers = 8
		var work sync.WaitGroup
		for range writers {
			work.Go(func() {
				for range cases / writers {
					if _, _, err := h.Registry.Do(b.Context(), openedCase(b, h, rules), docket.Event{By: rita, Act: docket.Accept{}}, 0, docket.Request{}, time.Now()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		work.Wait()
		read := func(b *testing.B, l docket.Listing, all bool) (middle docket.Place) {
			l.Who, l.Untaken = docket.Person{Organisation: rita.Organisation, Person: rita.Person}, rita.Organisation
			for n := 0; ; {
				rows, err := h.Registry.Store.Summaries(b.Context(), l)
				if err != nil || len(rows) < l.Limit && (!all || n+len(rows) != cases) {
					b.Fatal(n, len(rows), err)
				}
				n += len(rows)
				if n >= cases/2 && middle.ID == "" {
					middle = rows[0].Place()
				}
				if !all || n == cases {
					return middle
				}
				l.After = rows[len(rows)-1].Place()
			}
		}
		middle := read(b, docket.Listing{Limit: 500}, true)
		for _, m := range []struct {
			name string
			l    docket.Listing
			all  bool
		}{
			{"first", docket.Listing{Limit: limit}, false},
			{"middle", docket.Listing{Limit: limit, After: middle}, false},
			{"all", docket.Listing{Limit: 500}, true},
		} {
			b.Run(m.name, func(b *testing.B) {
				for b.Loop() {
					read(b, m.l, m.all)
				}
			})
		}
		benchPages(b, h, rita, "/", "/?find=nothing", "/?find="+string(middle.ID), "/cases/"+string(middle.ID))
	})
}

// benchPages has a browser of who became the first administrator ask for pages, over HTTP.
func benchPages(b *testing.B, h *House, who proofhouse.Actor, paths ...string) {
	code, err := h.Directory.FirstCode(b.Context(), time.Now())
	if err != nil {
		b.Fatal(err)
	}
	session, _, err := h.door.First(b.Context(), code, policy.Organisation{ID: who.Organisation, Title: "The Institute"}, policy.Person{Organisation: who.Organisation, ID: who.Person, Title: "Rita"}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(h.handler())
	defer server.Close()
	for i, path := range paths {
		b.Run([]string{"docket-page", "search-page", "found-page", "case-page"}[i], func(b *testing.B) {
			var first time.Duration
			var size int64
			for b.Loop() {
				var began time.Time
				ctx := httptrace.WithClientTrace(b.Context(), &httptrace.ClientTrace{GotFirstResponseByte: func() { first += time.Since(began) }})
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, http.NoBody)
				if err != nil {
					b.Fatal(err)
				}
				req.AddCookie(&http.Cookie{Name: "proofhouse", Value: session})
				began = time.Now()
				resp, err := server.Client().Do(req)
				if err != nil {
					b.Fatal(err)
				}
				if size, err = io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
					b.Fatal(resp.Status, err)
				}
				resp.Body.Close()
			}
			b.ReportMetric(first.Seconds()*1000/float64(b.N), "first-byte-ms")
			b.ReportMetric(float64(size)/1000, "kB")
		})
	}
}

// BenchmarkStart opens a house of 100 cases and serves until it answers.
func BenchmarkStart(b *testing.B) {
	data := b.TempDir()
	open := func() (*App, *House) {
		a, err := Open(b.Context(), Config{Data: data, HouseKey: filepath.Join(data, "keys", "house.key")})
		if err != nil {
			b.Fatal(err)
		}
		h, err := a.OpenHouse(b.Context(), HouseConfig{})
		if err != nil {
			b.Fatal(err)
		}
		return a, h
	}
	rules, err := docket.ShippedProfile("institute")
	if err != nil {
		b.Fatal(err)
	}
	a, h := open()
	for range 100 {
		openedCase(b, h, rules)
	}
	h.Close()
	a.Close()
	for b.Loop() {
		a, h := open()
		server := &http.Server{Handler: h.handler(), ReadHeaderTimeout: time.Second}
		l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		rec := make(chan error, 1)
		go func() { rec <- server.Serve(l) }()
		if _, err := (wire.Client{URL: "http://" + l.Addr().String()}).Health(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		server.Close()
		<-rec
		h.Close()
		a.Close()
		b.StartTimer()
	}
}
