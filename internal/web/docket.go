package web

import (
	"net/http"
	"strconv"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// docket adds the pages of cases.
func (s site) docket() {
	s.page("GET /{$}", func(v visit) error {
		q := v.r.URL.Query()
		filter := page.Filter{State: q.Get("state"), Find: q.Get("find")}
		list, err := v.client.List(v.r.Context(), wire.Query{State: filter.State, Find: filter.Find, After: q.Get("after")})
		if err != nil {
			return err
		}
		return v.show(page.Docket(v.frame("Docket", "docket"), list, filter))
	})
	s.page("GET /cases/{case}", func(v visit) error {
		c, err := v.client.Case(v.r.Context(), v.id())
		if err != nil {
			return err
		}
		// Not everybody may read what happened.
		events, err := v.client.Events(v.r.Context(), c.ID, 0)
		if k := proofhouse.KindOf(err); err != nil && k != proofhouse.Refused && k != proofhouse.NotFound {
			return err
		}
		return v.show(page.Case(v.frame(c.Codename, "docket"), c, events, done[v.r.URL.Query().Get("done")]))
	})
	s.page("GET /cases/{case}/receipts/{seq}", func(v visit) error {
		seq, err := strconv.Atoi(v.r.PathValue("seq"))
		if err != nil {
			return proofhouse.Errorf(proofhouse.NotFound, err, "there is no such event")
		}
		b, err := v.client.Receipt(v.r.Context(), v.id(), seq)
		if err != nil {
			return err
		}
		return v.file("receipt-"+strconv.Itoa(seq), b)
	})
	s.page("POST /cases/{case}/withdraw", func(v visit) error {
		if v.r.PostFormValue("confirm") != "yes" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "to withdraw ends all access of the body at once: tick the box to say that you mean it")
		}
		return v.act(docket.Withdraw{}, "withdrawn")
	})
	s.page("POST /cases/{case}/announce", func(v visit) error {
		day, err := time.Parse(time.DateOnly, v.r.PostFormValue("date"))
		if err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "a date is like 2026-12-31")
		}
		return v.act(docket.Announce{Date: day}, "announced")
	})
}

// done are the sentences that a page shows after something was done.
var done = map[string]string{
	"withdrawn": "The review has ended. No access of the body is left.",
	"announced": "The release is announced.",
}

func (v visit) id() proofhouse.CaseID { return proofhouse.CaseID(v.r.PathValue("case")) }

// act does an act in a case and shows the case again.
func (v visit) act(a docket.Act, what string) error {
	if _, err := v.client.Do(v.r.Context(), v.id(), a, wire.Options{}); err != nil {
		return err
	}
	return v.to("/cases/" + string(v.id()) + "?done=" + what)
}

// file sends a file to be saved, never as what its writer called it.
func (v visit) file(name string, b []byte) error {
	v.w.Header().Set("Content-Type", "application/octet-stream")
	v.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	v.w.WriteHeader(http.StatusOK)
	_, _ = v.w.Write(b) // who asked is gone
	return nil
}
