package web

import (
	"io"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// requests adds what takes the approval of two others, the bundle, and the glass.
func (s site) requests() {
	s.page("GET /cases/{case}/requests", func(v visit) error {
		c, err := v.client.Case(v.r.Context(), v.id())
		if err != nil {
			return err
		}
		asked, err := v.client.Requests(v.r.Context(), c.ID)
		if err != nil {
			return err
		}
		sealed, err := v.client.Artifacts(v.r.Context(), c.ID)
		if err != nil {
			return err
		}
		return v.show(page.Requests(v.frame("Requests", "docket"), c, asked, sealed.Artifacts, requested[v.r.URL.Query().Get("done")]))
	})
	s.page("POST /cases/{case}/requests", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		if _, err := v.client.Ask(v.r.Context(), v.id(), wire.AskTwo{What: policy.Action(f.text("what")), On: f.text("on"), Reason: f.line("reason")}); err != nil {
			return err
		}
		return v.to("/cases/" + string(v.id()) + "/requests?done=asked")
	})
	s.page("POST /cases/{case}/requests/approve", func(v visit) error {
		got, err := v.client.Approve(v.r.Context(), v.r.PostFormValue("request"))
		if err != nil {
			return err
		}
		return v.to("/cases/" + string(got.Case) + "/requests?done=approved")
	})
	s.page("GET /cases/{case}/bundle", func(v visit) error {
		c, err := v.client.Case(v.r.Context(), v.id())
		if err != nil {
			return err
		}
		asked, err := v.client.Requests(v.r.Context(), c.ID)
		if err != nil {
			return err
		}
		return v.show(page.Bundle(v.frame("Bundle", "docket"), c, asked, v.LogKey))
	})
	s.page("POST /cases/{case}/bundle", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		return v.pass(page.BundleName(v.id()), func(client wire.Client, w io.Writer) error {
			return client.Bundle(v.r.Context(), v.id(), proofhouse.Role(f.text("for")), f.text("request"), w)
		})
	})
	s.page("GET /glass", func(v visit) error {
		return v.show(page.Glass(v.frame("Break the glass", "docket"), proofhouse.CaseID(v.r.URL.Query().Get("broken"))))
	})
	s.page("POST /glass", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		id := proofhouse.CaseID(f.text("case"))
		if id == "" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "name the case by its id")
		}
		if f.Get("confirm") != "yes" {
			return v.show(page.BreakGlass(v.frame("Once more", "docket"), id, f.line("reason")))
		}
		got, err := v.client.BreakGlass(v.r.Context(), id, f.line("reason"))
		if err != nil {
			return err
		}
		return v.to("/glass?broken=" + string(got.Case))
	})
}

// requested are the sentences that a page shows after something was asked for.
var requested = map[string]string{
	"asked":    "It is asked for. It waits for the approval of two others.",
	"approved": "You have approved it. It stands in the register, with your name.",
}
