package web

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// reports adds the pages of the report of a case: reading it by tier and version, and filing one.
func (s site) reports() {
	s.page("GET /cases/{case}/report", func(v visit) error {
		q := v.r.URL.Query()
		version, err := versionOf(q.Get("version"))
		if err != nil {
			return err
		}
		r, err := v.client.Report(v.r.Context(), v.id(), docket.Tier(q.Get("tier")), version)
		if err != nil {
			return err
		}
		c, err := v.client.Case(v.r.Context(), v.id())
		if err != nil {
			return err
		}
		view := page.ReportView{Report: r, Case: &c}
		if q.Get("done") == "filed" {
			view.Said = "It is filed, and stays as it is. What is to be said otherwise is another version."
		}
		for _, t := range docket.Tiers {
			// Which tiers somebody reads is the guard's to say.
			switch _, err := v.client.Report(v.r.Context(), v.id(), t, r.Version); {
			case err == nil:
				view.Tiers = append(view.Tiers, t)
			case proofhouse.KindOf(err) != proofhouse.Refused && proofhouse.KindOf(err) != proofhouse.NotFound:
				return err
			}
		}
		return v.show(page.Report(v.frame(c.Codename+": report", "docket"), view))
	})
	s.public("GET /reports/{case}", func(w http.ResponseWriter, r *http.Request) {
		v := s.somebody(w, r)
		version, err := versionOf(r.URL.Query().Get("version"))
		if err != nil {
			v.problem(err)
			return
		}
		got, err := s.client("").PublicReport(r.Context(), v.id(), version)
		if err != nil {
			v.problem(err)
			return
		}
		render(w, r, http.StatusOK, page.Report(v.frame(got.Report.Title, ""), page.ReportView{Report: got}))
	})
	s.page("GET /cases/{case}/report/new", func(v visit) error {
		c, err := v.mayDo(docket.KindFileReport)
		if err != nil {
			return err
		}
		return v.show(page.NewReport(v.frame(c.Codename+": file a report", "docket"), c))
	})
	s.page("POST /cases/{case}/report", func(v visit) error {
		c, err := v.mayDo(docket.KindFileReport)
		if err != nil {
			return err
		}
		f, err := v.parts()
		if err != nil {
			return err
		}
		text := f.Get("file")
		if text == "" {
			text = f.Get("text")
		}
		var a docket.FileReport
		if a.Report, err = docket.ParseReport([]byte(text)); err != nil {
			return err
		}
		if f.Get("confirm") != "yes" {
			return v.show(page.ReadReport(v.frame(c.Codename+": file a report", "docket"), c, a.Report, proofhouse.Token(20)))
		}
		if _, err := rand.Read(a.Salt[:]); err != nil {
			return err
		}
		did, err := v.client.Do(v.r.Context(), v.id(), a, wire.Options{Key: f.once(text)})
		if err != nil {
			return err
		}
		return v.to("/cases/" + string(v.id()) + "/report?" + url.Values{"version": {strconv.Itoa(len(did.Case.Reports))}, "done": {"filed"}}.Encode())
	})
}

// versionOf is the version that an address names; 0, the last, if it names none.
func versionOf(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, proofhouse.Errorf(proofhouse.NotFound, err, "there is no such version")
	}
	return n, nil
}

// mayDo is the case, for whom its page offers to do something. The API decides whether it is done.
func (v visit) mayDo(k docket.Kind) (wire.Case, error) {
	c, err := v.client.Case(v.r.Context(), v.id())
	if err == nil && !page.May(c, k) {
		err = proofhouse.Errorf(proofhouse.Refused, nil, "it is not yours to %s, or not at this time", string(k))
	}
	return c, err
}
