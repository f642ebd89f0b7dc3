package web

import (
	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// gate adds the page of the gate as a whole.
func (s site) gate() {
	s.page("GET /gate", func(v visit) error {
		g, err := v.client.Gate(v.r.Context())
		if err != nil {
			return err
		}
		return v.show(page.Gate(v.frame("The gate", "gate"), g))
	})
	s.page("POST /gate/suspend", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		ask := wire.NewSuspension{
			Tool: f.line("tool"), Protocol: f.text("protocol"), Class: f.text("class"), Case: proofhouse.CaseID(f.text("case")),
			Grant: docket.GrantID(f.text("grant")), Reason: f.line("reason"),
		}
		if ask.Tool+ask.Protocol+ask.Class+string(ask.Case)+string(ask.Grant) == "" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "say what is taken away: a class, a protocol, a tool or a case")
		}
		if f.Get("confirm") != "yes" {
			if _, err := v.client.Gate(v.r.Context()); err != nil {
				return err
			}
			return v.show(page.Suspend(v.frame("Once more", "gate"), ask))
		}
		if _, err := v.client.Suspend(v.r.Context(), ask); err != nil {
			return err
		}
		return v.to("/gate")
	})
	s.page("POST /gate/resume", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		if err := v.client.Resume(v.r.Context(), f.text("suspension"), f.line("reason")); err != nil {
			return err
		}
		return v.to("/gate")
	})
}
