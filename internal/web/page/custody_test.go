package page

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// TestTold: what is said of a request in each state that it can be in.
func TestTold(t *testing.T) {
	at := time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)
	asked := policy.Asked{ID: "r", What: policy.Export, Reason: "r", Asker: "ada@lab", At: at}
	once, twice := asked, asked
	once.First, once.FirstAt = "rita@body", at
	twice.First, twice.Second, twice.FirstAt, twice.SecondAt = "rita@body", "otto@body", at, at
	used := twice
	used.Used = at.Add(time.Hour)
	destroyed := used
	destroyed.What = policy.Destroy
	glass := policy.Asked{ID: "g", What: policy.BreakGlass, Reason: "r", Asker: "sam@body", At: at}
	read := glass
	read.Used = at.Add(time.Minute)
	for _, c := range []struct {
		a     policy.Asked
		after time.Duration
		want  string
	}{
		{asked, 0, "two approvals are missing, until 2026-06-08 09:00 UTC"},
		{once, 0, "one approval is missing, until 2026-06-08 09:00 UTC"},
		{once, 8 * 24 * time.Hour, "lapsed 2026-06-08 09:00 UTC, without two approvals"},
		{twice, 0, "approved: ada@lab can make use of it until 2026-06-02 09:00 UTC"},
		{twice, 25 * time.Hour, "approved, and not made use of until 2026-06-02 09:00 UTC: it holds no more"},
		{used, 90 * time.Minute, "made use of 2026-06-01 10:00 UTC; gives the same again until 2026-06-01 11:00 UTC"},
		{used, 3 * time.Hour, "made use of 2026-06-01 10:00 UTC"},
		{destroyed, 90 * time.Minute, "made use of 2026-06-01 10:00 UTC"},
		{glass, 0, "can be read through until 2026-06-01 10:00 UTC"},
		{glass, 2 * time.Hour, "was not read through, and is whole again"},
		{read, 2 * time.Minute, "read through 2026-06-01 09:01 UTC"},
	} {
		if got, _ := told(wire.RequestOf(c.a), at.Add(c.after)); got != c.want {
			t.Errorf("after %v: %q, not %q", c.after, got, c.want)
		}
	}
}

// TestManyRequests: of many requests a page has those that wait for who looks, those that can be made use of, and the newest, and says how many it has not.
func TestManyRequests(t *testing.T) {
	var all wire.Requests
	for i := range 200 {
		all.Requests = append(all.Requests, wire.Request{ID: fmt.Sprintf("request-%03d", i), What: policy.Export, Reason: strings.Repeat("x", 2000), Asker: "ada@lab", Approvable: i == 3, Usable: i == 5})
	}
	c := wire.Case{Case: docket.Case{ID: "case-1", Codename: "heron"}, Waiting: 1}
	var b strings.Builder
	if err := Requests(Frame{Title: "Requests", Now: time.Now()}, c, all, nil, "").Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 250_000 {
		t.Errorf("the page weighs %d bytes", b.Len())
	}
	for i, r := range all.Requests {
		want := 0
		if i == 3 || i == 5 || i >= 150 {
			want = 1
		}
		if n := strings.Count(b.String(), "<code>"+r.ID+"</code>"); n != want {
			t.Errorf("%s is there %d times, not %d", r.ID, n, want)
		}
	}
	if !strings.Contains(b.String(), "148 older ones are not shown here") {
		t.Error("how many are not shown is not said")
	}
}

// TestArtifactsPaged goes through the pages of a case with 250 artifacts, each of which is on one and light enough.
func TestArtifactsPaged(t *testing.T) {
	v := Vault{Case: wire.Case{Case: docket.Case{ID: "case-1", Codename: "heron"}, Roles: []proofhouse.Role{proofhouse.Registrar}}, Asked: wire.Requests{MayAsk: []policy.Action{policy.Unseal, policy.Destroy}}}
	for i := range 250 {
		v.All = append(v.All, wire.Filed{Custodians: 2, Artifact: docket.Artifact{
			ID: proofhouse.DigestOf(fmt.Append(nil, i)), Name: fmt.Sprintf("name-%03d-%s", i, strings.Repeat("x", 100)), Bytes: 1 << (i % 40), Source: strings.Repeat("y", 200), Marking: proofhouse.Red,
		}})
	}
	shown := map[string]int{}
	for _, from := range []int{0, 100, 200, 1000} {
		v.From = from
		var b strings.Builder
		if err := Artifacts(Frame{Title: "Artifacts", Now: time.Now()}, v).Render(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if len(text) > 250_000 {
			t.Errorf("the page from %d weighs %d bytes", from, len(text))
		}
		for _, a := range v.All {
			if strings.Contains(text, `<code class="help">`+string(a.ID)) {
				shown[a.Name]++
			}
		}
		if next := fmt.Sprintf("/cases/case-1/artifacts?from=%d", from+100); strings.Contains(text, next) != (from < 200) {
			t.Errorf("the page from %d leads to %s, or does not", from, next)
		}
	}
	for _, a := range v.All {
		if shown[a.Name] != 1 {
			t.Errorf("%s is on %d pages", a.Name[:8], shown[a.Name])
		}
	}
}
