package app

import (
	"slices"
	"testing"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/chat"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

func used(in, out, nano int64) Used {
	return Used{1, chat.Usage{Input: in, Output: out}, nano}
}

// TestReconcile plays what can go wrong between a journal and the gate's record.
func TestReconcile(t *testing.T) {
	opened := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	granted := func(id string, after time.Duration) gate.Record {
		return gate.Record{Kind: gate.Granted, Grant: id, Time: opened.Add(after), Terms: &gate.Grant{ID: id}}
	}
	ended := func(grant string, u Used) gate.Record {
		return gate.Record{Kind: gate.Ended, Grant: grant, End: &gate.End{Outcome: gate.Metered, Usage: u.Usage, Charge: gate.Amount{Requests: 1, NanoDollars: u.NanoDollars}}}
	}
	cut := gate.Record{Kind: gate.Ended, Grant: "now", End: &gate.End{Outcome: gate.Cut, Charge: gate.Amount{Requests: 1, Input: 70, Output: 30, NanoDollars: 100}}}
	whole := []gate.Record{
		granted("before", -time.Hour), ended("before", used(9, 9, 9)), // of the run whose place this one took
		granted("now", -time.Second), ended("before", used(9, 9, 9)), ended("now", used(10, 5, 15)), ended("now", used(10, 5, 15)), ended("now", used(3, 1, 4)), cut,
		granted("resumed", time.Hour), ended("resumed", used(20, 2, 22)),
	}
	silent := gate.Record{Kind: gate.Ended, Grant: "now", End: &gate.End{Outcome: gate.Unmetered, Charge: gate.Amount{Requests: 1, Input: 1, NanoDollars: 50}}}
	asked := Used{1, chat.Usage{Input: 3, Output: 1}, 4}
	for _, c := range []struct {
		name    string
		answers []Used
		asked   Used
		records []gate.Record
		beyond  Used
		failed  bool
	}{
		{"agreement", []Used{used(10, 5, 15), used(20, 2, 22), used(10, 5, 15)}, asked, whole, Used{}, false},
		{"an answer that nobody waited for", []Used{used(10, 5, 15), used(20, 2, 22)}, asked, whole, used(10, 5, 15), false},
		{"an answer that no call was", []Used{used(10, 5, 15), used(10, 5, 15), used(10, 5, 15)}, Used{}, whole, Used{1, chat.Usage{Input: 13, Output: -2}, -4 + 15}, true},
		{"an answer for another price", []Used{used(10, 5, 14)}, Used{}, whole, Used{3, chat.Usage{Input: 33, Output: 8}, 42}, true},
		{"an answer of the run before", []Used{used(9, 9, 9)}, Used{}, whole, Used{3, chat.Usage{Input: 34, Output: 4}, 47}, true},
		{"questions that nobody metered", []Used{used(10, 5, 15), used(20, 2, 22), used(10, 5, 15)}, Used{1, chat.Usage{Input: 3, Output: 2}, 4}, whole, Used{0, chat.Usage{Output: -1}, 0}, true},
		{"an answer whose usage nobody said", []Used{used(10, 5, 15), used(0, 0, 0), used(10, 5, 15), used(20, 2, 22)}, asked, append(slices.Clone(whole), silent), Used{NanoDollars: 50}, false},
		{"two of them of one call", []Used{used(0, 0, 0), used(0, 0, 0)}, asked, append(slices.Clone(whole), silent), Used{2, chat.Usage{Input: 40, Output: 12}, 50 + 52}, true},
		{"no record of calls", []Used{used(1, 1, 1)}, Used{}, whole[:1], Used{-1, chat.Usage{Input: -1, Output: -1}, -1}, true},
	} {
		g := gateUse{opened: opened}
		for _, r := range c.records {
			g.add(r)
		}
		m, err := reconcile(journalUse{model: true, opened: opened, answers: c.answers, asked: c.asked}, g)
		if failed := proofhouse.KindOf(err) == proofhouse.Failed && err != nil; failed != c.failed || m.Beyond != c.beyond {
			t.Errorf("%s: %v, beyond %+v", c.name, err, m.Beyond)
		}
		if len(c.records) > 1 && (m.Unmetered != 1 || m.Charged != cut.End.Charge) {
			t.Errorf("%s: %d unmetered for %+v", c.name, m.Unmetered, m.Charged)
		}
	}
}

// TestJournalUse reads what counts of a journal, each answer once.
func TestJournalUse(t *testing.T) {
	var j journalUse
	at := time.Now()
	for _, r := range []bench.Record{
		{At: at, Open: &bench.Opening{Config: bench.Config{Model: &bench.ModelConfig{}}}},
		{Event: &bench.Event{Kind: "log"}},
		{Event: &bench.Event{Model: &bench.Figures{Turn: 1, Spent: bench.Spent{Usage: chat.Usage{Input: 10, Output: 5}, NanoDollars: 15}}}},
		{Event: &bench.Event{Model: &bench.Figures{Error: "no answer", Spent: bench.Spent{Failures: 1}}}},
		{Identity: &bench.Identification{Asked: 15, Spent: bench.Spent{Usage: chat.Usage{Input: 3, Output: 1}, NanoDollars: 4}}},
	} {
		j.add(r)
	}
	if !j.model || !j.opened.Equal(at) || len(j.answers) != 1 || j.answers[0] != used(10, 5, 15) || j.asked != (Used{15, chat.Usage{Input: 3, Output: 1}, 4}) {
		t.Errorf("%+v", j)
	}
}
