package web

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// packetCookie holds the secret of a link to a packet, so that it stands in no address and no page. It is gone with the browser, and sent to these pages alone.
const packetCookie = "proofhouse-packet"

// maintainers adds the pages of whoever has a link to a packet, without an account. The link's secret is after its #, which no browser sends: the page's script, or
// whoever pastes it, puts it into a form.
func (s site) maintainers() {
	s.linked("GET /packet/open", func(v visit, _ string) error {
		return v.openPacket(http.StatusOK, "")
	})
	s.linked("POST /packet/open", func(v visit, _ string) error {
		secret := strings.TrimSpace(v.r.PostFormValue("code"))
		secret = secret[strings.LastIndex(secret, "#")+1:] // the whole link may be pasted
		if len(secret) > wire.MaxSecret {
			secret = "" // it opens nothing, and is told so as all that does not
		}
		if _, err := v.client.Linked(v.r.Context(), secret); err != nil {
			return v.noPacket(err)
		}
		v.packetCookie(secret, 0)
		return v.to("/packet")
	})
	s.linked("GET /packet", func(v visit, secret string) error {
		if secret == "" {
			return v.to("/packet/open")
		}
		p, err := v.client.Linked(v.r.Context(), secret)
		if err != nil {
			return v.noPacket(err)
		}
		return v.show(page.LinkedPacket(v.frame("A bug in "+p.Project, ""), p, doneToPacket[v.r.URL.Query().Get("done")]))
	})
	s.linked("GET /packet/files/{name}", func(v visit, secret string) error {
		name := v.r.PathValue("name")
		i := slices.Index(append([]string{wire.WholePacket}, wire.PacketFiles...), name)
		if i < 0 {
			return proofhouse.Errorf(proofhouse.NotFound, nil, "the packet has no such file")
		}
		var b bytes.Buffer
		if err := v.client.LinkedFile(v.r.Context(), secret, name, &b); err != nil {
			return err
		}
		return v.file(name, b.Bytes())
	})
	s.linked("POST /packet/reply", func(v visit, secret string) error {
		note := strings.Join(strings.Fields(v.r.PostFormValue("note")), " ")
		if _, err := v.client.LinkedReply(v.r.Context(), secret, wire.NewReply{Answer: clearing.Answer(v.r.PostFormValue("answer")), Note: note}); err != nil {
			return err
		}
		return v.to("/packet?done=reply")
	})
	s.linked("POST /packet/stop", func(v visit, secret string) error {
		if v.r.PostFormValue("confirm") != "yes" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "to ask that nothing more is sent, tick the box that says so")
		}
		if _, err := v.client.LinkedStop(v.r.Context(), secret); err != nil {
			return err
		}
		return v.to("/packet?done=stop")
	})
	s.linked("POST /packet/close", func(v visit, _ string) error {
		v.packetCookie("", -1)
		return v.to("/packet/open")
	})

	s.page("POST /packets/{packet}/links", func(v visit) error {
		days, err := strconv.Atoi(v.r.PostFormValue("days"))
		if err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "say for how many days the link holds")
		}
		given, err := v.client.GiveLink(v.r.Context(), v.packet(), days)
		if err != nil {
			return err
		}
		scheme := "http"
		if secure(v.r) {
			scheme = "https"
		}
		return v.show(page.GivenLink(v.frame("A link to the packet", "projects"), v.packet(), scheme+"://"+v.r.Host+"/packet/open#"+given.Secret, given))
	})
	s.page("POST /packets/{packet}/links/{link}/end", func(v visit) error {
		if _, err := v.client.EndLink(v.r.Context(), v.packet(), clearing.LinkID(v.r.PathValue("link"))); err != nil {
			return err
		}
		return v.to("/packets/" + string(v.packet()))
	})
}

// ofLinks says whether a path is of a page that has a link's secret, or takes it: such a page tells nobody where somebody came from, and is in no index.
func ofLinks(path string) bool {
	return path == "/packet" || strings.HasPrefix(path, "/packet/") || strings.HasPrefix(path, "/packets/") && strings.HasSuffix(path, "/links")
}

// linked adds a page of whoever has a link; it is told the secret that the browser has, or "".
func (s site) linked(pattern string, do func(v visit, secret string) error) {
	s.public(pattern, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		v, secret := s.stranger(w, r), ""
		v.client = s.client("")
		if c, err := r.Cookie(packetCookie); err == nil {
			secret = c.Value
		}
		if err := do(v, secret); err != nil {
			v.problem(err)
		}
	})
}

// packetCookie gives a browser the secret of a link, or with an age below 0 takes it away.
func (v visit) packetCookie(secret string, age int) {
	http.SetCookie(v.w, &http.Cookie{Name: packetCookie, Value: secret, Path: "/packet", MaxAge: age, HttpOnly: true, Secure: secure(v.r), SameSite: http.SameSiteStrictMode})
}

// openPacket asks for the code of a link.
func (v visit) openPacket(status int, wrong string) error {
	v.w.Header().Set("Content-Security-Policy", passkeyPolicy)
	f := v.frame("A packet for your project", "")
	f.Link = true
	render(v.w, v.r, status, page.OpenPacket(f, wrong))
	return nil
}

// noPacket forgets a secret that opens nothing, and asks again.
func (v visit) noPacket(err error) error {
	if proofhouse.KindOf(err) != proofhouse.NotFound {
		return err
	}
	v.packetCookie("", -1)
	return v.openPacket(http.StatusNotFound, "There is no such packet. Links end by themselves, and can be ended: whoever wrote to you gives you another.")
}

// doneToPacket are the sentences that the page shows after something was done.
var doneToPacket = map[string]string{
	"reply": "Your answer is taken. You can give another as long as this link holds.",
	"stop":  "Nothing more is sent to the project. Whoever wrote to you reads it, and enters how you want to be told when you say so.",
}
