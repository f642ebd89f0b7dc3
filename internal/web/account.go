package web

import (
	"net/http"

	"proofhouse/internal/web/page"
)

// accountCookie is what a browser carries to an issuer of accounts and back. It comes back by a link of another site, which takes no strict cookie
// along, so it is another one than the session's; it opens nothing by itself, and ends with the answer.
const accountCookie = "proofhouse-account"

// accountMinutes is how long it is kept: as long as a browser may take to answer.
const accountMinutes = 10

func (s site) keepAccount(v visit, ceremony string, seconds int) {
	http.SetCookie(v.w, &http.Cookie{
		Name: accountCookie, Value: ceremony, Path: "/sign-in/account/", MaxAge: seconds, HttpOnly: true, Secure: secure(v.r), SameSite: http.SameSiteLaxMode,
	})
}

// askAccount sends a browser to an issuer: to sign in, or, of who is signed in, to add the account.
func (s site) askAccount(v visit, to string) {
	address, ceremony, err := s.Door.AskAccount(v.r.Context(), v.r.PathValue("issuer"), local(to), v.me, s.Now())
	if err != nil {
		v.problem(err)
		return
	}
	s.keepAccount(v, ceremony, accountMinutes*60)
	http.Redirect(v.w, v.r, address, http.StatusSeeOther)
}

// accountBack takes a browser that an issuer sent back. A page stands between this and what comes next: only from a page of the house does a
// browser bring its session along.
func (s site) accountBack(w http.ResponseWriter, r *http.Request) {
	v := s.stranger(w, r)
	ceremony := ""
	if c, err := r.Cookie(accountCookie); err == nil {
		ceremony = c.Value
	}
	s.keepAccount(v, "", -1)
	session, to, adding, err := s.Door.Account(r.Context(), r.PathValue("issuer"), ceremony, r.URL.Query(), s.Now())
	switch {
	case err != nil:
		s.signInPage(w, r, "", err)
	case adding != "":
		render(w, r, http.StatusOK, page.AccountShown(v.frame("An account of yours", ""), adding))
	default:
		s.opened(w, r, session)
		w.Header().Set("Refresh", "0; url="+local(to))
		render(w, r, http.StatusOK, page.CameIn(v.frame("You are signed in", ""), local(to)))
	}
}
