package web

import (
	"net/http"
	"strconv"
	"strings"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// shownEvents is how many events a case's page shows at once.
const shownEvents = 100

// docket adds the pages of cases.
func (s site) docket() {
	s.page("GET /{$}", func(v visit) error {
		q := v.r.URL.Query()
		filter := page.Filter{State: q.Get("state"), Find: q.Get("find"), Begun: q.Get("after") == ""}
		list, err := v.client.List(v.r.Context(), wire.Query{State: filter.State, Find: filter.Find, After: q.Get("after")})
		if err != nil {
			return err
		}
		return v.show(page.Docket(v.frame("Docket", "docket"), list, filter))
	})
	s.page("GET /cases/new", func(v visit) error {
		profiles, err := v.client.Profiles(v.r.Context())
		if err != nil {
			return err
		}
		return v.show(page.NewCase(v.frame("Open a case", "docket"), profiles.Profiles, proofhouse.Token(20)))
	})
	s.page("POST /cases", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		open := wire.Open{OpenCase: docket.OpenCase{Codename: f.text("codename"), Variants: strings.FieldsFunc(f.Get("variants"), func(r rune) bool { return r == ',' || r == ' ' })}, Profile: f.text("profile")}
		c, err := v.client.Open(v.r.Context(), open, f.once(strings.Join(append(open.Variants, open.Codename, open.Profile), "\n")))
		if err != nil {
			return err
		}
		return v.to("/cases/" + string(c.ID))
	})
	s.page("GET /cases/{case}", func(v visit) error {
		c, err := v.client.Case(v.r.Context(), v.id())
		if err != nil {
			return err
		}
		q := v.r.URL.Query()
		after := max(0, c.Version-shownEvents)
		if n, err := strconv.Atoi(q.Get("after")); err == nil && n >= 0 {
			after = n
		}
		shown := shownEvents
		if page.ThroughGlass(v.me, c) {
			after, shown = 0, wire.MaxEvents // it is read once, and then no more
		}
		// Not everybody may read what happened.
		events, err := v.client.EventsPage(v.r.Context(), c.ID, after, shown)
		if k := proofhouse.KindOf(err); err != nil && k != proofhouse.Refused && k != proofhouse.NotFound {
			return err
		}
		var keys []Passkey
		if page.May(c, docket.KindNameKey) && v.Door.Passkeys() {
			if keys, err = v.Door.SigningPasskeys(v.r.Context(), v.me); err != nil {
				return err
			}
		}
		return v.show(page.Case(v.frame(c.Codename, "docket"), c, events, keys, after, said(q)))
	})
	s.page("GET /cases/{case}/use", func(v visit) error {
		c, err := v.client.Case(v.r.Context(), v.id())
		if err != nil {
			return err
		}
		uses, err := v.client.Uses(v.r.Context(), c.ID)
		if err != nil {
			return err
		}
		return v.show(page.Uses(v.frame("Grants of "+c.Codename, "docket"), c, uses, said(v.r.URL.Query())))
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
	s.acts()
	s.reports()
	s.criteria()
	s.requests()
	s.artifacts()
}

func (v visit) id() proofhouse.CaseID { return proofhouse.CaseID(v.r.PathValue("case")) }

// file sends a file to be saved, never as what its writer called it.
func (v visit) file(name string, b []byte) error {
	v.saved(name)
	_, _ = v.w.Write(b) // who asked is gone
	return nil
}

// saved begins a file to be saved.
func (v visit) saved(name string) {
	v.w.Header().Set("Content-Type", "application/octet-stream")
	v.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	v.w.WriteHeader(http.StatusOK)
}
