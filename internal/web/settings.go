package web

import (
	"proofhouse/internal/api/wire"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// settings adds the pages of people and of the house itself.
func (s site) settings() {
	s.page("GET /settings", func(v visit) error {
		ctx := v.r.Context()
		out := page.House{}
		organisations, err := v.client.Organisations(ctx)
		if err != nil && !hidden(err) {
			return err
		}
		out.Organisations = organisations.Organisations
		health, err := v.client.Health(ctx)
		if err != nil {
			return err
		}
		out.Version = health.Version
		profiles, err := v.client.Profiles(ctx)
		if err != nil {
			return err
		}
		out.Profiles = profiles.Profiles
		state, err := v.client.House(ctx)
		if err == nil {
			out.State = &state
		} else if !hidden(err) {
			return err
		}
		return v.show(page.Settings(v.frame("Settings", "settings"), out))
	})
	s.page("POST /settings/organisations", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		o, err := v.client.CreateOrganisation(v.r.Context(), wire.NewOrganisation{ID: f.organisation("organisation"), Title: f.line("title")})
		if err != nil {
			return err
		}
		return v.to("/settings/organisations/" + string(o.ID))
	})
	s.page("GET /settings/organisations/{organisation...}", func(v visit) error {
		o := proofhouse.OrganisationID(v.r.PathValue("organisation"))
		people, err := v.client.People(v.r.Context(), o)
		if err != nil {
			return err
		}
		return v.show(page.People(v.frame(string(o), "settings"), o, people.People))
	})
	s.page("POST /settings/people", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		p, err := v.client.CreatePerson(v.r.Context(), wire.NewPerson{Organisation: f.organisation("organisation"), ID: proofhouse.PersonID(f.text("person")), Title: f.line("title")})
		if err != nil {
			return err
		}
		return v.to("/settings/organisations/" + string(p.Organisation))
	})
	// One address for what is done to a person, by the button that was pressed.
	s.page("POST /settings/person", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		ctx, name := v.r.Context(), f.text("name")
		switch f.Get("do") {
		case "give-role":
			err = v.client.GiveRole(ctx, name, policy.HouseRole(f.text("role")))
		case "take-role":
			err = v.client.TakeRole(ctx, name, policy.HouseRole(f.text("role")))
		case "give-clearance":
			err = v.client.GiveClearance(ctx, name, f.text("clearance"))
		case "take-clearance":
			err = v.client.TakeClearance(ctx, name, f.text("clearance"))
		case "end":
			if f.Get("confirm") != "yes" {
				return v.show(page.EndPerson(v.frame("Once more", "settings"), name))
			}
			err = v.client.EndPerson(ctx, name)
		default:
			err = proofhouse.Errorf(proofhouse.Invalid, nil, "no page does that")
		}
		if err != nil {
			return err
		}
		return v.to("/settings/organisations/" + f.text("organisation"))
	})
	s.page("POST /settings/tokens", func(v visit) error {
		f, err := v.form()
		if err != nil {
			return err
		}
		name := f.text("name")
		made, err := v.client.IssueToken(v.r.Context(), name, wire.NewToken{Label: f.line("label"), Days: f.number("days")})
		if err != nil {
			return err
		}
		// Not after a redirect: it is shown this once, and kept in no address.
		return v.show(page.NewToken(v.frame("A new token", "settings"), name, made))
	})
}

// hidden says whether somebody may not know of something.
func hidden(err error) bool {
	k := proofhouse.KindOf(err)
	return k == proofhouse.Refused || k == proofhouse.NotFound
}
