package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store/storetest"
)

// tiered is a report with a paragraph for each tier alone.
func tiered() docket.Report {
	return docket.Report{Title: "Heron", Paragraphs: []docket.Paragraph{
		{Text: "canary-authority", Tiers: []docket.Tier{docket.AuthorityTier}, Marking: proofhouse.Red},
		{Text: "canary-developer", Tiers: []docket.Tier{docket.DeveloperTier}, Marking: proofhouse.Red},
		{Text: "canary-partner", Tiers: []docket.Tier{docket.PartnerTier}, Marking: proofhouse.Amber},
		{Text: "canary-public", Tiers: []docket.Tier{docket.PublicTier}, Marking: proofhouse.Clear},
	}}
}

// TestReport: who may not read a tier first, then what each tier is given; and that no other answer has it.
func TestReport(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	id := h.opened(t)
	path := "/v1/cases/{case}/report"
	public := "/v1/reports/{case}"
	absent, gone := h.raw(t, "get", public, "", "case-none", "")
	if absent != http.StatusNotFound {
		t.Errorf("the report of no case is %d", absent)
	}
	for _, token := range []string{"", "sid", "rita"} {
		if status, answer := h.raw(t, "get", public, token, string(id), ""); status != absent || answer != gone {
			t.Errorf("with nothing filed, the public report is %d %s", status, answer)
		}
	}
	h.do(t, "eve", id, docket.FileReport{Report: tiered(), Salt: docket.Salt{1}})
	secret := tiered()
	secret.Paragraphs = secret.Paragraphs[:1]
	h.do(t, "rita", id, docket.FileReport{Report: secret, Salt: docket.Salt{2}})
	if status, answer := h.raw(t, "get", public, "", string(id), ""); status != absent || answer != gone {
		t.Errorf("what nobody published is %d %s", status, answer)
	}
	reads := map[string]string{"ada": "developer partner public", "rita": "authority partner public", "eve": "authority public", "otto": "authority partner public", "carl": "authority public", "pat": "partner public", "sid": "", "sam": "", "root": ""}
	for who, tiers := range reads {
		for _, tier := range docket.Tiers {
			status, answer := h.raw(t, "get", path+"?version=1&tier="+string(tier), who, string(id), "")
			want := http.StatusForbidden
			switch {
			case tiers == "":
				want = http.StatusNotFound
			case slices.Contains(strings.Fields(tiers), string(tier)):
				want = http.StatusOK
			}
			if status != want || strings.Contains(answer, "canary") != (want == http.StatusOK) {
				t.Errorf("%s reads the %s tier: %d %s", who, tier, status, answer)
			}
			if strings.Count(answer, "canary") > 1 || want == http.StatusOK && !strings.Contains(answer, "canary-"+string(tier)) {
				t.Errorf("%s reads in the %s tier: %s", who, tier, answer)
			}
		}
		if tiers == "" {
			continue
		}
		r, err := h.as(who).Report(t.Context(), id, "", 1)
		if err != nil || string(r.Tier) != strings.Fields(tiers)[0] || r.Case != id {
			t.Errorf("%s, unasked, reads %+v, %v", who, r, err)
		}
		// What is not there for a tier, in a later version, is not told from what never was.
		for _, path := range []string{"/v1/cases/{case}", "/v1/cases/{case}/events"} {
			if _, answer := h.raw(t, "get", path, who, string(id), ""); strings.Contains(answer, "canary") || strings.Contains(answer, "paragraphs") {
				t.Errorf("%s reads of the report at %s: %s", who, path, answer)
			}
		}
	}
	if r, err := h.as("pat").Report(t.Context(), id, "", 0); err != nil || r.Version != 2 || len(r.Report.Paragraphs) != 0 {
		t.Errorf("the partner reads of the second version %+v, %v", r, err)
	}
	for _, version := range []int{3, 1 << 40} {
		if _, err := h.as("rita").Report(t.Context(), id, "", version); proofhouse.KindOf(err) != proofhouse.NotFound {
			t.Errorf("version %d: %v", version, err)
		}
	}
	for who := range reads {
		if who == "rita" {
			continue
		}
		if _, err := h.as(who).Do(t.Context(), id, docket.PublishReport{Version: 1}, wire.Options{}); err == nil {
			t.Errorf("%s publishes the report", who)
		}
	}
	h.do(t, "rita", id, docket.PublishReport{Version: 1})
	for _, version := range []int{0, 1} {
		r, err := h.as("").PublicReport(t.Context(), id, version)
		if err != nil || fmt.Sprint(r.Report.Paragraphs) != "[{canary-public [public] TLP:CLEAR}]" {
			t.Errorf("published is %+v, %v", r, err)
		}
	}
	if status, answer := h.raw(t, "get", public+"?version=2", "", string(id), ""); status != absent || answer != gone {
		t.Errorf("a version that nobody published is %d %s", status, answer)
	}
}

// TestReportRepeated files a report again under the same key, with a salt drawn anew as the command does: one version is
// there, with the first salt. Another report, or a tier that reads more, is another request.
func TestReportRepeated(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	id := h.opened(t)
	file := func(r docket.Report, salt byte) (wire.Done, error) {
		return h.as("eve").Do(t.Context(), id, docket.FileReport{Report: r, Salt: docket.Salt{salt}}, wire.Options{Key: "report"})
	}
	first := must[wire.Done](t)(file(tiered(), 1))
	again := must[wire.Done](t)(file(tiered(), 2))
	if again.Seq != first.Seq || len(again.Case.Reports) != 1 || again.Case.Reports[0].Commitment != first.Case.Reports[0].Commitment {
		t.Errorf("filed again: event %d and then %d, %+v", first.Seq, again.Seq, again.Case.Reports)
	}
	other := tiered()
	other.Paragraphs[0].Tiers = []docket.Tier{docket.DeveloperTier}
	if _, err := file(other, 1); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("another report under the same key: %v", err)
	}
}
