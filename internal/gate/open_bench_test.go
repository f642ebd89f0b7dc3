package gate_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/ledger"
)

// BenchmarkOpen opens the log of a gate that passed so many calls, as its next
// start does, checking all of it. Held is what the gate goes on holding, and
// peak the heap that the process asked the system for.
func BenchmarkOpen(b *testing.B) {
	for _, calls := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(calls), func(b *testing.B) {
			key, err := ledger.CreateKey(b.TempDir(), "gate")
			if err != nil {
				b.Fatal(err)
			}
			name := filepath.Join(b.TempDir(), "log")
			writeCalls(b, name, key, calls)
			b.ResetTimer()
			for b.Loop() {
				log, past := foldLog(b, name, key)
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB-held")
				b.ReportMetric(float64(m.HeapSys)/(1<<20), "MiB-peak")
				runtime.KeepAlive(past)
				if err := log.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func writeCalls(b *testing.B, name string, key *ledger.Key, calls int) {
	b.Helper()
	log, _, err := ledger.OpenLog(b.Context(), name, key, ledger.LogOptions{})
	if err != nil {
		b.Fatal(err)
	}
	add := func(r gate.Record) {
		line, err := json.Marshal(&r)
		if err == nil {
			_, err = log.Append(line)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	add(gate.Record{Kind: gate.Granted, Time: now, Grant: "grant-1", Terms: &gate.Grant{ID: "grant-1", Upstream: "up", Model: "m", Codename: "violet"}})
	hold := gate.Amount{Requests: 1, Input: 1400, Output: 4096, NanoDollars: 65_640_000}
	for i := range calls {
		call := fmt.Sprintf("call-%012d", i)
		add(gate.Record{Kind: gate.Opened, Time: now, Grant: "grant-1", Call: call, Protocol: "openai-chat", Stream: true, Hold: &hold})
		add(gate.Record{Kind: gate.Ended, Time: now, Grant: "grant-1", Call: call, Protocol: "openai-chat", End: &gate.End{
			Outcome: gate.Metered, Status: 200, Charge: gate.Amount{Requests: 1, Input: 312, Output: 200, NanoDollars: 3_936_000}, Usage: chat.Usage{Input: 312, Output: 200},
			Model: "m-2026", Request: "sha256:3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea", Answer: "sha256:3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea",
			Sent: 1300, Seen: 21_000, First: 31_000, Whole: 1_031_000,
		}})
	}
	if err := log.Close(); err != nil {
		b.Fatal(err)
	}
}

// foldLog reads a log as app does.
func foldLog(b *testing.B, name string, key *ledger.Key) (*ledger.Log, *gate.State) {
	b.Helper()
	state := gate.NewState()
	log, _, err := ledger.OpenLog(b.Context(), name, key, ledger.LogOptions{Each: func(_ uint64, raw json.RawMessage) error {
		return state.AddLine(raw)
	}})
	if err != nil {
		b.Fatal(err)
	}
	return log, state
}
