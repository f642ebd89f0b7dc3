package web

import (
	"slices"

	"proofhouse/internal/policy"
	"proofhouse/internal/web/page"
)

// ways adds the page of one's own ways in.
func (s site) ways() {
	s.page("GET /settings/sign-in", func(v visit) error {
		ctx := v.r.Context()
		ways, err := v.client.Ways(ctx, v.me.Name())
		if err != nil {
			return err
		}
		tokens, err := v.client.Tokens(ctx, v.me.Name())
		if err != nil {
			return err
		}
		slices.SortStableFunc(tokens.Tokens, func(a, b policy.Token) int { return b.Issued.Compare(a.Issued) })
		own := page.OwnWays{Ways: ways.Ways, Tokens: tokens.Tokens, Said: doneToWays[v.r.URL.Query().Get("done")]}
		own.Issuers = v.Door.Issuers()
		f := v.frame("How you sign in", "")
		if v.Door.Passkeys() {
			options, ceremony, err := v.Door.OfferPasskey(ctx, v.me, v.Now())
			if err != nil {
				return err
			}
			own.Passkey, f.Passkeys = page.Asked{Options: options, Ceremony: ceremony}, true
			v.w.Header().Set("Content-Security-Policy", passkeyPolicy)
		}
		return v.show(page.WaysIn(f, own))
	})
	s.page("POST /settings/sign-in/passkeys", func(v visit) error {
		answer := v.r.PostFormValue("answer")
		if answer == "" {
			return errNoScript
		}
		if err := v.Door.AddPasskey(v.r.Context(), v.me, v.r.PostFormValue("ceremony"), answer, v.r.PostFormValue("label"), v.Now()); err != nil {
			return err
		}
		v.Wake()
		return v.to("/settings/sign-in?done=added")
	})
	s.page("GET /settings/sign-in/account/{issuer}", func(v visit) error {
		s.askAccount(v, "/settings/sign-in")
		return nil
	})
	s.page("POST /settings/sign-in/accounts", func(v visit) error {
		if err := v.Door.AddAccount(v.r.Context(), v.me, v.r.PostFormValue("ceremony"), v.r.PostFormValue("label"), v.Now()); err != nil {
			return err
		}
		v.Wake()
		return v.to("/settings/sign-in?done=added")
	})
	s.page("POST /settings/sign-in/remove", func(v visit) error {
		if err := v.client.RemoveWay(v.r.Context(), v.r.PostFormValue("way"), v.r.PostFormValue("last") == "yes"); err != nil {
			return err
		}
		return v.to("/settings/sign-in?done=removed")
	})
	s.page("POST /settings/sign-in/revoke", func(v visit) error {
		if err := v.client.RevokeToken(v.r.Context(), v.r.PostFormValue("token")); err != nil {
			return err
		}
		return v.to("/settings/sign-in?done=revoked")
	})
}

// doneToWays are the sentences that the page shows after something was done.
var doneToWays = map[string]string{
	"added":   "It is added. You can sign in with it from now on.",
	"removed": "It is removed, and the sessions that it opened have ended.",
	"revoked": "It has ended, and so have the sessions that it opened.",
}
